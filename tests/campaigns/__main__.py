"""`make soak`: run the campaigns, print what was tried and what was found, and keep it in docs/reliability.md.

python -m tests.campaigns [--share 0.1] [--seed 7] [NAME ...]     some of them, or less of them: only printed
"""

import argparse
import logging
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

from tests.campaigns.campaign import Campaign, Result, Scale, campaigns, executed
from tests.engines import docker_clients

REPORT = Path(__file__).parents[2] / "docs" / "reliability.md"
BEGIN, END = "<!-- the last soak -->", "<!-- end -->"
"""What `make soak` writes stands between these lines; the rest of the page is written by people."""


def main() -> int:
    asked = _arguments()
    chosen = [campaign for campaign in campaigns() if not asked.names or campaign.name in asked.names]
    if unknown := set(asked.names) - {campaign.name for campaign in chosen}:
        sys.exit(f"no such campaign: {', '.join(sorted(unknown))}")
    folder = Path(tempfile.mkdtemp(prefix="soak-"))
    logging.basicConfig(filename=folder / "log")  # of the engines that run in this process
    rows: list[tuple[Campaign, Result]] = []
    for campaign in chosen:
        rows.append((campaign, _run(campaign, Scale(folder=folder / campaign.name, share=asked.share, seed=asked.seed))))
        if not asked.names:  # after each, so that a run that is cut off does not lose all
            _keep(_text(rows, chosen, asked))
    print(_text(rows, chosen, asked))
    found = any(result.found for _, result in rows)
    if found:
        print(f"logs and data of the engines: {folder}", file=sys.stderr)
    else:
        shutil.rmtree(folder)
    return int(found)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.campaigns", description="Hunt for faults, for about an hour.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="a module of tests/campaigns; all unless given")
    parser.add_argument("--share", type=float, default=1.0, help="how much of each campaign: 0.1 is a tenth")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="the same one repeats the same campaign")
    return parser.parse_args()


def _run(campaign: Campaign, scale: Scale) -> Result:
    print(f"{campaign.name}: {campaign.title}", file=sys.stderr, flush=True)
    result = executed(campaign, scale)
    print(f"{campaign.name}: {result.tried}, {len(result.found)} found, {result.seconds:.0f} s", file=sys.stderr, flush=True)
    for fault in result.found:
        print(f"  FOUND {fault}", file=sys.stderr, flush=True)
    return result


def _text(rows: list[tuple[Campaign, Result]], chosen: list[Campaign], asked: argparse.Namespace) -> str:
    tools = [_said(*command) for command in (("runc", "--version"), ("crun", "--version"), ("conmon", "--version"))]
    lines = [
        f"- {time.strftime('%Y-%m-%d')}: {os.cpu_count()} cores, {_memory()} GiB, Linux {platform.release()} {platform.machine()}",
        f"- linkspan {version('linkspan')} ({_said('git', 'rev-parse', '--short', 'HEAD')}) on Python {platform.python_version()}",
        f"- {', '.join(filter(None, tools))}; docker clients {', '.join(docker_clients())}",
        f"- {asked.share:.0%} of each campaign, seed {asked.seed}, {sum(result.seconds for _, result in rows) / 60:.0f} minutes in all",
        *([f"- cut off after {len(rows)} of {len(chosen)} campaigns"] if len(rows) < len(chosen) else []),
        "",
        "| campaign | tried | found | seconds |",
        "|---|---|---|---:|",
    ]
    for campaign, result in rows:
        tried = f"{result.tried}; {result.notes}" if result.notes else result.tried
        found = "<br>".join(map(_cell, result.found)) or "nothing"
        lines.append(f"| {_cell(campaign.title)} | {_cell(tried)} | {found} | {result.seconds:.0f} |")
    return "\n".join(lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")


def _keep(text: str) -> None:
    before, _, rest = REPORT.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    REPORT.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}")


def _memory() -> int:
    found = re.search(r"MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text())
    return round(int(found[1]) / 2**20) if found else 0


def _said(*command: str) -> str:
    try:
        return next(iter(subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines()), "")
    except FileNotFoundError:
        return ""


if __name__ == "__main__":
    sys.exit(main())
