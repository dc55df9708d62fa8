"""Linux capabilities by name, and Docker's rules for adding and dropping them (moby: daemon/pkg/oci/caps)."""

from collections.abc import Collection, Iterator

from linkspan.errors import InvalidInput
from linkspan.model.container import Security

_IN_ORDER = (
    "CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE NET_BROADCAST "
    "NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE "
    "SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM "
    "BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE"
).split()
CAPABILITIES = tuple(f"CAP_{name}" for name in _IN_ORDER)
"""Every capability; the place is the number (capabilities(7), linux/capability.h)."""

DEFAULT = frozenset(
    f"CAP_{name}"
    for name in (
        "CHOWN DAC_OVERRIDE FSETID FOWNER MKNOD NET_RAW SETGID SETUID SETFCAP SETPCAP NET_BIND_SERVICE SYS_CHROOT KILL AUDIT_WRITE"
    ).split()
)
"""What Docker gives to every container."""

_ALL = "ALL"


def names_of(mask: int) -> tuple[str, ...]:
    """Return the names of the bits of a capability mask, as in proc(5) status."""
    return tuple(name for number, name in enumerate(CAPABILITIES) if mask >> number & 1)


def granted(security: Security, available: Collection[str]) -> tuple[str, ...]:
    """Return the capabilities that a container gets, in their kernel's order.

    Raises InvalidInput in Docker's words for a name that does not exist, or that `available` (the host's) lacks.
    """
    add = set(_normalized("CapAdd", security.cap_add, available))
    drop = set(_normalized("CapDrop", security.cap_drop, available))
    if security.privileged:
        wanted = set(CAPABILITIES)
    elif _ALL in add:
        wanted = set(CAPABILITIES) - drop
    elif _ALL in drop:
        wanted = add
    else:
        wanted = add | (DEFAULT - drop)
    return tuple(name for name in CAPABILITIES if name in wanted and name in available)


def _normalized(field: str, names: Collection[str], available: Collection[str]) -> Iterator[str]:
    for given in names:
        name = given.upper()
        if name == _ALL:
            yield name
            continue
        name = f"CAP_{name.removeprefix('CAP_')}"
        if name not in CAPABILITIES:
            raise InvalidInput(f'invalid {field}: unknown capability: "{name}"')
        if name not in available:
            reason = "capability not supported by your kernel or not available in the current environment"
            raise InvalidInput(f'invalid {field}: {reason}: "{name}"')
        yield name
