"""Requests made from the API's own description, right and wrong ones: described answers only, no traceback, no hang, no growth."""

import contextlib
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, cast

import requests
import schemathesis
from docker.transport import UnixHTTPAdapter
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis import Case, GenerationMode
from schemathesis.checks import CheckFunction
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance, status_code_conformance

from tests.campaigns.campaign import Result, Scale
from tests.engines import Engine
from tests.hosts import Host

ROUNDS = 24
"""Of the whole campaign; the first quarter is the warm-up that later sizes of the engine are compared with."""
EXAMPLES = 6
"""For each operation, of each kind, in a round."""
PATIENCE = 30.0
"""Seconds within which every request that is no stream is answered."""
GROWTH = 8 << 20
"""Bytes that the engine may be larger after the last round than after the warm-up: interpreters and their allocators breathe."""

URL = "http://engine"
CHECKS: list[CheckFunction] = [status_code_conformance, content_type_conformance, response_schema_conformance]
LOG_LINE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} (DEBUG|INFO|WARNING|ERROR|CRITICAL) [^\x00-\x1f\x7f]*")
RUNNER = ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 1 & wait; done"]
NAMES = ("runner", "stopped")


@dataclass
class Attack:
    """The engine, what was sent to it, and what was found."""

    engine: Engine
    random: Random
    session: requests.Session
    execs: list[str] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    """Sentences of the 500s, without what differs between them."""
    found: dict[str, str] = field(default_factory=dict)
    """By what is at fault: one example of each."""

    def find(self, what: str, example: object) -> None:
        self.found.setdefault(what, f"{what}: {str(example)[:400]}")


schemathesis.serializer.alias("application/x-tar", "application/octet-stream")


def run(scale: Scale) -> Result:
    """Send requests of every kind to an engine of its own, round by round."""
    with Host(scale.folder / "host.net") as host, Engine(host, scale.folder / "e") as engine, requests.Session() as session:
        _mount(session, engine)
        attack = Attack(engine, scale.random(), session)
        archive = scale.folder / "busybox.tar"
        engine.docker("save", "-o", archive, "busybox")
        operations = _operations(session.get(f"{URL}/linkspan/openapi.json", timeout=PATIENCE).json())
        sizes = [_round(attack, operations, archive, number) for number in range(scale.times(ROUNDS, least=2))]
        for fault in check_log(engine):
            attack.find(fault, "")
    growth = sizes[-1] - sizes[len(sizes) // 4]
    if growth > GROWTH:
        attack.find("the engine grows", f"{growth >> 20} MiB over {len(sizes) - 1} rounds: {[size >> 20 for size in sizes]}")
    statuses = ", ".join(f"{count:,} times {status}" for status, count in sorted(attack.statuses.items()))
    tried = f"{attack.statuses.total():,} requests to {len(operations)} operations ({statuses})"
    notes = [
        f"resident size {sizes[0] >> 20} → {sizes[-1] >> 20} MiB",
        *(f"{count} times 500: {said}" for said, count in attack.failures.items()),
    ]
    return Result(tried=tried, found=list(attack.found.values()), notes="; ".join(notes))


def _operations(description: dict[str, Any]) -> list[Any]:
    for schema in description["components"]["schemas"].values():
        _forbid_more(schema)
    schema = schemathesis.openapi.from_dict(description)
    return [cast("Any", found).ok() for found in schema.get_all_operations()]


def _forbid_more(schema: Any) -> None:
    """What is answered has the described fields and no others: those that have to be there are listed as required."""
    if isinstance(schema, dict):
        if "required" in schema and "properties" in schema:
            schema.setdefault("additionalProperties", False)
        for part in schema.values():
            _forbid_more(part)
    elif isinstance(schema, list):
        for part in schema:
            _forbid_more(part)


def _round(attack: Attack, operations: list[Any], archive: Path, number: int) -> int:
    """Try every operation; returns the engine's resident size afterwards, in bytes."""
    for position, operation in enumerate(operations):
        rare = "missing" in operation.tags
        if not rare:
            _prepare(attack.engine, attack, archive)
        for mode in _modes(operation):
            _examples(attack, operation, mode, 1 if rare else EXAMPLES, number * 1000 + position + attack.random.randrange(10**6))
    return resident(attack.engine.pid)


def _modes(operation: Any) -> list[GenerationMode]:
    """Right requests, and wrong ones where something can be wrong: any word is a name of something, and any bytes are an archive."""
    json_body = "application/json" in operation.definition.raw.get("requestBody", {}).get("content", ())
    return list(GenerationMode) if json_body or operation.query else [GenerationMode.POSITIVE]


def _examples(attack: Attack, operation: Any, mode: GenerationMode, count: int, start: int) -> None:
    quiet = list(HealthCheck)

    @seed(start)
    @settings(max_examples=count, database=None, deadline=None, phases=[Phase.generate], suppress_health_check=quiet)
    @given(case=operation.as_strategy(generation_mode=mode))
    def send(case: Case[Any]) -> None:
        _send(attack, _steered(attack, case))

    send()


def _send(attack: Attack, case: Case[Any]) -> None:
    try:
        sent = case.as_transport_kwargs(base_url=URL)
    except (ValueError, TypeError):
        return  # not even a wrong request: a header with a newline, half a surrogate
    streams = case.operation.definition.raw.get("x-streams", False)
    try:
        with (
            _connection(attack, streams=streams) as session,
            session.request(**sent, stream=streams, timeout=(PATIENCE, 0.2 if streams else PATIENCE)) as answer,
        ):
            _check(attack, case, answer, streams=streams)
    except requests.exceptions.InvalidHeader:
        return  # again not even that
    except requests.RequestException as error:
        if not (streams and "Read timed out" in str(error)):
            attack.find(case.operation.label, f"{error} {sent}")


def _check(attack: Attack, case: Case[Any], answer: requests.Response, *, streams: bool) -> None:
    attack.statuses[answer.status_code] += 1
    checks = CHECKS
    if streams and answer.status_code < 400:
        _read_some(answer)
        # A detached exec says nothing, and no type of it.
        checks = CHECKS[:1] if answer.headers.get("Content-Length") == "0" else CHECKS[:2]
    try:
        case.validate_response(answer, checks=checks)
    except BaseExceptionGroup as failures:
        words = "; ".join(map(str, failures.exceptions))
        attack.find(case.operation.label, f"{words} {answer.request.url} {answer.request.body!r}".replace("\n", " "))
    if answer.status_code == 500:
        attack.failures[re.sub(r"[0-9a-f]{12,}|'.*'|\".*\"", "…", answer.json()["message"])[:120]] += 1


@contextlib.contextmanager
def _connection(attack: Attack, *, streams: bool) -> Iterator[requests.Session]:
    """The session, or one for this request alone: a connection that was taken over is of no use afterwards."""
    if not streams:
        yield attack.session
        return
    with requests.Session() as session:
        _mount(session, attack.engine)
        yield session


def _mount(session: requests.Session, engine: Engine) -> None:
    session.mount(URL, UnixHTTPAdapter(f"http+unix://{engine.socket}", timeout=PATIENCE))


def _read_some(answer: requests.Response) -> None:
    """Read a stream until it ends or says nothing for a moment, and leave it."""
    with contextlib.suppress(requests.RequestException, OSError):
        for _ in answer.iter_content(4096):
            pass
    answer._content = b""  # what was read is not for the checks: it may be the beginning of something


def _steered(attack: Attack, case: Case[Any]) -> Case[Any]:
    """Point most requests at what is there, and keep the test's own limits: no long waits, nothing outside its folder."""
    choose = attack.random.choice
    tag = case.operation.tags[0]
    if "id" in (case.path_parameters or {}) and attack.random.random() < 0.8:
        kinds: dict[str, Callable[[], str]] = {
            "containers": lambda: choose(NAMES),
            "streams": lambda: choose(attack.execs or ["none"]) if case.path.startswith("/exec") else choose(NAMES),
            "networks": lambda: choose(["bridge", "host", "none"]),
        }
        case.path_parameters["id"] = kinds.get(tag, lambda: "x")()
    if "name" in (case.path_parameters or {}) and tag == "images" and attack.random.random() < 0.7:
        case.path_parameters["name"] = choose(["busybox", "busybox:latest", "localhost:1/none/here:1"])
    if isinstance(case.query, dict):
        _limit_times(case.query)
    if case.path == "/containers/create" and isinstance(case.body, dict):
        _steer_create(attack, case.body)
    if case.path.endswith("/exec") and isinstance(case.body, dict) and attack.random.random() < 0.7:
        cast("dict[str, Any]", case.body)["Cmd"] = choose([["true"], ["cat"], ["nope"], ["sh", "-c", "echo $RANDOM; exit 3"]])
    return case


def _limit_times(query: dict[str, Any]) -> None:
    if isinstance(query.get("t"), int):
        query["t"] = min(abs(query["t"]), 1)


def _steer_create(attack: Attack, body: dict[str, Any]) -> None:
    if attack.random.random() < 0.8:
        body["Image"] = "busybox"
    if attack.random.random() < 0.5:
        body["Cmd"] = attack.random.choice([["true"], RUNNER])
    for key in [key for key in body if key.lower() == "hostconfig"]:
        host = body[key]
        if isinstance(host, dict):
            for name in [name for name in host if name.lower() == "binds"]:
                host[name] = _inside(attack.engine.folder, host[name])


def _inside(folder: Path, binds: Any) -> Any:
    """A host path that is missing is made: not on the machine that runs the tests."""
    if isinstance(binds, str):
        return f"{folder}/binds{binds}" if binds.startswith("/") else binds
    return [_inside(folder, bind) for bind in binds] if isinstance(binds, list) else binds


def _prepare(engine: Engine, attack: Attack, archive: Path) -> None:
    """See to it that there is something to point requests at, and not more and more of it."""
    for made in _get(engine, "/containers/json?all=1"):
        if made["Names"][0].removeprefix("/") not in NAMES:
            engine.api("DELETE", f"/containers/{made['Id']}?force=1")
    tags = [tag for image in _get(engine, "/images/json") for tag in image["RepoTags"]]
    for tag in set(tags) - {"busybox:latest"}:
        engine.api("DELETE", f"/images/{tag}?force=1")
    if "busybox:latest" not in tags:
        engine.api("POST", "/images/load", raw=archive.read_bytes())
    for name, command in zip(NAMES, (RUNNER, ["true"]), strict=True):
        status, found = engine.api("GET", f"/containers/{name}/json")
        if status == 404:
            engine.api("POST", f"/containers/create?name={name}", {"Image": "busybox", "Cmd": command})
        if name == "runner" and (status == 404 or not found["State"]["Running"] or found["State"]["Paused"]):
            engine.api("POST", "/containers/runner/unpause")
            engine.api("POST", "/containers/runner/start")
    status, made = engine.api("POST", "/containers/runner/exec", {"Cmd": ["cat"], "AttachStdin": True})
    attack.execs = [*attack.execs[-3:], made.get("Id", "none")]


def _get(engine: Engine, path: str) -> Any:
    status, found = engine.api("GET", path)
    assert status == 200, found
    return found


def resident(pid: int) -> int:
    """Return the resident size of a process, in bytes."""
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1]) << 10


def check_log(engine: Engine) -> Iterator[str]:
    """Yield what is wrong with the engine's log: tracebacks, and lines that look like none of its own."""
    log = engine.log
    if "Traceback" in log:
        yield f"a traceback in the engine's log: {log.partition('Traceback')[2][:1000]}"
    for line in log.rstrip("\n").split("\n"):
        if not (LOG_LINE.fullmatch(line) or line.startswith("  ")):
            yield f"a line in the engine's log that is none of its own: {json.dumps(line)}"
