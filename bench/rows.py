"""The rows of the report: what each is called, its unit, and what is asked of it."""

import statistics
from dataclasses import dataclass

from bench.engines import OURS, THEIRS


@dataclass(frozen=True)
class Limit:
    """What is asked of a figure: against dockerd's in the same run (`share`), or in itself (`bound`).

    `slack`, a part of the limit, is for figures that are to be equal: within it, it is noise that decides.
    """

    text: str
    share: float = 0.0
    bound: float | None = None
    at_least: bool = False
    slack: float = 0.0

    def verdict(self, ours: float, theirs: float | None) -> str:
        """Say whether the figure is good enough."""
        limit = self.bound if self.bound is not None else None if theirs is None else theirs * self.share
        if limit is None:
            return ""
        if ours >= limit if self.at_least else ours <= limit:
            return "met"
        return f"equal within {self.slack:.0%}" if abs(ours - limit) <= limit * self.slack else "**not met**"


@dataclass(frozen=True)
class Row:
    """A line of the report. `better` says which way: `less` or `more`."""

    title: str
    unit: str = "ms"
    limit: Limit | None = None
    better: str = "less"


def share(part: float) -> Limit:
    """At most so much of dockerd's: 1/4."""
    return Limit(f"1/{1 / part:g} of dockerd's", share=part)


def below() -> Limit:
    """Less than dockerd's."""
    return Limit("below dockerd's", share=1)


def times(factor: float) -> Limit:
    """At least so much of dockerd's."""
    return Limit(f"× {factor:g} of dockerd's", share=factor, at_least=True)


def not_below() -> Limit:
    """As much as dockerd's."""
    return Limit("not below dockerd's", share=1, at_least=True, slack=0.03)


def not_above() -> Limit:
    """As little as dockerd's."""
    return Limit("not above dockerd's", share=1, slack=0.03)


def most(bound: float, unit: str) -> Limit:
    """At most this, whatever dockerd does."""
    return Limit(f"× {bound:g}" if unit == "×" else f"{bound:g} {unit}".strip(), bound=bound)


SECTIONS: dict[str, dict[str, Row]] = {
    "Containers": {
        "run": Row("`docker run --rm busybox true`, bridge", limit=share(1 / 4)),
        "publish": Row("… with `-p 8080:80`", limit=share(1 / 4)),
        "none": Row("… with `--net=none`", limit=share(1 / 3)),
        "host": Row("… with `--net=host`", limit=share(1 / 2)),
        "container": Row("… with `--net=container:…`"),
        "at-once": Row("20 `docker run --rm` at once", limit=share(1 / 4)),
        "run-d": Row("`docker run -d`"),
        "rm": Row("`docker rm -f` of a running container"),
        "rm50": Row("`docker rm -f` of 50 running containers", limit=share(1 / 4)),
        "stop50": Row("`docker stop -t 0`, then `docker rm`, of 50", limit=share(1 / 4)),
        "exec": Row("`docker exec … true`", limit=share(1 / 1.5)),
        "ps": Row("`docker ps`, no container"),
        "inspect": Row("`docker inspect`", limit=share(1 / 1.5)),
        "floor": Row("the client alone: `docker --version`"),
        "inspect-raw": Row("the engine's answer to `inspect`", limit=share(1 / 1.5)),
        "ps-raw": Row("the engine's answer to `ps`, no container"),
    },
    "Published ports": {
        "ports-start@100": Row("`docker run -d` with 100 ports"),
        "ports-remove@100": Row("`docker rm -f` of it"),
        "ports-start@1000": Row("`docker run -d -p 20000-20999:20000-20999`", limit=most(500, "ms")),
        "ports-remove@1000": Row("`docker rm -f` of it", limit=most(500, "ms")),
        "ports-processes@1000": Row("more processes for 1,000 ports", "", limit=most(0, "")),
        "ports-memory@100": Row("memory (PSS) per port and family", "MiB", limit=most(0, "MiB")),
    },
    "Many containers": {
        "run@0": Row("`docker run --rm`, no other container"),
        "run@500": Row("… with 500 running"),
        "grow-run": Row("how much slower that is", "×", limit=most(1.2, "×")),
        "ps@0": Row("`docker ps`, no container"),
        "ps@200": Row("… with 200 running", limit=share(1 / 1.5)),
        "ps@500": Row("… with 500 running"),
        "grow-ps": Row("how much slower that is", "×", limit=most(1.2, "×")),
        "ps-raw@200": Row("the engine's answer to `ps` with 200 running", limit=share(1 / 1.5)),
        "restart": Row("the engine starts over 200 running containers, until it serves", limit=most(1000, "ms")),
        "helpers": Row("memory (PSS) per running container, all helpers", "MiB", limit=most(2, "MiB")),
        "memory@0": Row("memory (PSS) of the engine itself, idle", "MiB", limit=below()),
        "memory@200": Row("… with 200 containers", "MiB", limit=below()),
    },
    "Networks": {
        "network-cycle": Row("`docker network create`, then `docker network rm`", limit=share(1 / 6)),
        "network-raw@0": Row("the engine's answer to `network create`, no other network"),
        "network-raw@500": Row("… with 500"),
        "grow-network": Row("how much slower that is", "×", limit=most(1.3, "×")),
    },
    "Names": {
        "names-udp": Row("look-up of a container's name, UDP", "µs", not_above()),
        "names-tcp": Row("… TCP, a connection for each", "µs"),
        "names-flood@50": Row("10,000 look-ups from 50 containers at once, until the last answer"),
        "names-lost@50": Row("… of which are lost", "", most(0, "")),
        "names-memory": Row("memory (PSS) of the name server beside the engine", "KiB"),
        "names-memory@50": Row("… per container", "KiB", most(100, "KiB")),
    },
    "Traffic": {
        "connections-alone": Row("new connections to a published port, from outside", "per s", better="more"),
        "connections": Row("… with 5,000 other ports published (dockerd: 1,000)", "per s", times(2), "more"),
        "connections-share": Row(
            "what is left of it", "%", Limit("no loss against one port", bound=100, at_least=True, slack=0.03), "more"
        ),
        "isolation-connections": Row(
            "connections to a port published on one of 1,000 networks, of those without the others",
            "%",
            Limit("no loss", bound=100, at_least=True, slack=0.05),
            "more",
        ),
        "isolation-round-trip": Row("round trip to it, of that without the others", "%", Limit("not more", bound=100, slack=0.05)),
        "throughput-between": Row("throughput, container to container", "Gbit/s", not_below(), "more"),
        "throughput-from-host": Row("… host to container", "Gbit/s", not_below(), "more"),
        "throughput-published": Row("… outside to published port", "Gbit/s", not_below(), "more"),
        "throughput-host-mode": Row("… outside to host mode", "Gbit/s", not_below(), "more"),
        "throughput-share": Row("published port against host mode", "%", Limit("within 5 %", bound=95, at_least=True), "more"),
        "round-trip-between": Row("round trip, container to container", "µs", not_above()),
        "round-trip-from-host": Row("… host to container", "µs", not_above()),
        "round-trip-published": Row("… outside to published port", "µs", not_above()),
        "round-trip-host-mode": Row("… outside to host mode", "µs", not_above()),
        "round-trip-share": Row("published port against host mode", "%", Limit("within 5 %", bound=105)),
    },
}

ROWS: dict[str, Row] = {key: row for rows in SECTIONS.values() for key, row in rows.items()}


def median(samples: dict[str, list[float]], name: str) -> float | None:
    """Return an engine's median, None without figures."""
    return statistics.median(samples[name]) if samples.get(name) else None


def number(value: float) -> str:
    """Render a figure with three significant digits, and no more than it has."""
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:.3g}"


def verdict(key: str, samples: dict[str, list[float]]) -> str:
    """Say whether what is asked of a row is met."""
    limit, ours = ROWS[key].limit, median(samples, OURS)
    if limit is None:
        return ""
    return "" if ours is None else limit.verdict(ours, median(samples, THEIRS))
