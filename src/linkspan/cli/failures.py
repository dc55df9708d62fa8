"""How a command fails: what stderr says, and the exit status.

CommandError             a sentence and an exit status
├── UsageError           the command line is wrong: the sentence, the usage line, a hint
├── ApiError             the engine refused: carries the HTTP status
└── Unreachable          nothing answers on the socket
Exit                     end now with this status; everything has been said
"""


class CommandError(Exception):
    """The command ends with `status` after `message` went to stderr."""

    def __init__(self, message: str, status: int = 1) -> None:
        super().__init__(message)
        self.status = status


class UsageError(CommandError):
    """The command line is wrong; `flag` if a flag is, which Docker answers with status 125 and without its own name in front."""

    def __init__(self, message: str, *, flag: bool = False) -> None:
        super().__init__(message, 125 if flag else 1)
        self.flag = flag


class ApiError(CommandError):
    """The engine refused; `code` is the HTTP status."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(f"Error response from daemon: {message}")
        self.message = message
        self.code = code


class Unreachable(CommandError):
    """Nothing answers on the socket, or it may not be used."""


class Exit(Exception):
    """End now with `status`; everything has been said."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status
