"""Forwarding between the host's interfaces: switched on for the networks that need it, and back again by `purge`."""

import logging
from collections.abc import Iterable

from linkspan.config import Config
from linkspan.kernel import link, sysctl
from linkspan.model.network import Network
from linkspan.store.base import Store

logger = logging.getLogger(__name__)

FORWARDING = "net/ipv4/ip_forward"
FORWARDING6 = "net/ipv6/conf/all/forwarding"
"""The settings that bridge networks need; the store remembers what they were."""
LISTENERS = "accept_ra"
"""What the store calls the interfaces that go on listening to routers."""


class Forwarding:
    """Switches forwarding on, in each family with the first network that leads out in it. Used on the kernel thread."""

    def __init__(self, config: Config, store: Store) -> None:
        self._config = config
        self._store = store

    def need(self, network: Network) -> None:
        """See to it that the host forwards what comes and goes by this network; its rules must be there already."""
        for key in self.wanted([network]):
            if key != FORWARDING6 or sysctl.has_ipv6():
                self._switch_on(key)

    def wanted(self, networks: Iterable[Network]) -> dict[str, str]:
        """Return the kernel's settings that the networks need together; none if the configuration leaves them to others."""
        bridged = [network for network in networks if network.bridge and self._config.ip_forward]
        leading6 = any(network.pool(6) and not network.internal for network in bridged)
        return ({FORWARDING: "1"} if bridged else {}) | ({FORWARDING6: "1"} if leading6 else {})

    def _switch_on(self, key: str) -> None:
        if sysctl.get(key) == "1":
            return
        if key == FORWARDING6:
            self._keep_listening()
        self._store.put_setting(key, "0")  # for `purge`
        sysctl.put(key, "1")

    def _keep_listening(self) -> None:
        """Let interfaces that listen to routers go on with it.

        A host that forwards IPv6 is a router itself, and the kernel then drops the default routes that it has learned from others
        (Documentation/networking/ip-sysctl.rst, accept_ra): it would be cut off from the world.
        """
        ours = {name for name, _, _ in link.list_ours()}
        listeners = [name for name in sysctl.listeners() if name not in ours]
        if listeners:
            former = (self._store.setting(LISTENERS) or "").split()
            self._store.put_setting(LISTENERS, " ".join(dict.fromkeys((*former, *listeners))))  # first: a crash must not lose it
            for name in listeners:
                sysctl.put(f"net/ipv6/conf/{name}/accept_ra", "2")
            logger.info("IPv6 is forwarded now; %s still listen(s) to routers (accept_ra=2)", ", ".join(listeners))


def switch_back(store: Store) -> None:
    """Make of forwarding what it was before we switched it on."""
    for key in (FORWARDING, FORWARDING6):
        if (former := store.setting(key)) is not None:
            sysctl.put(key, former)
    for name in (store.setting(LISTENERS) or "").split():
        if link.index(name) is not None:
            sysctl.put(f"net/ipv6/conf/{name}/accept_ra", "1")
