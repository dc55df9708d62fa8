"""The query parameter `filters`: which objects a list or a prune is about."""

from linkspan.api.fields import parse_json
from linkspan.errors import InvalidInput

Filters = dict[str, tuple[str, ...]]


def parse_filters(text: str) -> Filters:
    """Parse `{"name": {"web": true}}` (since API 1.22) or `{"name": ["web"]}`; raises InvalidInput."""
    value = parse_json(text) if text else {}
    if not isinstance(value, dict):
        raise InvalidInput("invalid filter: an object is wanted")
    return {key: _values(key, given) for key, given in value.items()}


def _values(key: str, given: object) -> tuple[str, ...]:
    if isinstance(given, dict) and all(isinstance(chosen, bool) for chosen in given.values()):
        return tuple(name for name, chosen in given.items() if chosen)
    if isinstance(given, list) and all(isinstance(name, str) for name in given):
        return tuple(given)
    raise InvalidInput(f"invalid filter '{key}': a list of strings, or an object of true and false, is wanted")
