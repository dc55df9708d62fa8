"""Containers as objects: create, list, inspect, rename, update, prune, top. What runs and ends them is `lifecycle`."""

import asyncio
import contextlib
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from linkspan.config import Config
from linkspan.engine.attachments import Attachments, check_together
from linkspan.engine.execs import Execs
from linkspan.engine.files import ContainerFiles
from linkspan.engine.filters import check_keys, label_matches, made_before, passes
from linkspan.engine.lifecycle import Lifecycle
from linkspan.engine.lookup import Lookup
from linkspan.engine.merge import merged_spec
from linkspan.engine.names import new_name
from linkspan.engine.requests import Created, CreateRequest, Top
from linkspan.engine.sandboxes import Sandboxes
from linkspan.engine.views import ContainerView, NetworkSeat, Pruned
from linkspan.errors import CommandFailed, Conflict, EngineError, InvalidInput, NotFound
from linkspan.images.store import ImageStore
from linkspan.kernel import process, sysctl, tree
from linkspan.kernel.thread import KernelThread
from linkspan.model.attachment import Attachment
from linkspan.model.container import Container, NetworkMode, RestartPolicy, Spec, container_name
from linkspan.model.endpoint import HOST_SANDBOX
from linkspan.model.image import Image
from linkspan.model.network import PREDEFINED, Network
from linkspan.runtime.monitor import Runtime
from linkspan.store.base import Store
from linkspan.undo import Undo

LINKS_WARNING = "Links on the default bridge network are deprecated and will be removed in a future release. Use a custom network instead."
FORWARDING_WARNING = "IPv4 forwarding is disabled. Networking will not work."
HOST_LINKS = "conflicting options: host type networking can't be used with links. This would result in undefined behavior"
NO_MODE = "HostConfig.NetworkMode must match the identity of a network in NetworkSettings.Networks"
PRUNE_FILTERS = ("until", "label", "label!")


class Containers:
    """Everything about containers but their lives."""

    def __init__(
        self,
        config: Config,
        store: Store,
        kernel: KernelThread,
        runtime: Runtime,
        images: ImageStore,
        parts: tuple[ContainerFiles, Lifecycle, Execs, Sandboxes],
    ) -> None:
        self._config = config
        self._store = store
        self._kernel = kernel
        self._runtime = runtime
        self._images = images
        self._files, self._lifecycle, self._execs, self._sandboxes = parts
        self._lookup = Lookup(store)
        self._attachments = Attachments(store)
        self._views: dict[str, ContainerView] = {}

    async def create(self, request: CreateRequest) -> Created:
        """Record a new container; nothing of it runs yet. Raises InvalidInput, NotFound for the image, Conflict for the name."""
        image = self._images.find(request.image)
        mode, links, warnings = self._references(request)
        attachments = self._attached(request, mode)
        completed = replace(
            request,
            network=replace(request.network, mode=mode, links=links),
            init=self._config.init if request.init is None else request.init,
            shm_size=request.shm_size or self._config.shm_size,
        )
        spec = merged_spec(completed, image)
        self._runtime.validate(spec)
        _check_sources(spec)
        await self._images.rootfs(image.id)  # unpacked now: the image may be removed before the start
        container = Container(
            id=os.urandom(32).hex(),
            name=self._name(request.name),
            created=time.time_ns(),
            spec=spec,
            restart=request.restart,
            attachments=attachments,
        )
        await self._kernel.run(partial(self._create, container))
        self._lifecycle.events.container(container, "create")
        return Created(id=container.id, warnings=(*request.warnings, *warnings))

    def list(
        self,
        *,
        all: bool = False,  # noqa: A002  Docker's own word
        limit: int = 0,
        filters: Mapping[str, Sequence[str]] | None = None,
    ) -> list[ContainerView]:
        """Return the containers that pass Docker's filters, the newest first; only those that run unless asked otherwise."""
        chosen = filters or {}
        everything = all or limit > 0 or any(key in chosen for key in ("status", "exited"))
        found = [
            self._listed(container)
            for container in reversed(self._store.containers())
            if everything or container.state.running or container.state.status == "restarting"
        ]
        bounds = self._bounds(chosen)
        listed = [view for view in found if passes(view, chosen) and bounds[0] < view.container.created < bounds[1]]
        return listed[:limit] if limit > 0 else listed

    def inspect(self, ref: str) -> ContainerView:
        """Return one container with all that belongs to it; raises NotFound."""
        return self._details(self._lookup.container(ref))

    async def measured(self, views: Iterable[ContainerView]) -> Sequence[ContainerView]:
        """Return the views with the sizes of what the containers wrote, which takes as long as they wrote many files."""
        return [replace(view, size_rw=await asyncio.to_thread(self._size, view.container)) for view in views]

    async def rename(self, ref: str, new: str) -> None:
        """Give the container another name; raises InvalidInput, Conflict."""
        if not new.removeprefix("/"):
            raise InvalidInput("Neither old nor new names may be empty")
        name = container_name(new)
        container = self._lookup.container(ref)
        async with self._lifecycle.lock(container.id):
            container = self._lookup.container(container.id)
            if container.name == name:
                raise InvalidInput("Renaming a container with the same name as its current name")
            renamed = replace(container, name=name)
            self._store.put_container(renamed)
        await self._lifecycle.resolution.refresh(container.id)
        self._lifecycle.events.container(renamed, "rename", oldName=f"/{container.name}")

    async def update(self, ref: str, restart: RestartPolicy | None) -> tuple[str, ...]:
        """Change the restart policy; returns warnings."""
        container = self._lookup.container(ref)
        if restart is not None:
            if container.spec.auto_remove and restart.name != "no":
                raise InvalidInput("Restart policy cannot be updated because AutoRemove is enabled for the container")
            async with self._lifecycle.lock(container.id):
                container = replace(self._lookup.container(container.id), restart=restart)
                self._store.put_container(container)
        self._lifecycle.events.container(container, "update")
        return ()

    async def prune(self, filters: Mapping[str, Sequence[str]]) -> Pruned:
        """Remove every container that does not run and passes the filters."""
        check_keys(filters, PRUNE_FILTERS)
        made_before(filters)  # a wrong time is refused also when there is nothing to prune
        removed: list[str] = []
        space = 0
        for container in self._store.containers():
            if container.state.running or container.state.status == "restarting" or not _prunable(container, filters):
                continue
            size = await asyncio.to_thread(self._size, container)
            with contextlib.suppress(NotFound, Conflict):  # somebody removed or started it in the meantime
                await self._lifecycle.remove(container.id)
                removed.append(container.id)
                space += size
        return Pruned(ids=tuple(removed), space=space)

    async def top(self, ref: str, arguments: str = "") -> Top:
        """Return what ps(1) says of the container's processes; `arguments` are ps's, `-ef` if empty."""
        container = self._lookup.container(ref)
        if not container.state.running:
            raise Conflict(f"container {container.id} is not running")
        pids = {str(pid) for pid in await self._runtime.pids(container.id)}
        try:
            done = await process.run("ps", *(arguments.split() or ["-ef"]))
        except CommandFailed as error:
            raise (InvalidInput(str(error)) if arguments else error) from error
        header, *rows = done.output.splitlines()
        titles = header.split()
        if "PID" not in titles:
            raise EngineError("Couldn't find PID field in ps output")
        fields = (tuple(row.split(maxsplit=len(titles) - 1)) for row in rows)
        column = titles.index("PID")
        return Top(titles=tuple(titles), processes=tuple(row for row in fields if row[column : column + 1] and row[column] in pids))

    def _create(self, container: Container) -> None:
        with Undo() as undo:
            self._files.create(container)
            undo.push(f"remove the folder of {container.name}", partial(self._files.remove, container.id))
            self._store.put_container(container)
            undo.push(f"forget {container.name}", partial(self._store.delete_container, container.id))
            self._sandboxes.endpoints.hold(container)

    def _attached(self, request: CreateRequest, mode: NetworkMode) -> tuple[Attachment, ...]:
        """Return the networks that a new container is on, that of its mode first; raises InvalidInput in Docker's words."""
        if mode.kind == "container":
            return ()
        attached: list[Attachment] = []
        networks: list[Network] = []
        for asked in request.attachments or (Attachment(network=str(mode), mac=request.network.mac),):
            try:
                attachment, network = self._attachments.resolved(asked)
                if network is not None and network.id not in {known.id for known in networks}:
                    check_together(networks, network)
                    networks.append(network)
            except InvalidInput as error:
                raise InvalidInput(f"invalid config for network {asked.network}: {error}") from error
            attached.append(attachment)
        first = [each for each in attached if self._is_of(each, mode)]
        if not first and mode.kind != "bridge":
            raise InvalidInput(NO_MODE)
        return (*first[:1], *(each for each in attached if each not in first))

    def _is_of(self, attachment: Attachment, mode: NetworkMode) -> bool:
        """Whether it is the network that the mode names, by name, id or the beginning of its id."""
        if str(mode) in (attachment.network, attachment.name):
            return True
        try:
            return self._lookup.network(str(mode)).id == attachment.network
        except NotFound:
            return False

    def _name(self, wanted: str | None) -> str:
        return container_name(wanted) if wanted else new_name({container.name for container in self._store.containers()})

    def _references(self, request: CreateRequest) -> tuple[NetworkMode, tuple[tuple[str, str], ...], tuple[str, ...]]:
        """Resolve the containers that the request names; returns the mode, the links and warnings."""
        mode = request.network.mode
        if mode.kind == "container":
            with contextlib.suppress(NotFound):  # the target may come later: the start checks
                mode = replace(mode, target=self._lookup.container(mode.target).id)
        if mode.kind == "network":
            with contextlib.suppress(NotFound):  # it may be made later: the start checks
                network = self._lookup.network(mode.target)
                if network.name in PREDEFINED:
                    mode = NetworkMode.parse(network.name)
                elif mode.target not in (network.id, network.name):
                    mode = replace(mode, target=network.id)
        # On a network that has names, a link is one of them, and stands in the request for that network (moby: registerLinks).
        links = tuple(self._link(text) for text in request.links) if mode.kind != "network" else ()
        warnings = (LINKS_WARNING,) if links else ()
        if mode.kind in ("bridge", "network") and sysctl.get("net/ipv4/ip_forward") == "0":
            warnings = (*warnings, FORWARDING_WARNING)
        return mode, links, warnings

    def _link(self, text: str) -> tuple[str, str]:
        name, _, alias = text.partition(":")
        try:
            target = self._lookup.container(name)
        except NotFound as error:
            raise InvalidInput(f"could not get container for {name}: {error}") from error
        deepest = target
        while deepest.spec.network.mode.kind == "container" and (deeper := self._store.container(deepest.spec.network.mode.target)):
            deepest = deeper
        if deepest.spec.network.mode.kind == "host":
            raise InvalidInput(HOST_LINKS)
        if target.spec.network.mode.kind != "bridge":
            raise InvalidInput(f"Cannot link to /{target.name}, as it does not belong to the default network")
        return target.id, alias.removeprefix("/") or target.name

    def _bounds(self, filters: Mapping[str, Sequence[str]]) -> tuple[float, float]:
        """The creation times that the filters `since` and `before` name containers for."""
        since = [self._lookup.container(ref).created for ref in filters.get("since", ())]
        before = [self._lookup.container(ref).created for ref in filters.get("before", ())]
        return max(since, default=0), min(before, default=float("inf"))

    def _listed(self, container: Container) -> ContainerView:
        """Return the container with what it is attached to: the same value as long as nothing of it changes."""
        seats, image = tuple(self._seats(container)), self._image(container)
        known = self._views.get(container.id)
        if known and known.container is container and known.seats == seats and known.image is image:
            return known
        if len(self._views) > 2 * len(self._store.containers()):
            self._views.clear()  # of removed ones
        view = self._views[container.id] = ContainerView(container=container, seats=seats, image=image)
        return view

    def _seats(self, container: Container) -> Iterator[NetworkSeat]:
        endpoints = {endpoint.network: endpoint for endpoint in self._store.endpoints_of(container.id) if endpoint.attached}
        for attachment, network in self._attachments.of(container):
            endpoint = endpoints.get(network.id) if network and container.state.running else None
            yield NetworkSeat(attachment=attachment, network=network, endpoint=endpoint)

    def _details(self, container: Container) -> ContainerView:
        folder = self._files.of(container.id)
        key = self._store.sandbox(container.sandbox)
        return replace(
            self._listed(container),
            sandbox_key=key.path if key else "default" if container.sandbox == HOST_SANDBOX else "",
            hostname=self._files.hostname(container),
            files={name: str(folder / name) for name in ("hostname", "hosts", "resolv.conf")} | {"log": str(self._files.log(container))},
            execs=self._execs.of(container.id),
        )

    def _size(self, container: Container) -> int:
        try:
            return tree.size(self._files.of(container.id) / "upper")
        except OSError:  # it was removed meanwhile
            return 0

    def _image(self, container: Container) -> Image | None:
        with contextlib.suppress(NotFound):
            return self._images.find(container.spec.image)
        return None


def _check_sources(spec: Spec) -> None:
    """Make the host folders that -v names and that are missing, as Docker does; refuse missing ones of --mount."""
    from_binds = {bind.split(":")[0] for bind in spec.binds}
    for mount in spec.mounts:
        source = Path(mount.source)
        if mount.kind != "bind" or source.exists():
            continue
        if mount.source not in from_binds:
            raise InvalidInput(f'invalid mount config for type "bind": bind source path does not exist: {mount.source}')
        try:
            source.mkdir(parents=True)
        except OSError as error:
            raise InvalidInput(f"error while creating mount source path '{mount.source}': {error.strerror}") from error


def _prunable(container: Container, filters: Mapping[str, Sequence[str]]) -> bool:
    until = made_before(filters)
    if until is not None and container.created > until:
        return False
    labels = container.spec.labels
    return all(label_matches(labels, text) for text in filters.get("label", ())) and not any(
        label_matches(labels, text) for text in filters.get("label!", ())
    )
