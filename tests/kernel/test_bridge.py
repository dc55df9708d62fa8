"""Settings of bridges."""

import pytest

from linkspan.errors import KernelError
from linkspan.kernel import bridge, link
from tests.hosts import Host

pytestmark = pytest.mark.kernel


def test_a_bridge_learns_no_link_locals(host: Host) -> None:
    host.run(lambda: link.create_bridge("br0"))
    assert "no_linklocal_learn 0" in host.sh("ip", "-d", "link", "show", "br0")
    for _ in range(2):
        host.run(lambda: bridge.learn_no_link_locals("br0"))
        assert "no_linklocal_learn 1" in host.sh("ip", "-d", "link", "show", "br0")


def test_what_is_no_bridge_is_refused(host: Host) -> None:
    with pytest.raises(KernelError, match="set bridge br0: No such device"):
        host.run(lambda: bridge.learn_no_link_locals("br0"))
