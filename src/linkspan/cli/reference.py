"""Names of images on the command line: the engine's own parser, its refusals as the command's."""

from linkspan.cli.failures import CommandError
from linkspan.errors import InvalidInput
from linkspan.model.reference import Reference, is_id


def parse(text: str) -> Reference:
    """Parse a name; raises CommandError in Docker's words."""
    try:
        return Reference.parse(text)
    except InvalidInput as error:
        raise CommandError(str(error)) from error


def check(text: str) -> None:
    """Raise CommandError unless the text is a name or an id of an image."""
    if not is_id(text):
        parse(text)
