"""Every parser of a text: random ones, and a million characters of what regular expressions and number readers dislike."""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given, settings

from linkspan import config
from linkspan.api.detach import DetachKeys
from linkspan.api.filters import parse_filters
from linkspan.api.gate import request_length
from linkspan.api.router import Router
from linkspan.api.server import ROUTES
from linkspan.api.times import human_duration, parse_timestamp
from linkspan.api.versions import Version, served
from linkspan.cli import create_values, options, terminal, units
from linkspan.cli import ports as cli_ports
from linkspan.cli import reference as cli_reference
from linkspan.cli.template import Template
from linkspan.cli.template_parse import TemplateError
from linkspan.engine.events import Filters, _matches
from linkspan.engine.filters import _TESTS as CONTAINER_FILTERS
from linkspan.engine.filters import made_before, passes
from linkspan.engine.images import LIST_FILTERS, _passes
from linkspan.engine.network_views import TESTS as NETWORK_FILTERS
from linkspan.engine.network_views import passes as network_passes
from linkspan.engine.views import NetworkView
from linkspan.errors import InvalidInput
from linkspan.images.changes import apply_changes
from linkspan.images.configuration import nanoseconds
from linkspan.images.manifest import Platform
from linkspan.kernel import process
from linkspan.kernel.ports import _entries
from linkspan.model.container import Event, NetworkMode, container_name
from linkspan.model.endpoint import mac_address
from linkspan.model.moment import parse_moment
from linkspan.model.network import interface_name
from linkspan.model.publish import Port
from linkspan.model.reference import Reference, is_id
from linkspan.model.signals import signal_number
from linkspan.plan.files import Resolver
from linkspan.runtime import conmon, logs, seccomp
from linkspan.runtime.host import Host
from tests.unit.api.examples import IMAGE, NETWORK, VIEW
from tests.unit.fuzz.hostile import LONG_TEXTS, TEXTS, stays_small, survives

Parser = Callable[[str], object]

HOST = Host(cgroup2=True, swap_limit=True, capabilities=frozenset(), machine="x86_64", kernel=(6, 1))
ROUTER = Router(ROUTES)
EVENT = Event(kind="container", action="start", actor=VIEW.container.id, attributes={"name": "web", "image": "busybox:1"}, time=1)


def raw(text: str) -> bytes:
    return text.encode(errors="surrogatepass")


def _of_command_line(read: Parser) -> Parser:
    """A reader of a flag's value: it says what is wrong by ValueError, as argparse wants it."""

    def checked(text: str) -> object:
        try:
            return read(text)
        except (ValueError, TemplateError) as error:
            raise InvalidInput(str(error)) from error

    return checked


def _of_filter(test: Callable[[Filters], object]) -> Callable[[str], Parser]:
    return lambda key: lambda text: test({key: (text,)})


CONTAINERS = _of_filter(lambda filters: passes(VIEW, filters))
IMAGES = _of_filter(lambda filters: (_passes(IMAGE, filters), made_before(filters)))
NETWORKS = _of_filter(lambda filters: network_passes(NetworkView(network=NETWORK), filters))
EVENTS = _of_filter(lambda filters: _matches(EVENT, filters))
FLAGS = list({(option.parse, option.many): option.flags[0] for option in config._OPTIONS}.values())
"""One for each parser of values."""


def _flag(flag: str) -> Parser:
    return lambda text: config.load([f"--config-file={__file__}.none", f"{flag}={text}"])


def _change(keyword: str) -> Parser:
    return lambda text: apply_changes([f"{keyword} {text}"])


PARSERS: dict[str, Parser] = {
    "a port": Port.parse,
    "a reference": Reference.parse,
    "a reference of the command": cli_reference.parse,
    "an image's id": is_id,
    "filters": parse_filters,
    "a timestamp": lambda text: human_duration(parse_timestamp(text, "since")),
    "a moment": lambda text: parse_moment(text, 0),
    "detach keys": lambda text: DetachKeys(text).feed(raw(text)),
    "a version": lambda text: served(Version.split(f"/v{text}/info")[0] or Version(1, 24)),
    "a path": lambda text: [ROUTER.find(method, f"/{text}") for method in ("GET", "POST", "DELETE")],
    "a request": lambda text: request_length(b"POST /" + raw(text)),
    "a request for a connection": lambda text: request_length(b"POST /containers/x/attach HTTP/1.1\r\n" + raw(text) + b"\r\n\r\n"),
    "a signal": signal_number,
    "a signal's offset": lambda text: signal_number(f"SIGRTMIN+{text}"),
    "a container's name": container_name,
    "an interface's name": interface_name,
    "a network mode": lambda text: (NetworkMode.parse(text), NetworkMode.parse(f"container:{text}")),
    "a MAC address": mac_address,
    "a platform": Platform.parse,
    "a time of an image": nanoseconds,
    "resolv.conf": lambda text: Resolver.parse(text).reachable_from_container().text(),
    "a line of resolv.conf": lambda text: Resolver.parse(f"nameserver {text}\nsearch {text}\noptions {text}").text(),
    "a line of a log": lambda text: logs.parse(raw(text)),
    "a line of a log with a time": lambda text: logs.parse(b"2026-11-24T02:03:55.581111997+00:00 stdout F " + raw(text)),
    "the time in a log": lambda text: logs.parse(raw(text) + b" stdout F x"),
    "the runtime's log": lambda text: conmon.last_error(text[: 64 << 10]),
    "the monitor's report": lambda text: conmon.reported_pid(raw(text)),
    "a seccomp profile": lambda text: seccomp.render_profile(seccomp.parse_profile(text), (), HOST),
    "what the kernel says of sockets": lambda text: list(_entries([text], "udp")),
    **{f"a change {keyword}": _change(keyword) for keyword in "CMD ENV LABEL EXPOSE VOLUME USER STOPSIGNAL WORKDIR".split()},
    "a change": lambda text: apply_changes([text]),
    **{f"containers by {key}": CONTAINERS(key) for key in CONTAINER_FILTERS},
    **{f"images by {key}": IMAGES(key) for key in LIST_FILTERS if key not in ("since", "before")},
    **{f"networks by {key}": NETWORKS(key) for key in NETWORK_FILTERS},
    **{f"events by {key}": EVENTS(key) for key in ("type", "event", "label", "container", "network", "image", "scope", "daemon")},
    **{f"the engine's {flag}": _flag(flag) for flag in FLAGS},
}
COMMANDS: dict[str, Parser] = {
    "a template": Template,
    "an action of a template": lambda text: Template(f"{{{{{text}}}}}"),
    "-p": cli_ports.parse_publish,
    "--expose": cli_ports.parse_expose,
    "detach keys of the command": terminal.parse_keys,
    "a size": units.read_size,
    "a duration": units.read_duration,
    "a moment of the command": lambda text: units.read_moment(text, 0.0),
    **{f"flag: {name}": getattr(create_values, name) for name in dir(create_values) if name.startswith("_") and name[1:2].islower()
       and getattr(getattr(create_values, name), "__annotations__", {}).keys() == {"text", "return"}},
    **{f"flag: {name}": getattr(options, name) for name in ("_boolean", "_integer", "_pair", "_filter")},
}  # fmt: skip
ALL = PARSERS | {name: _of_command_line(read) for name, read in COMMANDS.items()}


@pytest.mark.parametrize("name", ALL)
@settings(max_examples=30, deadline=None)
@given(text=TEXTS)
def test_any_text(name: str, text: str) -> None:
    survives(lambda: ALL[name](text))


@pytest.mark.parametrize("name", ALL)
def test_long_texts(name: str) -> None:
    for text in LONG_TEXTS.values():
        survives(partial(ALL[name], text))


@pytest.mark.parametrize("name", ALL)
def test_memory_is_in_proportion(name: str) -> None:
    for text in ("9" * 100_000, "a," * 50_000, "x\n" * 50_000):
        stays_small(partial(ALL[name], text))


def test_a_broken_configuration_file(tmp_path: Path) -> None:
    path = tmp_path / "daemon.json"
    for name, text in LONG_TEXTS.items():
        path.write_bytes(raw(text))
        with pytest.raises(InvalidInput, match="unable to configure"):
            config.load([f"--config-file={path}"])
            pytest.fail(name)


def test_what_is_not_text(tmp_path: Path) -> None:
    path = tmp_path / "daemon.json"
    for data in (b"\xff\xfe\x00", b'{"data-root": "\\ud800"}', b'{"data-root": "/a\\u0000b"}', b'{"mtu": NaN}', b'{"mtu": 1e999}'):
        path.write_bytes(data)
        with pytest.raises(InvalidInput):
            config.load([f"--config-file={path}"])


def _keys() -> list[str]:
    return [option.key for option in config._OPTIONS] + ["debug", "ipv6", "runtimes"]


@pytest.mark.parametrize("key", _keys())
def test_values_of_the_configuration_file(key: str, tmp_path: Path) -> None:
    path = tmp_path / "daemon.json"
    for value in ("5", "-1", '"x"', "true", "[]", "[5]", "[[]]", "{}", '{"a": 1}', "null", "1e999", '""', '["\\n"]', "[null]"):
        path.write_text(f'{{"{key}": {value}}}')
        survives(lambda: config.load([f"--config-file={path}"]))


@settings(max_examples=60, deadline=None)
@given(name=TEXTS)
def test_a_process_may_have_any_name(name: str) -> None:
    comm = Path(f"/proc/self/task/{os.getpid()}/comm")
    before, started = comm.read_bytes(), process.start_time(os.getpid())
    try:
        comm.write_bytes(raw(name).replace(b"\0", b"")[:15] or b")")
        assert process.start_time(os.getpid()) == started > 0
    finally:
        comm.write_bytes(before.strip())


def test_the_list_of_parsers_is_not_empty() -> None:
    assert {"flag: _extra_host", "flag: _ulimit", "flag: _mount"} <= ALL.keys()
    assert len(FLAGS) > 5
