"""Settings of bridges that pyroute2 has no names for."""

from pyroute2.netlink import nla, nlmsg
from pyroute2.netlink.rtnl import RTM_NEWLINK
from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg

from linkspan.kernel.netlink import host, translated

_NO_LINK_LOCAL_LEARNING = 1 << 0
"""BR_BOOLOPT_NO_LL_LEARN of linux/if_bridge.h."""


class _Switches(nla):  # type: ignore[misc]  # pyroute2 has no types
    """struct br_boolopt_multi."""

    fields = (("values", "I"), ("mask", "I"))


class _Settings(nla):  # type: ignore[misc]  # pyroute2 has no types
    nla_map = ((46, "IFLA_BR_MULTI_BOOLOPT", "switches"),)
    switches = _Switches


class _LinkInfo(nla):  # type: ignore[misc]  # pyroute2 has no types
    nla_map = ((1, "IFLA_INFO_KIND", "asciiz"), (2, "IFLA_INFO_DATA", "settings"))
    settings = _Settings


class _Bridge(nlmsg):  # type: ignore[misc]  # pyroute2 has no types
    fields = ifinfmsg.fields  # not a subclass: it would inherit the compiled map of attributes
    nla_map = ((3, "IFLA_IFNAME", "asciiz"), (18, "IFLA_LINKINFO", "link_info"))
    link_info = _LinkInfo


def learn_no_link_locals(name: str) -> None:
    """Let a bridge learn no sender's place from frames to 01:80:c2:00:00:0x.

    Equivalent to `ip link set NAME type bridge no_linklocal_learn 1`. Some of these frames (LLDP's) meet no rule on their way, so a
    forged sender would take another's traffic to itself.
    """
    options = {"values": _NO_LINK_LOCAL_LEARNING, "mask": _NO_LINK_LOCAL_LEARNING}
    information = [("IFLA_INFO_KIND", "bridge"), ("IFLA_INFO_DATA", {"attrs": [("IFLA_BR_MULTI_BOOLOPT", options)]})]
    message = _Bridge()
    message["attrs"] = [("IFLA_IFNAME", name), ("IFLA_LINKINFO", {"attrs": information})]
    with translated(f"set bridge {name}"):
        host().change(RTM_NEWLINK, message)
