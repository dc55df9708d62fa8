"""What talks over the network that is measured: `python peer.py echo|accept PORT`, `python peer.py exchange|connect ADDRESS PORT SECONDS`,
`python peer.py resolve|resolve-tcp NAME SECONDS`, `python peer.py flood COUNT NAME NAMESPACE…`.

Each runs in a namespace of its own choice, started by nsenter: the same program on the same path for both engines. Standard library only.
"""

import ctypes
import selectors
import socket
import statistics
import struct
import sys
import time

NAME_SERVER = ("127.0.0.11", 53)
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


def question(name: str, identity: int) -> bytes:
    """A DNS question for the IPv4 address of a short name."""
    return struct.pack("!6H", identity, 0x0100, 1, 0, 0, 0) + bytes([len(name)]) + name.encode() + b"\0" + struct.pack("!HH", 1, 1)


def resolve(name: str, seconds: float) -> float:
    """Return how long a look-up by UDP takes, µs, in the median."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.settimeout(5)
        asking.connect(NAME_SERVER)
        took: list[float] = []
        end = time.perf_counter() + seconds
        while (start := time.perf_counter()) < end:
            asking.send(question(name, len(took) & 0xFFFF))
            if not _is_good(asking.recv(512)):
                raise RuntimeError(f"the name {name} is not known")
            took.append(time.perf_counter() - start)
    return statistics.median(took) * 1e6


def resolve_tcp(name: str, seconds: float) -> float:
    """Return how long a look-up by a TCP connection of its own takes, µs, in the median."""
    took, end, data = [], time.perf_counter() + seconds, question(name, 7)
    while (start := time.perf_counter()) < end:
        with socket.create_connection(NAME_SERVER, 5) as asking:
            asking.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            asking.sendall(struct.pack("!H", len(data)) + data)
            if not _is_good(asking.recv(514)[2:]):
                raise RuntimeError(f"the name {name} is not known")
        took.append(time.perf_counter() - start)
    return statistics.median(took) * 1e6


def flood(count: int, name: str, namespaces: list[str]) -> tuple[int, float]:
    """Ask in every namespace so many times, all at once; returns how many got no answer within 10 s, and ms until the last answer."""
    sockets = [_socket_in(path) for path in namespaces]
    waiting = selectors.DefaultSelector()
    for asking in sockets:
        waiting.register(asking, selectors.EVENT_READ)
    start = last = time.perf_counter()
    for number in range(count):
        for asking in sockets:
            asking.send(question(name, number))
    left = count * len(sockets)
    while left and (ready := waiting.select(10)):
        for key, _ in ready:
            left -= _is_good(key.fileobj.recv(512))  # type: ignore[union-attr]
        last = time.perf_counter()
    return left, (last - start) * 1000


def _is_good(answer: bytes) -> bool:
    """Whether there is one record without an error."""
    return answer[3] & 0xF == 0 and answer[6:8] == b"\0\1"


def _socket_in(namespace: str) -> socket.socket:
    with open(namespace, "rb") as file:  # noqa: PTH123  no more imports than needed
        if ctypes.CDLL(None, use_errno=True).setns(file.fileno(), 0):
            raise OSError(ctypes.get_errno(), namespace)
    asking = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    asking.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    asking.connect(NAME_SERVER)
    return asking


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
        case ["resolve", name, seconds]:
            print(resolve(name, float(seconds)))
        case ["resolve-tcp", name, seconds]:
            print(resolve_tcp(name, float(seconds)))
        case ["flood", count, name, *namespaces]:
            print(*flood(int(count), name, namespaces))
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()
