"""Options and fixtures of all tests."""

import contextlib
import os
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest

from tests.engines import ENGINES, Engine
from tests.hosts import OUTSIDE_ADDRESS, Host, join
from tests.nameservers import NameServer


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--require-kernel",
        action="store_true",
        default=os.environ.get("CI") == "true",
        help="fail, instead of skip, where root or an ability of the kernel is missing (default in CI)",
    )
    parser.addoption("--update-golden", action="store_true", help="write the golden files anew instead of comparing with them")


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("kernel") is not None and os.geteuid() != 0:
        lacking(item.config, "needs root")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the engines' logs with a failure."""
    report = yield
    if report.failed:
        report.sections += [(f"log of the engine in {engine.folder}", engine.log[-8000:]) for engine in ENGINES]
    return report


def lacking(config: pytest.Config, ability: str) -> None:
    """Skip the test for want of `ability`; with --require-kernel, fail it."""
    if config.getoption("--require-kernel"):
        pytest.fail(f"{ability} (--require-kernel)", pytrace=False)
    pytest.skip(ability)


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[Path, str], None]:
    """Compares a text with a file that somebody has read and found right."""

    def check(path: Path, text: str) -> None:
        if request.config.getoption("--update-golden"):
            path.write_text(text)
        assert text == path.read_text()

    return check


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    """A machine of its own: a fresh network namespace, `lo` up, no way out."""
    with Host(tmp_path / "host.net") as machine:
        yield machine


@pytest.fixture
def outside(host: Host, tmp_path: Path) -> Iterator[Host]:
    """The neighbour on `host`'s link: 10.99.0.2, where `host` has 10.99.0.1 on eth0."""
    with Host(tmp_path / "outside.net") as machine:
        join(host, machine)
        yield machine


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Engine, Host]]:
    """A test host with a running engine, and the neighbour on its link: shared by the tests of a module."""
    folder = tmp_path_factory.mktemp("m")
    with Host(folder / "host.net") as inside, Host(folder / "outside.net") as neighbour:
        join(inside, neighbour)
        with Engine(inside, folder / "e") as running:
            yield running, neighbour


@pytest.fixture
def engine(machine: tuple[Engine, Host]) -> Iterator[Engine]:
    """A running engine without containers; the test may leave some."""
    running, _ = machine
    yield running
    running.remove_containers()


@pytest.fixture
def neighbour(machine: tuple[Engine, Host]) -> Host:
    """The neighbour of `engine`'s host: 10.99.0.2."""
    return machine[1]


@pytest.fixture
def new_engine(host: Host, outside: Host, tmp_path: Path) -> Iterator[Callable[..., Engine]]:
    """Starts an engine of the test's own, with the daemon's flags."""
    with contextlib.ExitStack() as stack:
        yield lambda *flags: stack.enter_context(Engine(host, tmp_path / "e", *flags))


@pytest.fixture(scope="module")
def named_machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Engine, Host]]:
    """As `machine`; the host's resolv.conf names the neighbour's name server."""
    folder = tmp_path_factory.mktemp("m")
    (folder / "resolv.conf").write_text(f"nameserver {OUTSIDE_ADDRESS}\nsearch corp.example\n")
    with Host(folder / "host.net") as inside, Host(folder / "outside.net") as neighbour:
        join(inside, neighbour)
        with Engine(inside, folder / "e", f"--resolv-conf={folder}/resolv.conf") as running:
            yield running, neighbour


@pytest.fixture
def named(named_machine: tuple[Engine, Host]) -> Iterator[Engine]:
    """An engine with a network `front`, without containers, that others know by name."""
    running, _ = named_machine
    running.docker("network", "create", "front")
    yield running
    running.remove_containers()
    running.docker("network", "prune", "-f")


@pytest.fixture
def server(named_machine: tuple[Engine, Host]) -> Iterator[NameServer]:
    """The host's name server: the neighbour of `named`'s host."""
    with NameServer(named_machine[1], OUTSIDE_ADDRESS, {"a.example": "192.0.2.1", "b.corp.example": "192.0.2.2"}) as running:
        yield running
