"""What two engines cannot have at once."""

import os
import socket
from pathlib import Path

import pytest

from linkspan.errors import Conflict
from linkspan.kernel.claim import claim_folder, claim_network
from tests.hosts import Host

pytestmark = pytest.mark.kernel


def test_a_folder_is_claimed_once(tmp_path: Path) -> None:
    with claim_folder(tmp_path), pytest.raises(Conflict, match="another engine is using"):
        claim_folder(tmp_path)
    claim_folder(tmp_path).close()


def test_a_network_namespace_is_claimed_once(host: Host, outside: Host) -> None:
    with host.run(claim_network):
        with pytest.raises(Conflict, match=rf"another engine \(pid {os.getpid()}\)"):
            host.run(claim_network)
        outside.run(claim_network).close()
    host.run(claim_network).close()


def test_a_user_of_the_host_cannot_keep_the_engine_away(host: Host) -> None:
    def squat() -> socket.socket:
        mark = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        os.seteuid(65534)
        try:
            mark.bind("\0linkspan")
            mark.listen()
        finally:
            os.seteuid(0)
        return mark

    with host.run(squat):
        host.run(claim_network).close()
