"""The host's tables of neighbours (ARP, NDP)."""

import errno
import socket

from pyroute2.netlink.rtnl import RTM_DELNEIGH
from pyroute2.netlink.rtnl.ndmsg import ndmsg

from linkspan.kernel import link
from linkspan.kernel.netlink import host, translated
from linkspan.model.network import IPAddress


def forget(name: str, address: IPAddress) -> None:
    """Forget where `address` is on the link of interface `name`; equivalent to `ip neigh del ADDRESS dev NAME`.

    The next packet asks anew, at once: a question that was asked while the neighbour was unplugged is repeated after a second only.
    Idempotent. Raises NotFound.
    """
    message = ndmsg()
    message["family"] = socket.AF_INET6 if address.version == 6 else socket.AF_INET
    message["ifindex"] = link.require_index(name)
    message["attrs"] = [("NDA_DST", str(address))]
    with translated(f"forget the neighbour {address} on {name}", {errno.ENOENT: None, errno.ENXIO: None}):
        host().change(RTM_DELNEIGH, message)
