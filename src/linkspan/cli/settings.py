"""Where the engine is: the one place of the command that asks for the environment."""

from linkspan.environment import environment

DEFAULT_HOST = "unix:///run/linkspan/linkspan.sock"


def host(flag: str) -> str:
    """Return the engine's socket: `-H`, else LINKSPAN_HOST, else the default. DOCKER_HOST is another engine's."""
    given = flag or environment("LINKSPAN_HOST") or DEFAULT_HOST
    if given.startswith("/"):
        return f"unix://{given}"
    return given if "://" in given else f"tcp://{given}"


def autostart_forbidden() -> bool:
    """Whether LINKSPAN_NO_AUTOSTART says that commands shall not start the engine."""
    return environment("LINKSPAN_NO_AUTOSTART") not in ("", "0")
