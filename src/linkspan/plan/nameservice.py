"""The rules that lead 127.0.0.11, port 53, to the sockets of the resolver in a container's namespace.

Docker does it by DNAT, for which the kernel follows every connection of the container from then on. These rules follow nothing: each
packet between a container and its own loopback passes the output hook in both directions, and gets the other port there. Port 53
itself stays free for a container that serves names on all its addresses.
"""

from linkspan.plan.files import EMBEDDED

SERVER = EMBEDDED
"""It is the namespace's own, like all of 127.0.0.0/8."""
PORT = 53


def ruleset(udp: int, tcp: int) -> str:
    """Render the rules for sockets bound to these ports of 127.0.0.11, in place of those for former ones."""
    lines = [
        "add table ip linkspan",
        "add chain ip linkspan names { type filter hook output priority raw; policy accept; }",
        "flush chain ip linkspan names",
    ]
    for protocol, port in (("udp", udp), ("tcp", tcp)):
        lines += [
            f"add rule ip linkspan names ip daddr {SERVER} {protocol} dport {PORT} {protocol} dport set {port}",
            f"add rule ip linkspan names ip saddr {SERVER} {protocol} sport {port} {protocol} sport set {PORT}",
        ]
    return "\n".join(lines) + "\n"
