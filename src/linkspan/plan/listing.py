"""A table of nftables, taken out of nft's listing: what can be compared with another listing of the same table."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

_BLOCK = re.compile(r"\t(?P<name>(?:set|map|chain) [^ ]+) \{(?P<body>.*?)\n\t\}", re.DOTALL)
_ELEMENTS = re.compile(r"\n?\t+elements = \{(?P<elements>.*?)\}", re.DOTALL)
_COUNTED = re.compile(r" ?counter packets \d+ bytes \d+")


@dataclass(frozen=True, slots=True)
class Listing:
    """A table: the text of each set, map and chain, and the elements of each set and map, in no order. Empty: there is no table."""

    blocks: Mapping[str, str] = field(default_factory=dict)
    elements: Mapping[str, frozenset[str]] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> "Listing":
        """Take what `nft list table` printed apart. What only counts packets is left out."""
        blocks: dict[str, str] = {}
        elements: dict[str, frozenset[str]] = {}
        for found in _BLOCK.finditer(text):
            name, body = found["name"], found["body"]
            listed = _ELEMENTS.search(body)
            blocks[name] = _COUNTED.sub("", _ELEMENTS.sub("", body)).strip("\n")
            elements[name] = _split(listed["elements"]) if listed else frozenset()
        return cls(blocks, elements)


def differences(wanted: Listing, found: Listing) -> Iterator[str]:
    """Yield a sentence for everything in which the table that was found is not the wanted one."""
    if not found.blocks:
        yield "the whole table is gone"
        return
    for name in sorted(wanted.blocks.keys() - found.blocks.keys()):
        yield f"the {name} is gone"
    for name in sorted(found.blocks.keys() - wanted.blocks.keys()):
        yield f"the {name} is not ours"
    for name in sorted(wanted.blocks.keys() & found.blocks.keys()):
        if wanted.blocks[name] != found.blocks[name]:
            yield f"the {name} is not as we made it"
        yield from _entries(f"{name} lacks", wanted.elements[name] - found.elements[name])
        yield from _entries(f"{name} has what nobody asked for:", found.elements[name] - wanted.elements[name])


def _entries(words: str, entries: frozenset[str]) -> Iterator[str]:
    if entries:
        shown = sorted(entries)[:3]
        more = f" and {len(entries) - len(shown)} more" if len(entries) > len(shown) else ""
        yield f"the {words} {', '.join(shown)}{more}"


def _split(text: str) -> frozenset[str]:
    return frozenset(filter(None, (_COUNTED.sub("", " ".join(entry.split())) for entry in text.split(","))))
