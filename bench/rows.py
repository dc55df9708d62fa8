"""The rows of the report: what each is called, its unit, and what is asked of it."""

import statistics
from dataclasses import dataclass

from bench.engines import OURS, THEIRS


@dataclass(frozen=True)
class Limit:
    """What is asked of a figure: against dockerd's in the same run (`share`), or in itself (`bound`)."""

    text: str
    share: float = 0.0
    bound: float | None = None
    at_least: bool = False

    def met(self, ours: float, theirs: float | None) -> bool | None:
        """Whether the figure is good enough; None without one to compare with."""
        limit = self.bound if self.bound is not None else None if theirs is None else theirs * self.share
        if limit is None:
            return None
        return ours >= limit if self.at_least else ours <= limit


@dataclass(frozen=True)
class Row:
    """A line of the report. `better` says which way: `less` or `more`; of `factor` rows the figure is one itself."""

    title: str
    unit: str = "ms"
    limit: Limit | None = None
    better: str = "less"


def share(part: float) -> Limit:
    """At most so much of dockerd's: 1/4."""
    return Limit(f"1/{1 / part:g} of dockerd's", share=part)


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
        "inspect-raw": Row("the engine's answer to `inspect`"),
        "ps-raw": Row("the engine's answer to `ps`, no container"),
    },
    "Published ports": {
        "ports-start-100": Row("`docker run -d` with 100 ports"),
        "ports-remove-100": Row("`docker rm -f` of it"),
        "ports-start": Row("`docker run -d -p 20000-20999:20000-20999`", limit=most(500, "ms")),
        "ports-remove": Row("`docker rm -f` of it", limit=most(500, "ms")),
        "ports-processes": Row("more processes for 1,000 ports", "", limit=most(0, "")),
    },
}

ROWS: dict[str, Row] = {key: row for rows in SECTIONS.values() for key, row in rows.items()}


def median(samples: dict[str, list[float]], name: str) -> float | None:
    """Return an engine's median, None without figures."""
    return statistics.median(samples[name]) if samples.get(name) else None


def verdict(key: str, samples: dict[str, list[float]]) -> str:
    """Say whether what is asked of a row is met."""
    limit, ours = ROWS[key].limit, median(samples, OURS)
    if limit is None:
        return ""
    met = None if ours is None else limit.met(ours, median(samples, THEIRS))
    return "not measured" if met is None else "met" if met else "**not met**"
