"""`linkspan logs`."""

import time

from linkspan.cli.client import Client, Value, container_path
from linkspan.cli.commands import Command
from linkspan.cli.failures import CommandError
from linkspan.cli.options import BOOL, STRING, Flag, Given
from linkspan.cli.streams import Demultiplexer
from linkspan.cli.terminal import write_all
from linkspan.cli.units import read_moment


def _logs(client: Client, given: Given) -> int:
    found = client.get(container_path(given.arguments[0], "json"))
    now = time.time()
    query: dict[str, Value] = {
        "stdout": True,
        "stderr": True,
        "follow": given.switch("follow"),
        "timestamps": given.switch("timestamps"),
        "tail": given.text("tail"),
    }
    for bound in ("since", "until"):
        try:
            query[bound] = read_moment(given.text(bound), now)
        except ValueError as error:
            raise CommandError(f'invalid value for "{bound}": {error}') from error
    demultiplexer = Demultiplexer()
    with client.stream("GET", f"/containers/{found['Id']}/logs", query) as answer:
        for data in answer.pieces():
            if found["Config"].get("Tty"):
                write_all(1, data)
                continue
            for descriptor, piece in demultiplexer.feed(data):
                write_all(descriptor, piece)
    return 0


COMMANDS = {
    "logs": Command(
        "logs",
        "[OPTIONS] CONTAINER",
        _logs,
        (
            Flag("follow", "Follow log output", BOOL, "f"),
            Flag("since", 'Show logs since timestamp (e.g. "2013-01-02T13:23:37Z") or relative (e.g. "42m" for 42 minutes)', STRING),
            Flag("tail", "Number of lines to show from the end of the logs", STRING, "n", "all"),
            Flag("timestamps", "Show timestamps", BOOL, "t"),
            Flag("until", 'Show logs before a timestamp (e.g. "2013-01-02T13:23:37Z") or relative (e.g. "42m" for 42 minutes)', STRING),
        ),
        1,
        1,
        completes="containers",
    )
}
