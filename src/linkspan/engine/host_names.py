"""The host knows containers by name: lines of ours in a hosts file, if the admin asks for it (--hosts-file)."""

import asyncio
import logging
from collections.abc import Iterable, Iterator
from pathlib import Path

from linkspan.plan.files import with_block
from linkspan.resolver.units import Member, Network, Unit

logger = logging.getLogger(__name__)


class HostNames:
    """Keeps our lines in the file; what else is in it stays. The file is written in place: it may be a mount."""

    def __init__(self, path: Path | None) -> None:
        self._path = path

    async def keep(self, units: Iterable[Unit]) -> None:
        """Do as `write`, beside the event loop; at once where there is no file."""
        if self._path is not None:
            await asyncio.to_thread(self.write, tuple(units))

    def write(self, units: Iterable[Unit]) -> None:
        """Let the file have the containers that these units tell of. What hinders it is said in the log."""
        if self._path is None:
            return
        try:
            text = self._path.read_text(errors="surrogateescape") if self._path.exists() else ""
            changed = with_block(text, rows(units))
            if changed != text:
                self._path.write_text(changed, errors="surrogateescape")
        except OSError as error:
            logger.error("the host does not know its containers by name: %s: %s", self._path, error.strerror)  # noqa: TRY400  no bug


def rows(units: Iterable[Unit]) -> Iterator[tuple[str, str]]:
    """Yield (address, names): `web.front web`, by name; what the file has before these lines goes first with every C library."""
    known = list(units)
    networks = {unit.id: unit.name for unit in known if isinstance(unit, Network)}
    members = [unit for unit in known if isinstance(unit, Member) and unit.names and unit.network in networks]
    for member in sorted(members, key=lambda member: (member.names[0], networks[member.network])):
        name = member.names[0]
        yield from ((address, f"{name}.{networks[member.network]} {name}") for address in member.addresses)
