"""The engine's progress messages (pull, load, import), drawn as docker draws them: a line per layer on a terminal, else one per step."""

from collections.abc import Iterable, Mapping
from typing import Any, TextIO

from linkspan.cli.failures import CommandError
from linkspan.cli.units import decimal_size

_BAR = 50


def show(messages: Iterable[Mapping[str, Any]], out: TextIO | None) -> None:
    """Print messages as they come; `out` None prints nothing.

    Raises CommandError if one of them is an error.
    """
    terminal = out is not None and out.isatty()
    lines: dict[str, int] = {}
    for message in messages:
        if "error" in message or "errorDetail" in message:
            raise CommandError(str((message.get("errorDetail") or {}).get("message") or message.get("error")))
        if out is None:
            continue
        if terminal:
            _draw(message, lines, out)
        elif not (message.get("progressDetail") or {}).get("total"):
            out.write(_text(message) + ("" if message.get("stream") else "\n"))
        out.flush()


def _draw(message: Mapping[str, Any], lines: dict[str, int], out: TextIO) -> None:
    """Draw on the layer's own line; anything that is no layer ends the block of lines."""
    name, detail = message.get("id", ""), message.get("progressDetail")
    if not name or detail is None:
        lines.clear()
        out.write(_text(message) + ("" if message.get("stream") else "\n"))
        return
    if name not in lines:
        lines[name] = len(lines)
        out.write("\n")
    up = len(lines) - lines[name]
    out.write(f"\x1b[{up}A\x1b[2K\r{_text(message)}{_bar(detail)}\r\x1b[{up}B")


def _text(message: Mapping[str, Any]) -> str:
    if message.get("stream"):
        return str(message["stream"])
    front = f"{message['id']}: " if message.get("id") else ""
    return f"{front}{message.get('status', '')}"


def _bar(detail: Mapping[str, Any]) -> str:
    current, total = detail.get("current") or 0, detail.get("total") or 0
    if total <= 0:
        return f" {decimal_size(current):>8}" if current else ""
    done = min(int(current / total * _BAR), _BAR)
    arrow = "=" * done + (">" if done < _BAR else "")
    return f" [{arrow:<{_BAR}}] {decimal_size(current):>8}/{decimal_size(total)}"
