"""Compiled seccomp filters: crun needs longer to compile Docker's profile than for all the rest of a container's creation.

crun leaves the filter that it compiled in its state folder, and takes a compiled one from an annotation
(crun(1), run.oci.seccomp_bpf_data). The profile stays in the configuration: a runtime that does not know the annotation compiles it.
"""

import base64
import contextlib
import hashlib
import json
from collections import OrderedDict
from pathlib import Path
from typing import Any

Json = dict[str, Any]

_ANNOTATION = "run.oci.seccomp_bpf_data"
_KEPT = 64
"""Filters that are remembered: one for each set of capabilities and profile that containers have; 8 KiB each."""


class Filters:
    """Remembers filters as long as the engine runs, so that they are never older than the runtime, libseccomp and the kernel."""

    def __init__(self, root: Path) -> None:
        """`root` is where crun keeps the state of its containers."""
        self._root = root
        self._known: OrderedDict[str, str] = OrderedDict()

    def supply(self, config: Json) -> None:
        """Add the compiled filter to a container's configuration, if its profile has been compiled before."""
        key = _key(config)
        if key in self._known:
            self._known.move_to_end(key)
            config.setdefault("annotations", {})[_ANNOTATION] = self._known[key]

    def learn(self, config: Json, container_id: str) -> None:
        """Remember the filter that crun has compiled for a container that it has just created with this configuration."""
        key = _key(config)
        if not key or key in self._known:
            return
        with contextlib.suppress(OSError):  # another runtime leaves none
            compiled = (self._root / container_id / "seccomp.bpf").read_bytes()
            if compiled:
                self._known[key] = base64.b64encode(compiled).decode()
        while len(self._known) > _KEPT:
            self._known.popitem(last=False)


def _key(config: Json) -> str:
    """Name the profile of a configuration, empty if it has none, or one with a listener, which the runtime must connect each time."""
    profile = config["linux"].get("seccomp")
    if not profile or "listenerPath" in profile:
        return ""
    return hashlib.sha256(json.dumps(profile).encode()).hexdigest()
