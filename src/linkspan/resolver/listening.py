"""What a resolver listens at, as open files."""

import os
import socket
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Listening:
    """Two sockets that questions come to, and the namespace that they are in; they are the holder's to close."""

    udp: socket.socket
    tcp: socket.socket
    namespace: int

    @property
    def files(self) -> tuple[int, int, int]:
        """The numbers of the files, for handing copies over."""
        return self.udp.fileno(), self.tcp.fileno(), self.namespace

    def close(self) -> None:
        """Let them go; copies that others have stay open."""
        self.udp.close()
        self.tcp.close()
        os.close(self.namespace)
