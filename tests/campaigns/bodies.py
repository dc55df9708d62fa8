"""Containers out of bodies with something wrong in them: refused, or made, started and removed, with no trace but a sentence."""

import copy
import re
from collections import Counter
from pathlib import Path
from typing import Any

from tests.bodies import BODY, PLACES, WRONG, replaced
from tests.campaigns.campaign import Result, Scale
from tests.campaigns.requests import check_log
from tests.engines import Engine
from tests.hosts import Host, until

BODIES = 3000
"""Of the whole campaign."""
EXPECTED = (201, 400, 404, 409, 501)
STARTED = (204, 400, 404, 409, 500, 501, 503)
"""What the OCI runtime refuses is answered 500, as by Docker: each of its sentences is counted and shown."""
BUGS = re.compile(r"Error: |object has no attribute|not (?:iter|subscript|call)able|codec can't|positional argument|unpack|invalid literal")
"""What a sentence looks like that Python wrote."""


def run(scale: Scale) -> Result:
    """Send bodies to an engine of its own."""
    random = scale.random()
    found: dict[str, str] = {}
    statuses: Counter[str] = Counter()
    refusals: Counter[str] = Counter()
    with Host(scale.folder / "host.net") as host, Engine(host, scale.folder / "e") as engine:
        sane = _sane(scale.folder)
        _try(engine, sane, statuses, refusals, found, "nothing wrong")
        assert statuses["start 204"] == 1, f"the right body does not run: {refusals} {found}"
        for _ in range(scale.times(BODIES)):
            body = copy.deepcopy(sane)
            changed = [(random.choice(PLACES), random.choice(WRONG)) for _ in range(random.choice((1, 1, 1, 2, 3)))]
            for place, wrong in changed:
                body = _replaced(body, place, wrong)
            _try(engine, _kept_inside(body, scale.folder), statuses, refusals, found, f"{changed}"[:300])
        until(lambda: not list((engine.folder / "data" / "containers").iterdir()), within=30, what="no container leaves a folder")
        found |= {line: line for line in check_log(engine)}
    counted = ", ".join(f"{count:,} times {status}" for status, count in sorted(statuses.items()))
    told = "; ".join(f"{count} times 500: {sentence}" for sentence, count in refusals.most_common())
    return Result(tried=f"{statuses.total():,} requests ({counted})", found=list(found.values()), notes=told)


def _sane(folder: Path) -> dict[str, Any]:
    """The right body, as this host can run it."""
    (folder / "c").mkdir()
    body: dict[str, Any] = copy.deepcopy(BODY)
    host = body["HostConfig"]
    body |= {"Entrypoint": None, "Cmd": ["true"], "MacAddress": ""}
    body["NetworkingConfig"] = {"EndpointsConfig": {"bridge": {"Aliases": None, "IPAMConfig": {"IPv4Address": ""}}}}
    host |= {
        "Memory": 0,
        "MemorySwap": 0,
        "MemoryReservation": 0,
        "CapDrop": None,
        "ReadonlyRootfs": False,
        "CpusetCpus": "0",
        "Runtime": "",
    }
    host["Ulimits"] = [{"Name": "nofile", "Soft": 1000, "Hard": 2000}]  # with fewer, the runtimes themselves fail
    host["RestartPolicy"] = {"Name": "no", "MaximumRetryCount": 0}
    host["Mounts"][0]["Source"] = str(folder / "c")
    inside: dict[str, Any] = _kept_inside(body, folder)
    return inside


def _kept_inside(body: Any, folder: Path) -> Any:
    """A host path that is missing is made: not on the machine that runs the tests. And it starts nothing again and again."""
    host = body.get("HostConfig") if isinstance(body, dict) else None
    if isinstance(host, dict) and isinstance(host.get("Binds"), list):
        inside = f"{folder}/binds/"
        host["Binds"] = [text if not isinstance(text, str) or text.startswith(inside) else f"{inside}{text}" for text in host["Binds"]]
    return body


def _replaced(body: Any, place: tuple[Any, ...], wrong: Any) -> Any:
    try:
        return replaced(body, place, wrong)
    except (KeyError, IndexError, TypeError, AttributeError):
        return body  # the place went with another change


def _try(engine: Engine, body: Any, statuses: Counter[str], refusals: Counter[str], found: dict[str, str], what: str) -> None:
    def judge(step: str, answer: tuple[int, Any], expected: tuple[int, ...]) -> None:
        status, said = answer
        statuses[f"{step} {status}"] += 1
        sentence = str(said["message"] if isinstance(said, dict) and "message" in said else "")
        if status == 500:
            refusals[re.sub(r"[0-9a-f]{12,}|/tmp/[^ :]*", "…", sentence)[:160]] += 1
        if status not in expected or BUGS.search(sentence):
            found.setdefault(f"{step} {status} {sentence[:60]}", f"{step} answered {status} {sentence[:200]!r} to {what}")

    created = engine.api("POST", "/containers/create?name=victim", body)
    judge("create", created, EXPECTED)
    if created[0] != 201:
        return
    judge("start", engine.api("POST", "/containers/victim/start"), STARTED)
    judge("inspect", engine.api("GET", "/containers/victim/json"), (200, 404))
    judge("list", engine.api("GET", "/containers/json?all=1&size=1"), (200,))
    judge("remove", engine.api("DELETE", "/containers/victim?force=1"), (204, 404))
