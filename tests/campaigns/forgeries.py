"""Random frames from a container: those that carry its own MAC and address arrive, and no others."""

from dataclasses import dataclass
from random import Random

from tests.campaigns.campaign import Result, Scale
from tests.engines import Engine
from tests.frames import ARP, BROADCAST, IPV4, IPV6, QINQ, UNKNOWN, VLAN, arp, arriving, frame, sending, udp
from tests.hosts import Host

GATEWAY = "172.17.0.1"
AT_ONCE = 200


@dataclass(frozen=True)
class Bridge:
    """Who is on it: (MAC, address) of the forger, its victim, and others."""

    forger: tuple[str, str]
    victim: tuple[str, str]
    others: tuple[tuple[str, str], ...]


def run(scale: Scale) -> Result:
    """Send them with and without br_netfilter, in batches, each to be seen by the victim or not."""
    random, found, honest = scale.random(), [], 0
    count = scale.times(20_000, least=AT_ONCE)
    with Host(scale.folder / "host.net") as host, Engine(host, scale.folder / "e") as engine:
        for name in ("forger", "victim", "bystander"):
            engine.docker("run", "-d", "--name", name, "busybox", "sleep", "3600")
        forger, victim, bystander = (_identity(engine, name) for name in ("forger", "victim", "bystander"))
        bridge = Bridge(forger, victim, (bystander, ("02:00:00:00:00:99", "192.0.2.1"), (bystander[0], GATEWAY)))
        for batch in range(count // AT_ONCE):
            host.sh("sysctl", "-qw", f"net.bridge.bridge-nf-call-iptables={batch % 2}")
            made = {token: _random_frame(random, bridge, token) for token in (random.randbytes(12) for _ in range(AT_ONCE))}
            tokens = {token.hex(): token for token in made}
            last = random.randbytes(12)
            frames = [sent for sent, _ in made.values()]
            frames.append(frame(victim[0], forger[0], IPV4, udp(forger[1], victim[1], last)))
            seen = arriving(engine.inside("victim"), sending(engine.inside("forger"), frames), tokens, last)
            for token, (sent, own) in made.items():
                honest += own
                if (token.hex() in seen) is not own:
                    found.append(f"{'lost' if own else 'passed'}: {sent.hex()}")
    return Result(tried=f"{count // AT_ONCE * AT_ONCE} frames, of which {honest} were honest", found=found[:10])


def _identity(engine: Engine, name: str) -> tuple[str, str]:
    found = engine.inspect(name)["NetworkSettings"]["Networks"]["bridge"]
    return found["MacAddress"], found["IPAddress"]


def _random_frame(random: Random, bridge: Bridge, token: bytes) -> tuple[bytes, bool]:
    """A frame with the token in it, and whether it may pass."""
    identities = (bridge.forger, bridge.forger, bridge.forger, *bridge.others, bridge.victim)
    mac, address = random.choice(identities)[0], random.choice(identities)[1]
    target = random.choice((bridge.victim[0], BROADCAST))
    own = (mac, address) == bridge.forger
    packet = udp(address, bridge.victim[1], token)
    match random.choice(("ip", "ip", "arp", "arp", "vlan", "other")):
        case "ip":
            return frame(target, mac, IPV4, packet), own
        case "arp":
            said = random.choice(identities)[0]
            message = arp(random.choice((1, 2)), (said, address), bridge.victim)
            return frame(target, mac, ARP, message + token), own and said == bridge.forger[0]
        case "vlan":
            return frame(target, mac, random.choice((VLAN, QINQ)), b"\0\5" + IPV4.to_bytes(2) + packet), False
        case _:
            return frame(target, mac, random.choice((IPV6, UNKNOWN, 38)), b"\x60" + bytes(39) + token), False
