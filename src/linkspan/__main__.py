"""The program: `linkspan daemon` is the engine, `linkspan resolver` its name server, everything else is the command."""

import sys


def main() -> int:
    """Run what the command line names; returns the exit status."""
    arguments = sys.argv[1:]
    if arguments[:1] == ["daemon"]:
        from linkspan import daemon  # noqa: PLC0415  the command must not pay for the engine's imports

        return daemon.main(arguments[1:])
    if arguments[:1] == ["resolver"]:
        from linkspan.resolver import process  # noqa: PLC0415  it imports little: it stays in memory as long as there are containers

        return process.main(arguments[1:])
    from linkspan.cli.main import main as command  # noqa: PLC0415  nor the engine for the command's

    return command(arguments)


if __name__ == "__main__":
    sys.exit(main())
