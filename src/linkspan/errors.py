"""Every failure the engine expects.

EngineError            something refused, with no better class        500
├── InvalidInput       the caller must change the request             400
├── Forbidden          the object is protected                        403
├── NotFound           the named object does not exist                404
├── Conflict           taken, in use, or clashes with another         409
│   └── AddressInUse   somebody has the address that was asked for    403
├── NotModified        the object already is as asked                 304
├── Unsupported        this engine, host or driver cannot do it       501
├── Exhausted          no address or port is left                     503
├── KernelError        the kernel refused; carries `errno`            500
└── CommandFailed      a program of others failed; carries its words  500
    └── MissingTool    a program is not installed; names its package  500

The HTTP status is `api.wire`'s business; the table above is the contract (semantics: moby's httpstatus).
"""

import os


class EngineError(Exception):
    """Something the engine expects was refused; the text is for the user."""


class InvalidInput(EngineError):
    """The caller must change the request."""


class Forbidden(EngineError):
    """The object is protected."""


class NotFound(EngineError):
    """The named object does not exist."""


class Conflict(EngineError):
    """Taken, in use, or in a state that does not allow the operation."""


class AddressInUse(Conflict):
    """Somebody has the address that was asked for. Docker calls that forbidden; it may pass, as other conflicts may."""

    def __init__(self, text: str = "Address already in use") -> None:
        super().__init__(text)


class NotModified(EngineError):
    """The object already is as asked."""


class Unsupported(EngineError):
    """This engine, this host or this driver cannot do it."""


class Exhausted(EngineError):
    """No address or port is left."""


class KernelError(EngineError):
    """The kernel refused `action`."""

    def __init__(self, action: str, code: int, detail: str = "") -> None:
        super().__init__(": ".join(filter(None, [action, os.strerror(code), detail])))
        self.action = action
        self.errno = code


class CommandFailed(EngineError):
    """A program of others failed; `output` is what it said."""

    def __init__(self, message: str, *, status: int, output: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.output = output


class MissingTool(CommandFailed):
    """A program is not installed."""

    def __init__(self, program: str, package: str) -> None:
        super().__init__(f"{program} is not installed: apt-get install {package}", status=127)
        self.program = program
        self.package = package
