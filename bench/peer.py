"""What talks over the network that is measured: `python peer.py echo|accept PORT`, `python peer.py exchange|connect ADDRESS PORT SECONDS`.

Each runs in a namespace of its own choice, started by nsenter: the same program on the same path for both engines. Standard library only.
"""

import socket
import statistics
import struct
import sys
import time

RESET = struct.pack("ii", 1, 0)
"""SO_LINGER that ends a connection at once, so that no port of the caller stays in TIME_WAIT."""


def listening(port: int) -> socket.socket:
    server = socket.create_server(("0.0.0.0", port), backlog=4096)
    print("ready", flush=True)
    return server


def echo(port: int) -> None:
    """Send back what comes, on one connection after another."""
    server = listening(port)
    while True:
        connection, _ = server.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with connection:
            while data := connection.recv(64):
                connection.send(data)


def accept(port: int) -> None:
    """Take connections and end them."""
    server = listening(port)
    while True:
        connection, _ = server.accept()
        connection.close()


def exchange(address: str, port: int, seconds: float) -> float:
    """Return how long one byte and its answer take, µs, in the median."""
    with socket.create_connection((address, port), 5) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        took = []
        end = time.perf_counter() + seconds
        while (start := time.perf_counter()) < end:
            connection.send(b"!")
            connection.recv(1)
            took.append(time.perf_counter() - start)
    return statistics.median(took) * 1e6


def connect(address: str, port: int, seconds: float) -> float:
    """Return how many new connections can be made in a second, one after the other."""
    made = 0
    start = time.perf_counter()
    while (passed := time.perf_counter() - start) < seconds:
        with socket.socket() as caller:
            caller.settimeout(5)
            caller.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            caller.connect((address, port))
        made += 1
    return made / passed


def main() -> None:
    match sys.argv[1:]:
        case ["echo", port]:
            echo(int(port))
        case ["accept", port]:
            accept(int(port))
        case ["exchange", address, port, seconds]:
            print(exchange(address, int(port), float(seconds)))
        case ["connect", address, port, seconds]:
            print(connect(address, int(port), float(seconds)))
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()
