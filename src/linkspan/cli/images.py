"""Commands about images that are here: images, history, rmi, tag, prune."""

import time
from collections.abc import Iterator, Mapping
from typing import Any

from linkspan.cli import reference
from linkspan.cli.client import Client, encode_filters, quote
from linkspan.cli.commands import Command
from linkspan.cli.containers import PRUNE_FLAGS
from linkspan.cli.failures import ApiError, CommandError
from linkspan.cli.listing import FORMAT
from linkspan.cli.options import BOOL, FILTER, Flag, Given
from linkspan.cli.output import complain, confirm, print_rows, short_id, shorten
from linkspan.cli.units import decimal_size, moment_text, nanosecond_text, since_text

_NONE = "<none>"
_HEADERS = {
    "Repository": "REPOSITORY",
    "Tag": "TAG",
    "Digest": "DIGEST",
    "ID": "IMAGE ID",
    "CreatedSince": "CREATED",
    "CreatedAt": "CREATED AT",
    "Size": "SIZE",
    "Containers": "CONTAINERS",
    "SharedSize": "SHARED SIZE",
    "UniqueSize": "UNIQUE SIZE",
    "VirtualSize": "VIRTUAL SIZE",
}
_HISTORY_HEADERS = {
    "ID": "IMAGE",
    "CreatedSince": "CREATED",
    "CreatedAt": "CREATED AT",
    "CreatedBy": "CREATED BY",
    "Size": "SIZE",
    "Comment": "COMMENT",
}


def _images(client: Client, given: Given) -> int:
    filters = given.many("filter") + [("reference", name) for name in given.arguments]
    found = client.get("/images/json", all=given.switch("all"), filters=encode_filters(filters))
    whole, now = given.switch("no-trunc"), time.time()
    rows = [row for image in found for row in _rows(image, now, whole=whole, digests=given.switch("digests"))]
    form = given.text("format")
    if given.switch("quiet") and form in ("", "table"):
        for identity in (image["Id"] if whole else short_id(image["Id"]) for image in found for _ in _names(image)):
            print(identity)
        return 0
    columns = ("Repository", "Tag", "Digest", "ID", "CreatedSince", "Size")
    print_rows(rows, form, _HEADERS, [name for name in columns if name != "Digest" or given.switch("digests")])
    return 0


def _rows(image: Mapping[str, Any], now: float, *, whole: bool, digests: bool) -> Iterator[dict[str, Any]]:
    size = decimal_size(image["Size"], 3)
    for repository, tag, digest in _names(image):
        yield {
            "Containers": "N/A" if image.get("Containers", -1) == -1 else str(image["Containers"]),
            "CreatedAt": moment_text(image["Created"]),
            "CreatedSince": since_text(image["Created"], now),
            "Digest": digest if digests else _NONE,
            "ID": image["Id"] if whole else short_id(image["Id"]),
            "Repository": repository,
            "SharedSize": "N/A",
            "Size": size,
            "Tag": tag,
            "UniqueSize": "N/A",
            "VirtualSize": decimal_size(image["Size"]),
        }


def _names(image: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Return (repository, tag, digest) of each row that an image has."""
    digests = dict(text.partition("@")[::2] for text in image.get("RepoDigests") or () if not text.startswith(_NONE))
    names: list[tuple[str, str, str]] = []
    for text in image.get("RepoTags") or ():
        repository, _, tag = text.rpartition(":")
        if repository != _NONE:
            names.append((repository, tag, digests.get(repository, _NONE)))
    return names or [(repository, _NONE, digest) for repository, digest in digests.items()] or [(_NONE, _NONE, _NONE)]


def _history(client: Client, given: Given) -> int:
    layers = client.get(f"/images/{quote(given.arguments[0])}/history")
    whole, human, now = given.switch("no-trunc"), given.switch("human"), time.time()
    rows = [_layer(layer, now, whole=whole, human=human) for layer in layers]
    if given.switch("quiet") and given.text("format") in ("", "table"):
        for row in rows:
            print(row["ID"])
        return 0
    since = "CreatedSince" if human else "CreatedAt"
    print_rows(rows, given.text("format"), _HISTORY_HEADERS, ("ID", since, "CreatedBy", "Size", "Comment"))
    return 0


def _layer(layer: Mapping[str, Any], now: float, *, whole: bool, human: bool) -> dict[str, Any]:
    created_by = str(layer["CreatedBy"]).replace("\t", " ")
    return {
        "Comment": layer.get("Comment", ""),
        "CreatedAt": nanosecond_text(layer["Created"] * 1_000_000_000).replace(".000000000", ""),
        "CreatedBy": created_by if whole else shorten(created_by, 45),
        "CreatedSince": since_text(layer["Created"], now) if layer["Created"] else "N/A",
        "ID": layer["Id"] if whole else short_id(layer["Id"]) if layer["Id"] != "<missing>" else layer["Id"],
        "Size": decimal_size(layer["Size"], 3) if human else str(layer["Size"]),
    }


def _remove(client: Client, given: Given) -> int:
    force, status = given.switch("force"), 0
    for name in given.arguments:
        try:
            removed = client.delete(f"/images/{quote(name)}", force=force, noprune=given.switch("no-prune"))
        except ApiError as error:
            complain(str(error))
            status = status if force and error.code == 404 else 1
            continue
        for entry in removed or ():
            print(*(f"{what}: {entry[what]}" for what in ("Untagged", "Deleted") if entry.get(what)), sep="\n")
    return status


def _tag(client: Client, given: Given) -> int:
    source, target = given.arguments
    parsed = reference.parse(target)
    if parsed.digest:
        raise CommandError("refusing to create a tag with a digest reference")
    client.post(f"/images/{quote(source)}/tag", repo=parsed.name, tag=parsed.or_latest().tag)
    return 0


def _prune(client: Client, given: Given) -> int:
    every = given.switch("all")
    if not given.switch("force"):
        what = "images without at least one container associated to them" if every else "dangling images"
        confirm(f"WARNING! This will remove all {what}.")
    filters = [*given.many("filter"), ("dangling", "false" if every else "true")]
    answer = client.post("/images/prune", filters=encode_filters(filters))
    if removed := answer.get("ImagesDeleted"):
        print("Deleted Images:")
        for entry in removed:
            print(*(f"{what.lower()}: {entry[what]}" for what in ("Untagged", "Deleted") if entry.get(what)), sep="\n")
        print()
    print(f"Total reclaimed space: {decimal_size(answer.get('SpaceReclaimed', 0))}")
    return 0


_QUIET = Flag("quiet", "Only show image IDs", BOOL, "q")
_WHOLE = Flag("no-trunc", "Don't truncate output")

COMMANDS = {
    command.path: command
    for command in (
        Command(
            "images",
            "[OPTIONS] [REPOSITORY[:TAG]]",
            _images,
            (
                Flag("all", "Show all images (default hides intermediate images)", BOOL, "a"),
                Flag("digests", "Show digests"),
                Flag("filter", "Filter output based on conditions provided", FILTER, "f"),
                FORMAT,
                _WHOLE,
                _QUIET,
            ),
            0,
            1,
            completes="images",
        ),
        Command(
            "history",
            "[OPTIONS] IMAGE",
            _history,
            (FORMAT, Flag("human", "Print sizes and dates in human readable format", BOOL, "H", "true"), _WHOLE, _QUIET),
            1,
            1,
            completes="images",
        ),
        Command(
            "rmi",
            "[OPTIONS] IMAGE [IMAGE...]",
            _remove,
            (Flag("force", "Force removal of the image", BOOL, "f"), Flag("no-prune", "Do not delete untagged parents")),
            1,
            None,
            completes="images",
        ),
        Command("tag", "SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]", _tag, (), 2, 2, completes="images"),
        Command(
            "image prune",
            "[OPTIONS]",
            _prune,
            (Flag("all", "Remove all unused images, not just dangling ones", BOOL, "a"), *PRUNE_FLAGS),
        ),
    )
}
