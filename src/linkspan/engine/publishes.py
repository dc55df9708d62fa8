"""Giving host ports to containers: chosen, checked against everybody else on the host, and held.

A port is held by a socket that the container's monitor inherits: the kernel then refuses it to other processes for exactly as
long as the container runs, whether an engine runs or not (Docker keeps a proxy process for that).
"""

import errno
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from linkspan.errors import Conflict, EngineError, Exhausted, InvalidInput
from linkspan.kernel import ports
from linkspan.model.container import NetworkConfig
from linkspan.model.network import IPAddress
from linkspan.model.publish import PortRequest, Publish
from linkspan.plan.ports import Allocated, Automatic, Holders, Way, places, wanted
from linkspan.undo import Undo

HELD = 1024
"""Ports of one container that are held by a socket. The rest of a larger set is only checked at the start: a monitor with more
open files than RLIMIT_NOFILE could not start."""
RANGE_ATTEMPTS = 10
"""How many ports of a range are tried when processes hold them, as in moby's port allocator."""


@dataclass(slots=True)
class Reservation:
    """The host ports given to a container, and the sockets that hold them."""

    publishes: list[Publish] = field(default_factory=list)
    sockets: list[int] = field(default_factory=list)

    def close(self) -> None:
        """Close this process's copies of the sockets; may be called twice."""
        while self.sockets:
            os.close(self.sockets.pop())


class Ports:
    """Allocates host ports. Used on the kernel thread."""

    def __init__(self) -> None:
        self._last = 0

    def allocate(self, config: NetworkConfig, ways: Sequence[Way], holders: Holders, undo: Undo) -> Reservation:
        """Reserve every host port that `config` asks for; `holders` tells which of them other containers have.

        Raises Conflict in Docker's words, with the holder after them.
        """
        reservation = Reservation()
        undo.push("give the reserved host ports back", reservation.close)
        allocated = Allocated(holders)
        ways = [way for way in ways if way.version == 4 or ports.has_ipv6()]
        for request in wanted(config):
            addresses, own = places(request, ways)
            opened = (Publish(host_ip=address, host_port=0, port=request.port) for address in own)
            reservation.publishes += (publish for publish in opened if publish not in reservation.publishes)
            for publish in self._bind(request, addresses, allocated, reservation) if addresses else ():
                allocated.add("this container itself", publish)
                reservation.publishes.append(publish)
        return reservation

    def _bind(self, request: PortRequest, addresses: Sequence[IPAddress], allocated: Allocated, reservation: Reservation) -> list[Publish]:
        """Reserve the first of the request's candidates that nobody holds on any of the addresses."""
        refusal: EngineError | None = None
        attempts = 0
        for number in self._candidates(request):
            publishes = [Publish(host_ip=address, host_port=number, port=request.port) for address in addresses]
            if clash := next(((publish, holder) for publish in publishes if (holder := allocated.holder(publish))), None):
                refusal = _already_allocated(*clash)
                continue
            try:
                self._hold(publishes, reservation)
            except _Refused as refused:
                refusal = _refusal(refused.publish, refused.error)
                attempts += 1
                if refused.error.errno != errno.EADDRINUSE or attempts >= RANGE_ATTEMPTS:
                    break
                continue
            if request.first == 0:
                self._last = number
            return publishes
        raise refusal or Exhausted("all ports are allocated")

    def _candidates(self, request: PortRequest) -> Iterator[int]:
        if request.first:
            return iter(range(request.first, request.last + 1))
        low, high = ports.ephemeral_range()
        return Automatic(low=low, high=high, reserved=ports.reserved(), last=self._last).candidates()

    @staticmethod
    def _hold(publishes: Sequence[Publish], reservation: Reservation) -> None:
        """Hold all of them or none."""
        held: list[int] = []
        try:
            for publish in publishes:
                try:
                    held.append(ports.reserve(publish.host_ip, publish.host_port, publish.port.protocol))
                except OSError as error:
                    raise _Refused(publish, error) from error
        except BaseException:
            for fd in held:
                os.close(fd)
            raise
        for fd in held:
            if len(reservation.sockets) < HELD:
                reservation.sockets.append(fd)
            else:
                os.close(fd)


class _Refused(Exception):
    """The kernel does not give a port."""

    def __init__(self, publish: Publish, error: OSError) -> None:
        super().__init__(publish, error)
        self.publish = publish
        self.error = error


def _already_allocated(publish: Publish, holder: str) -> Conflict:
    return Conflict(f"Bind for {_place(publish)} failed: port is already allocated (by container {holder})")


def _place(publish: Publish) -> str:
    host = f"[{publish.host_ip}]" if publish.host_ip.version == 6 else str(publish.host_ip)
    return f"{host}:{publish.host_port}"


def _refusal(publish: Publish, error: OSError) -> EngineError:
    place = f"failed to bind host port {_place(publish)}/{publish.port.protocol}"
    if error.errno == errno.EADDRINUSE:
        holder = ports.holder(publish.host_ip, publish.host_port, publish.port.protocol)
        return Conflict(f"{place}: address already in use" + (f" (by {holder})" if holder else ""))
    if error.errno == errno.EADDRNOTAVAIL:
        hint = "" if publish.host_ip.is_unspecified else f": this host has no address {publish.host_ip}"
        return InvalidInput(f"{place}: cannot assign requested address{hint}")
    return EngineError(f"{place}: {os.strerror(error.errno or 0).lower()}")
