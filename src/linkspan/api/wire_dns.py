"""What `linkspan dns` shows, in JSON."""

from collections.abc import Mapping

import dnslib

from linkspan.engine.tracing import Asked, NameTrace, Step


def trace(found: NameTrace) -> dict[str, object]:
    """Render the questions about a name."""
    return {
        "Container": found.container,
        "Type": found.kind,
        "NameServers": list(found.configured.servers),
        "Search": list(found.configured.search),
        "Options": list(found.configured.options),
        "Questions": [_question(asked) for asked in found.asked],
    }


def _question(asked: Asked) -> dict[str, object]:
    return {"Name": asked.name, "Steps": [_step(step) for step in asked.steps], "Answer": _answer(asked.answer)}


def _step(step: Step) -> dict[str, object]:
    shown: dict[str, object] = {"Milliseconds": step.milliseconds, "What": step.what, "Server": step.server}
    return shown | ({"Answer": _answer(step.message)} if step.message else {})


def _answer(message: bytes) -> dict[str, object]:
    """Render a message; what a server has sent need not be sound."""
    try:
        parsed = dnslib.DNSRecord.parse(message)
        records, authority = ([" ".join(record.toZone().split()) for record in part] for part in (parsed.rr, parsed.auth))
    except Exception as error:  # noqa: BLE001  dnslib raises what it likes
        return {"Code": f"cannot be read: {error}", "Truncated": False, "Records": [], "Authority": []}
    code = dnslib.RCODE.get(parsed.header.rcode, "")
    return {"Code": str(code), "Truncated": bool(parsed.header.tc), "Records": records, "Authority": authority}


def status(figures: Mapping[str, object]) -> dict[str, object]:
    """Render the resolver's figures; none of them if there is no resolver."""
    if not figures:
        return {"Running": False}
    return {"Running": True, **{name: figures.get(key) for name, key in _FIGURES.items()}}


_FIGURES = {
    "Pid": "pid",
    "Sandboxes": "sandboxes",
    "Answered": "answered",
    "Forwarded": "asked",
    "Cached": "kept",
    "CachedBytes": "kept_bytes",
    "UnderWay": "under_way",
}
