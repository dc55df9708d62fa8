"""What an engine can do with containers, each as an operation whose steps can be made to fail (tests.lab)."""

import contextlib
from ipaddress import IPv4Address
from typing import Any

from linkspan.engine.engine import Engine
from linkspan.engine.requests import AttachRequest, CreateRequest, ExecRequest
from linkspan.errors import Conflict, EngineError, Forbidden, NotFound, NotModified
from linkspan.model.attachment import Attachment
from linkspan.model.container import Mount, NetworkConfig, NetworkMode, RestartPolicy
from linkspan.model.network_request import NetworkRequest
from linkspan.model.network_update import NetworkUpdate
from linkspan.model.publish import Port, PortRequest
from tests.lab import Operation, Work, in_order, nothing

PUBLISHED = (
    PortRequest(port=Port(80), first=8080, last=8080),
    PortRequest(port=Port(81), host_ip=IPv4Address("127.0.0.1"), first=8081, last=8081),
    PortRequest(port=Port(53, "udp"), first=5300, last=5300),
)


def create(name: str, mode: str = "bridge", **more: Any) -> Work:
    network = {key: more.pop(key) for key in ("requests", "exposed") if key in more}
    config = NetworkConfig(mode=NetworkMode.parse(mode), **network)
    request = CreateRequest(image="busybox", name=name, cmd=("sleep", "100"), network=config, **more)
    return lambda engine: engine.containers.create(request)


def start(name: str) -> Work:
    return lambda engine: engine.lifecycle.start(name)


def stop(name: str) -> Work:
    async def stopped(engine: Engine) -> None:
        with contextlib.suppress(NotModified):  # it had ended before
            await engine.lifecycle.stop(name, 0)

    return stopped


def remove(name: str) -> Work:
    async def removed(engine: Engine) -> None:
        with contextlib.suppress(NotFound):
            await engine.lifecycle.remove(name, force=True)

    return removed


def run(name: str, mode: str = "bridge", **more: Any) -> Work:
    return in_order(create(name, mode, **more), start(name))


def network(name: str, **more: Any) -> Work:
    """Make a network, unless it is there from an earlier operation."""

    async def made(engine: Engine) -> None:
        with contextlib.suppress(Conflict):
            await engine.networks.create(NetworkRequest(name=name, **more))

    return made


def connect(to: str, name: str = "box", **more: Any) -> Work:
    """Connect, unless it is connected already."""

    async def connected(engine: Engine) -> None:
        with contextlib.suppress(Forbidden):
            await engine.connections.connect(to, name, Attachment(network=to, **more))

    return connected


def disconnect(of: str, name: str = "box") -> Work:
    """Disconnect, unless it is not connected any more."""

    async def disconnected(engine: Engine) -> None:
        try:
            await engine.connections.disconnect(of, name)
        except EngineError as error:
            if "is not connected to" not in str(error):
                raise

    return disconnected


def kill(name: str) -> Work:
    """Send SIGKILL and wait for the end."""

    async def killed(engine: Engine) -> None:
        with contextlib.suppress(NotFound):
            end = engine.lifecycle.waiter(name)
            with contextlib.suppress(Conflict):  # it does not run
                await engine.lifecycle.kill(name)
            await end

    return killed


def execute(name: str, *, detach: bool) -> Work:
    async def executed(engine: Engine) -> None:
        made = await engine.execs.create(name, ExecRequest(cmd=("true",), attach_stdout=not detach))
        streams = await engine.execs.start(made, detach=detach)
        if streams is not None:
            async for _ in streams:
                pass

    return executed


def create_network(name: str, **more: Any) -> Work:
    return lambda engine: engine.networks.create(NetworkRequest(name=name, **more))


def update_network(name: str, **more: Any) -> Work:
    return lambda engine: engine.networks.update(name, NetworkUpdate(**more))


def remove_network(name: str) -> Work:
    async def removed(engine: Engine) -> None:
        with contextlib.suppress(NotFound):
            await engine.networks.remove(name)

    return removed


async def ensure_running(engine: Engine) -> None:
    with contextlib.suppress(NotModified):
        await engine.lifecycle.start("box")


async def create_missing(engine: Engine) -> None:
    for name in ("box", "other"):
        with contextlib.suppress(Conflict):
            await create(name)(engine)


async def attach(engine: Engine) -> None:
    attachment = await engine.streams.attach("box", AttachRequest(stdout=True, stream=True))
    await attachment.close()


def why(line: str) -> bool:
    """A refused start leaves its reason in the record, as in Docker; who is followed to its end later has no descriptor yet."""
    return ".state.error" in line or ".state.exit_code" in line or line == "descriptors - anon_inode:[pidfd]"


def asked_to_stop(line: str) -> bool:
    """A container that has got its stop signal and does not end by it was asked to stop all the same."""
    return line.endswith((".state.manually_stopped = True", ".state.restart_asked = True"))


def died_by_itself(line: str) -> bool:
    """A signal that got there and is said to have failed was not asked for: the container has ended by itself."""
    return line.endswith(".state.manually_stopped = True")


def first_run(line: str) -> bool:
    """What a first start writes into the container's own folder stays there until the next start writes it anew."""
    return why(line) or line.startswith("files + data/containers/<box>/")


def on(name: str) -> Attachment:
    return Attachment(network=name)


def reserved(line: str) -> bool:
    """The address that a container was given stays its own until it is removed."""
    return line.startswith(("rows + address ", "rows + endpoint <box.", "memory + endpoint <box."))


def started(*before: Work, mode: str = "bridge", **more: Any) -> Operation:
    """A start of a container that ran before."""
    return Operation(
        prepare=in_order(*before, run("box", mode, **more), stop("box")), operate=start("box"), restore=stop("box"), passing=why
    )


MANY = tuple(PortRequest(port=Port(number), first=number, last=number) for number in range(20000, 21200))
ALL_OPTIONS = {
    "com.docker.network.bridge.name": "br-all",
    "com.docker.network.bridge.enable_icc": "false",
    "com.docker.network.driver.mtu": "1400",
}
BINDS = (
    Mount(kind="tmpfs", target="/scratch", options=("size=1m",)),
    Mount(kind="bind", source="/tmp", target="/host", options=("ro",)),
)

OPERATIONS: dict[str, Operation] = {
    "create": Operation(operate=create("box"), restore=remove("box")),
    "first start": Operation(
        prepare=create("box"), operate=start("box"), restore=in_order(remove("box"), create("box")), passing=first_run, kept=reserved
    ),
    "start": started(),
    "start, published": started(requests=PUBLISHED),
    "start, linked": started(run("web", exposed=(Port(80),)), links=("web",)),
    "start, none": started(mode="none"),
    "start, host": started(mode="host"),
    "start, container": started(run("target"), mode="container:target"),
    # The other one needs the resolver too, so that it is there before and after.
    "start, named": started(network("front"), run("neighbour", "front"), mode="front"),
    "start, of both families": started(network("both", ipv6=True), run("neighbour", "both"), mode="both", requests=PUBLISHED),
    "start, two networks": started(
        network("front"),
        network("back"),
        run("neighbour", "front"),
        mode="front",
        attachments=(on("front"), on("back")),
        requests=PUBLISHED,
    ),
    "connect": Operation(
        prepare=in_order(network("front"), network("back"), run("neighbour", "front"), run("box", "front", requests=PUBLISHED)),
        operate=connect("back", gateway_priority=1),
        restore=disconnect("back"),
    ),
    # The first network with names: its sockets are opened, and its resolv.conf is changed, which is not changed back.
    "connect, the first with names": Operation(
        prepare=in_order(network("front"), run("neighbour", "front"), run("box"), connect("front"), disconnect("front")),
        operate=connect("front"),
        restore=disconnect("front"),
    ),
    "connect, stopped": Operation(
        prepare=in_order(network("front"), network("back"), create("box", "front")),
        operate=connect("back", aliases=("web",)),
        restore=disconnect("back"),
    ),
    "disconnect": Operation(
        prepare=in_order(
            network("front"), network("back"), run("neighbour", "front"), run("box", "front", requests=PUBLISHED), connect("back")
        ),
        operate=disconnect("back"),
        restore=connect("back"),
    ),
    "start, mounts and init": started(init=True, mounts=BINDS),
    "start, many ports": started(requests=MANY),
    "rename": Operation(
        prepare=create("box"),
        operate=lambda engine: engine.containers.rename("box", "other"),
        restore=lambda engine: engine.containers.rename("other", "box"),
    ),
    "rename, named": Operation(
        prepare=in_order(network("front"), run("box", "front")),
        operate=lambda engine: engine.containers.rename("box", "other"),
        restore=lambda engine: engine.containers.rename("other", "box"),
    ),
    "update": Operation(
        prepare=create("box"),
        operate=lambda engine: engine.containers.update("box", RestartPolicy(name="always")),
        restore=lambda engine: engine.containers.update("box", RestartPolicy()),
    ),
    "pause": Operation(
        prepare=run("box"),
        operate=lambda engine: engine.lifecycle.pause("box"),
        restore=lambda engine: engine.lifecycle.unpause("box"),
    ),
    "unpause": Operation(
        prepare=in_order(run("box"), lambda engine: engine.lifecycle.pause("box")),
        operate=lambda engine: engine.lifecycle.unpause("box"),
        restore=lambda engine: engine.lifecycle.pause("box"),
    ),
    "exec": Operation(prepare=in_order(run("box"), execute("box", detach=False)), operate=execute("box", detach=False), restore=nothing),
    "exec, detached": Operation(
        prepare=in_order(run("box"), execute("box", detach=False)), operate=execute("box", detach=True), restore=nothing
    ),
    # The monitor is read from as long as it lives, so that it never waits.
    "attach": Operation(prepare=run("box"), operate=attach, restore=nothing, passing=lambda line: line == "descriptors + socket:[N]"),
    "stop": Operation(prepare=run("box", requests=PUBLISHED), operate=stop("box"), restore=start("box"), ends=True, passing=asked_to_stop),
    "stop of a member": Operation(
        prepare=in_order(run("target"), run("box", "container:target")),
        operate=stop("box"),
        restore=start("box"),
        ends=True,
        passing=asked_to_stop,
    ),
    "stop of a target": Operation(
        prepare=in_order(run("box"), run("member", "container:box")),
        operate=stop("box"),
        restore=start("box"),
        ends=True,
        passing=asked_to_stop,
    ),
    "kill": Operation(prepare=run("box"), operate=kill("box"), restore=start("box"), ends=True, passing=died_by_itself),
    "restart": Operation(
        prepare=run("box"),
        operate=lambda engine: engine.lifecycle.restart("box", 0),
        restore=ensure_running,
        between=stop("box"),
        ends=True,
        passing=lambda line: asked_to_stop(line) or why(line),
    ),
    "rm": Operation(prepare=in_order(run("box"), stop("box")), operate=remove("box"), restore=in_order(run("box"), stop("box")), ends=True),
    "rm -f": Operation(
        prepare=run("box", requests=PUBLISHED),
        operate=remove("box"),
        restore=in_order(remove("box"), run("box", requests=PUBLISHED)),
        between=stop("box"),
        ends=True,
        passing=asked_to_stop,
    ),
    "end with --rm": Operation(prepare=run("box", auto_remove=True), operate=kill("box"), restore=run("box", auto_remove=True), ends=True),
    "network create": Operation(operate=create_network("net"), restore=remove_network("net")),
    "network create, all of it": Operation(
        prepare=in_order(create_network("net", ipv6=True), remove_network("net")),  # the host forwards IPv6 from then on
        operate=create_network("net", ipv6=True, labels={"a": "b"}, options=ALL_OPTIONS),
        restore=remove_network("net"),
    ),
    "network rm": Operation(prepare=create_network("net"), operate=remove_network("net"), restore=create_network("net"), ends=True),
    "network update": Operation(
        prepare=in_order(create_network("net", ipv6=True), run("box", "net"), update_network("net", icc=True, mtu=1400)),
        operate=update_network("net", icc=False, mtu=1300, labels={"a": "b"}),
        restore=update_network("net", icc=True, mtu=1400, labels_gone=("a",)),
    ),
    "network prune": Operation(
        prepare=create_network("net"), operate=lambda engine: engine.networks.prune({}), restore=create_network("net"), ends=True
    ),
    "container prune": Operation(
        prepare=in_order(create("box"), create("other")),
        operate=lambda engine: engine.containers.prune({}),
        restore=create_missing,
        between=remove("box"),
        ends=True,
    ),
}
