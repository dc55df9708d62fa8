"""Many clients at once want the same: one gets it, the others hear why not, and nothing is left of their attempts."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.campaigns import crowd as crowds
from tests.campaigns.campaign import Scale
from tests.clients import Crowd, box, published, statuses
from tests.engines import Engine
from tests.leaks import settled
from tests.registries import REGISTRY, Registry

pytestmark = pytest.mark.kernel

MANY = 100


def together(engine: Engine, work: Callable[[Crowd], Awaitable[Any]]) -> Any:
    async def main() -> Any:
        async with Crowd(engine.socket) as crowd:
            return await work(crowd)

    return asyncio.run(main())


@pytest.fixture(autouse=True)
def whole(engine: Engine) -> Iterator[None]:
    """Afterwards the host holds what the store says, and nothing more."""
    yield
    assert settled(engine) == []


def names(count: int) -> list[str]:
    return [f"c{number}" for number in range(count)]


def created(engine: Engine, count: int, body: object) -> list[str]:
    """Create that many containers; returns their names."""
    answers = together(engine, lambda crowd: crowd.all("POST", [f"/containers/create?name={name}" for name in names(count)], body))
    assert statuses(answers) == {201: count}
    return names(count)


def test_one_name(engine: Engine) -> None:
    answers = together(engine, lambda crowd: crowd.all("POST", ["/containers/create?name=same"] * MANY, box()))
    assert statuses(answers) == {201: 1, 409: MANY - 1}
    winner = next(answer.json["Id"] for answer in answers if answer.status == 201)
    assert {answer.message for answer in answers if answer.status == 409} == {
        f'Conflict. The container name "/same" is already in use by container "{winner}". '
        "You have to remove (or rename) that container to be able to reuse that name."
    }
    assert "is already in use by container" in engine.refused("create", "--name", "same", "busybox")


def test_one_host_port(engine: Engine) -> None:
    started = [f"/containers/{name}/start" for name in created(engine, MANY, published(8080))]
    answers = together(engine, lambda crowd: crowd.all("POST", started))
    assert statuses(answers) == {204: 1, 409: MANY - 1}
    assert all("Bind for 0.0.0.0:8080 failed: port is already allocated" in answer.message for answer in answers if answer.status == 409)
    assert len(engine.docker("ps", "-q").split()) == 1


def test_starts_of_one_container(engine: Engine) -> None:
    created(engine, 1, box())
    answers = together(engine, lambda crowd: crowd.all("POST", ["/containers/c0/start"] * 20))
    assert statuses(answers) == {204: 1, 304: 19}
    answers = together(engine, lambda crowd: crowd.all("POST", ["/containers/c0/stop?t=0"] * 20))
    assert set(statuses(answers)) <= {204, 304}
    assert engine.inspect("c0")["State"]["Status"] == "exited"


def test_races_for_one_container(engine: Engine) -> None:
    async def race(crowd: Crowd) -> list[int]:
        seen: list[int] = []
        for _ in range(4):
            await crowd.ask("POST", "/containers/create?name=c0", box())
            paths = ["start", "stop?t=0", "restart?t=0", "kill", "pause", "unpause"] * 3
            asked = [crowd.ask("POST", f"/containers/c0/{path}") for path in paths]
            answers = await asyncio.gather(*asked, crowd.ask("DELETE", "/containers/c0?force=1"))
            seen += [answer.status for answer in answers]
            assert not [answer for answer in answers if answer.status >= 500], answers
        return seen

    assert 204 in together(engine, race)


def test_commands_in_one_container(engine: Engine) -> None:
    engine.docker("run", "-d", "--name", "c0", "busybox", "sleep", "100")

    async def command(crowd: Crowd, number: int) -> int:
        made = await crowd.ask("POST", "/containers/c0/exec", {"Cmd": ["sh", "-c", f"exit {number}"], "AttachStdout": True})
        await crowd.ask("POST", f"/exec/{made.json['Id']}/start", {})
        return int((await crowd.ask("GET", f"/exec/{made.json['Id']}/json")).json["ExitCode"])

    async def all_of_them(crowd: Crowd) -> list[int]:
        return await asyncio.gather(*(command(crowd, number) for number in range(20)))

    assert together(engine, all_of_them) == list(range(20))


def test_no_address_twice_and_the_pool_runs_out(new_engine: Callable[..., Engine]) -> None:
    engine = new_engine("--bip", "172.30.0.1/24", "--fixed-cidr", "172.30.0.16/28")
    started = [f"/containers/{name}/start" for name in created(engine, 20, box())]
    answers = together(engine, lambda crowd: crowd.all("POST", started))
    assert statuses(answers) == {204: 16, 503: 4}
    assert all("no available IPv4 addresses on this network's address pools: bridge" in a.message for a in answers if a.status == 503)
    running = engine.docker("ps", "--format", "{{.Names}}").split()
    assert {engine.address(name) for name in running} == {f"172.30.0.{number}" for number in range(16, 32)}
    assert settled(engine) == []
    engine.docker("rm", "-f", running[0])
    late = next(name for name in names(20) if name not in running)
    engine.docker("start", late)
    assert settled(engine) == []


def test_pulls_of_one_image(engine: Engine, tmp_path: Path) -> None:
    Registry(engine.host, tmp_path / "registry").start()
    image = f"{REGISTRY}/one:latest"
    engine.docker("tag", "busybox", image)
    engine.docker("push", "-q", image)
    engine.docker("rmi", image)
    answers = together(engine, lambda crowd: crowd.all("POST", [f"/images/create?fromImage={REGISTRY}/one&tag=latest"] * 5))
    assert statuses(answers) == {200: 5}
    assert not [answer for answer in answers if "error" in answer.text]
    engine.docker("rmi", image)


def test_mixed_clients(tmp_path: Path) -> None:
    result = crowds.run(Scale(folder=tmp_path, share=0.05, seed=3))
    assert not result.found
    assert int(result.tried.split()[0]) > 30, result.tried
