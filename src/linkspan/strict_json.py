"""JSON as RFC 8259 has it: UTF-8, no NaN, no halves of characters. Python's own reader takes more than files and logs can hold."""

import json


def parse(text: bytes | str) -> object:
    """Return the value; raises ValueError for everything that is no JSON, also if it is nested too deep to be read."""
    try:
        text = text.decode() if isinstance(text, bytes) else text
        value: object = json.loads(text, parse_constant=_refuse_constant)
        text.encode()
        if "\\u" in text:
            json.dumps(value, ensure_ascii=False).encode()  # half of a surrogate pair is no text
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error
    except UnicodeEncodeError as error:
        raise ValueError("it holds half of a character (a surrogate without its other half)") from error
    return value


def _refuse_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")
