"""skopeo: copies images between registries, archives and folders."""

import json
import re
from pathlib import Path

from linkspan.errors import CommandFailed
from linkspan.kernel import process

_MESSAGE = re.compile(r'level=(?:fatal|error) msg=("(?:[^"\\]|\\.)*")')
_UMOCI_FAILURE = "\N{VECTOR OR CROSS PRODUCT}"


async def copy(source: str, target: str, *options: str, temporary: Path) -> None:
    """Copy one image; `temporary` is for big files in between. Raises CommandFailed, which `reason` explains."""
    # No signature policy: the engine pulls what it is told to, as Docker does without content trust.
    await process.run("skopeo", f"--tmpdir={temporary}", "--insecure-policy", "copy", "--quiet", *options, source, target)


async def inspect(source: str, *options: str) -> bytes:
    """Return the manifest of an image, byte for byte; with `--config`, its configuration. Raises CommandFailed."""
    done = await process.run("skopeo", "inspect", "--raw", *options, source)
    return done.output.encode()


def reason(error: CommandFailed) -> str:
    """What skopeo, umoci or a registry behind it said, without the decoration of a log line."""
    messages = _MESSAGE.findall(error.output)
    if not messages:
        return error.output.rpartition(_UMOCI_FAILURE)[2].strip() or str(error)
    try:
        return str(json.loads(messages[-1]))
    except ValueError:  # Go's quoting knows a few more escapes than JSON
        return str(messages[-1])
