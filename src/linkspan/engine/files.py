"""A container's folder: its hosts, hostname and resolv.conf, its log, its layers.

DATA_ROOT/containers/ID/   hosts hostname resolv.conf   bind-mounted into the container
                           container.log                written by its monitor
                           rootfs/ upper/ work/         the overlay mount
"""

import os
import shutil
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path

from linkspan.config import Config
from linkspan.engine import naming
from linkspan.engine.sandboxes import Place, Sandboxes
from linkspan.errors import EngineError
from linkspan.kernel import tree
from linkspan.model.container import Container
from linkspan.model.endpoint import Endpoint, address_text
from linkspan.plan.files import Resolver, embedded_text, full_name, hosts_text, hosts_with
from linkspan.resolver.hostfile import host_resolver
from linkspan.store.base import Store
from linkspan.undo import Undo

HOSTS = Path("/etc/hosts")

NAMES = {"/etc/hostname": "hostname", "/etc/hosts": "hosts", "/etc/resolv.conf": "resolv.conf"}
"""Where they are seen in the container, and their names in the container's folder."""


class ContainerFiles:
    """Writes and removes the folders of containers. Used on the kernel thread, apart from the paths."""

    def __init__(self, config: Config, store: Store, sandboxes: Sandboxes) -> None:
        self._config = config
        self._store = store
        self._sandboxes = sandboxes
        self.folder = config.data_root / "containers"

    def of(self, container_id: str) -> Path:
        """Return the container's folder."""
        return self.folder / container_id

    def log(self, container: Container) -> Path:
        """Return the path of the container's log."""
        return self.of(container.id) / "container.log"

    def create(self, container: Container) -> None:
        """Make the container's folder, with its hostname already in it."""
        folder = self.of(container.id)
        try:
            folder.mkdir(parents=True, mode=0o700)
            for name in ("rootfs", "upper", "work"):
                (folder / name).mkdir()
            _write(folder / "hostname", f"{self.hostname(container)}\n")
        except OSError as error:
            shutil.rmtree(folder, ignore_errors=True)
            raise EngineError(f"cannot create the folder of container {container.name}: {error.strerror}: {folder}") from error

    def remove(self, container_id: str) -> None:
        """Remove the container's folder. Idempotent. Raises OSError; the next start of the engine sweeps what is left."""
        folder = self.of(container_id)
        gone = folder.with_name(f".removed-{container_id}")
        if folder.exists():
            folder.rename(gone)  # at once: a folder half removed is never taken for a container's
        tree.remove(gone)

    def write(self, container: Container, place: Place) -> tuple[tuple[Path, str], ...]:
        """Write the three files as the container's network wants them; returns (path, path in the container).

        A container that shares another's namespace gets that one's files, and writes none.
        """
        folder = self.of(place.files_of)
        if place.files_of == container.id:
            try:
                _write(folder / "hostname", f"{self.hostname(container)}\n")
                _write(folder / "hosts", self._hosts(container))
                _write(folder / "resolv.conf", self._resolv_conf(container, self._sandboxes.endpoints.of(container)))
            except OSError as error:
                raise EngineError(f"cannot write the files of container {container.name}: {error.strerror}") from error
        return tuple((folder / name, target) for target, name in NAMES.items() if (folder / name).exists())

    def resolver_of(self, container_id: str) -> Resolver:
        """Return what the container's resolv.conf says now, whoever wrote it."""
        return Resolver.parse(_read(self.of(container_id) / "resolv.conf"))

    def hostname(self, container: Container) -> str:
        """Return the name that the container's processes see."""
        mode = container.spec.network.mode
        if mode.kind == "container" and (target := self._store.container(mode.target)) and target.id != container.id:
            return self.hostname(target)
        default = os.uname().nodename if mode.kind == "host" else container.short_id
        return container.spec.hostname or default

    def _hosts(self, container: Container) -> str:
        network = container.spec.network
        if network.mode.kind == "host" and not network.extra_hosts:
            return _read(HOSTS) or hosts_text()
        extra = [(self._host_address(address), name) for name, address in network.extra_hosts]
        endpoints = self._sandboxes.endpoints.of(container)
        own = self._own_rows(container, endpoints)
        return hosts_text(extra=[*extra, *self._links(container)], own=own, ipv6=_has_ipv6(endpoints))

    def follow(self, container: Container, former: Sequence[Endpoint], now: Sequence[Endpoint], undo: Undo) -> None:
        """Let the files of a running container, and of those that share them, say which networks it is on now.

        They are written in place. What the container has written into its /etc/hosts stays, and so does all of a resolv.conf that it
        has changed; one that asks us is not changed back (semantics 3.9).
        """
        gone, come = self._own_rows(container, former), self._own_rows(container, now)
        try:
            hosts = self._present(container, "hosts")
            self._change(container, "hosts", hosts, hosts_with(hosts, remove=[row for row in gone if row not in come], add=come), undo)
            if self._is_served(now) and not self._is_served(former):
                text = self._present(container, "resolv.conf")
                if text == self._resolv_conf(container, former):
                    self._change(container, "resolv.conf", text, self._resolv_conf(container, now), undo)
        except OSError as error:
            raise EngineError(f"cannot write the files of container {container.name}: {error.strerror}") from error

    def straighten(self, container: Container) -> None:
        """Let the /etc/hosts of a running container have its own lines right: a connect may have begun, and did not end."""
        network, text = container.spec.network, self._present(container, "hosts")
        if network.mode.kind == "host" or not text:
            return
        rows = self._own_rows(container, self._sandboxes.endpoints.of(container))
        names = full_name(self.hostname(container), container.spec.domainname)
        asked = {address for _, address in network.extra_hosts}
        named = (words[0] for line in text.splitlines() if (words := line.split()) and words[1:] == names.split())
        stale = [(address, names) for address in named if address not in asked and (address, names) not in rows]
        if (changed := hosts_with(text, remove=stale, add=rows)) != text:
            _write(self.of(container.id) / "hosts", changed)

    def _present(self, container: Container, name: str) -> str:
        path = self.of(container.id) / name
        return path.read_text(errors="surrogateescape") if path.exists() else ""

    def _change(self, container: Container, name: str, former: str, text: str, undo: Undo) -> None:
        path = self.of(container.id) / name
        if former and text != former:
            undo.push(f"write the {name} of {container.name} as before", partial(_write, path, former))
            _write(path, text)

    def _own_rows(self, container: Container, endpoints: Iterable[Endpoint]) -> list[tuple[str, str]]:
        names = full_name(self.hostname(container), container.spec.domainname)
        return [(str(ip), names) for endpoint in endpoints for ip in endpoint.ips]

    def _links(self, container: Container) -> list[tuple[str, str]]:
        rows = []
        for target_id, alias in container.spec.network.links:
            target = self._store.container(target_id)
            endpoint = self._sandboxes.endpoints.on_default_bridge(target_id)
            if target and endpoint and endpoint.address:
                rows.append((address_text(endpoint.address), f"{alias} {self.hostname(target)} {target.name}"))
        return rows

    def _host_address(self, address: str) -> str:
        if address != "host-gateway":
            return address
        if self._config.host_gateway_ip:
            return str(self._config.host_gateway_ip)
        for network in self._store.networks():
            if network.name == "bridge" and network.subnets:
                return str(network.subnets[0].gateway)
        raise EngineError("unable to derive the IP value for host-gateway: there is no default network; set --host-gateway-ip")

    def _resolv_conf(self, container: Container, endpoints: Sequence[Endpoint]) -> str:
        network, config = container.spec.network, self._config
        host = host_resolver(config.resolv_conf)
        asked = (network.dns or config.dns, network.dns_search or config.dns_search, network.dns_options or config.dns_options)
        if network.mode.kind != "host" and self._is_served(endpoints):
            return embedded_text(host, Resolver(servers=asked[0], search=asked[1], options=asked[2]), source=str(config.resolv_conf))
        if network.mode.kind == "host" and not any(asked):
            return _read(config.resolv_conf)
        resolver = host if network.mode.kind == "host" else host.reachable_from_container(ipv6=_has_ipv6(endpoints))
        return resolver.overridden(*asked).text()

    def _is_served(self, endpoints: Iterable[Endpoint]) -> bool:
        networks = ((self._store.network(endpoint.network), endpoint) for endpoint in endpoints)
        return naming.is_served(((network, endpoint) for network, endpoint in networks if network), self._config)


def _has_ipv6(endpoints: Iterable[Endpoint]) -> bool:
    return any(endpoint.address6 for endpoint in endpoints)


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def _write(path: Path, text: str) -> None:
    """Write in place: the file may be mounted into containers that share it."""
    path.write_text(text, errors="surrogateescape")
    path.chmod(0o644)
