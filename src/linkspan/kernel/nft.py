"""The firewall: nftables by libnftables, in process (starting `nft` costs 30 times what a small change does)."""

import ctypes
import functools
import logging
import weakref

from linkspan.errors import EngineError, MissingTool
from linkspan.kernel import netns

logger = logging.getLogger(__name__)


class RulesetRefused(EngineError):
    """The kernel, or nft's grammar, refused a ruleset; nothing of it was applied. The text is nft's."""


def scratch() -> "Firewall":
    """Return the nftables of an empty namespace that nobody else sees: what is applied there has no effect on anybody."""
    return netns.run_in_new(Firewall)


class Firewall:
    """The nftables of the namespace that it was made in. Any thread may use it, one at a time."""

    def __init__(self) -> None:
        """Open libnftables; raises MissingTool."""
        self._library = _library()
        context = self._library.nft_ctx_new(0)
        if not context:
            raise EngineError("libnftables: out of memory")
        self._context = ctypes.c_void_p(context)
        self._library.nft_ctx_buffer_output(self._context)
        self._library.nft_ctx_buffer_error(self._context)
        self.close = weakref.finalize(self, self._library.nft_ctx_free, self._context)
        """Let go of the library's buffers and socket; may be called twice."""

    def apply(self, ruleset: str) -> None:
        """Apply `ruleset`, all of it or nothing; equivalent to `nft -f -`. Raises RulesetRefused."""
        logger.debug("nft -f - <<.\n%s.", ruleset)
        failed, _, words = self._run(ruleset)
        if failed:
            raise RulesetRefused(f"nftables refused the ruleset: {words}")

    @functools.cached_property
    def sees_frames(self) -> bool:
        """Whether this kernel has tables of the family bridge; equivalent to `nft --check add table bridge linkspan`."""
        self._library.nft_ctx_set_dry_run(self._context, 1)
        try:
            failed, _, _ = self._run("add table bridge linkspan")
        finally:
            self._library.nft_ctx_set_dry_run(self._context, 0)
        return not failed

    def dump(self, table: str = "inet linkspan") -> str:
        """Return a table as text, empty if there is none; equivalent to `nft list table TABLE`. Raises RulesetRefused."""
        failed, output, words = self._run(f"list table {table}")
        if failed and "No such file or directory" not in words:
            raise RulesetRefused(f"nftables cannot list table {table}: {words}")
        return "" if failed else output

    def ruleset(self) -> str:
        """Return everybody's tables as text; equivalent to `nft list ruleset`. Raises RulesetRefused."""
        failed, output, words = self._run("list ruleset")
        if failed:
            raise RulesetRefused(f"nftables cannot list the ruleset: {words}")
        return output

    def _run(self, commands: str) -> tuple[bool, str, str]:
        failed = self._library.nft_run_cmd_from_buffer(self._context, commands.encode()) != 0
        output = self._library.nft_ctx_get_output_buffer(self._context) or b""
        errors = self._library.nft_ctx_get_error_buffer(self._context) or b""
        return failed, output.decode(errors="replace"), errors.decode(errors="replace").strip()


@functools.cache
def _library(name: str = "libnftables.so.1") -> ctypes.CDLL:
    try:
        library = ctypes.CDLL(name)
    except OSError as error:
        raise MissingTool("libnftables", "libnftables1") from error
    library.nft_ctx_new.argtypes = (ctypes.c_uint32,)
    library.nft_ctx_new.restype = ctypes.c_void_p
    library.nft_run_cmd_from_buffer.argtypes = (ctypes.c_void_p, ctypes.c_char_p)
    library.nft_ctx_set_dry_run.argtypes = (ctypes.c_void_p, ctypes.c_int)
    library.nft_ctx_set_dry_run.restype = None
    for function in ("nft_ctx_get_output_buffer", "nft_ctx_get_error_buffer"):
        getattr(library, function).argtypes = (ctypes.c_void_p,)
        getattr(library, function).restype = ctypes.c_char_p
    for function in ("nft_ctx_buffer_output", "nft_ctx_buffer_error", "nft_ctx_free"):
        getattr(library, function).argtypes = (ctypes.c_void_p,)
    library.nft_ctx_free.restype = None
    return library
