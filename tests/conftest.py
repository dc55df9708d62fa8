"""Options and fixtures of all tests."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hosts import Host, join


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--require-kernel",
        action="store_true",
        default=os.environ.get("CI") == "true",
        help="fail, instead of skip, where root or an ability of the kernel is missing (default in CI)",
    )


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("kernel") is not None and os.geteuid() != 0:
        lacking(item.config, "needs root")


def lacking(config: pytest.Config, ability: str) -> None:
    """Skip the test for want of `ability`; with --require-kernel, fail it."""
    if config.getoption("--require-kernel"):
        pytest.fail(f"{ability} (--require-kernel)", pytrace=False)
    pytest.skip(ability)


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
