"""The one JSON parser for everything that comes from outside: requests, and documents of answer URLs.

Stricter than the standard library where leniency becomes a fault later: duplicate keys, NaN, numbers no other JSON
reader holds, NUL (PostgreSQL refuses it) and lone surrogates (UTF-8 refuses them), and nesting that ends in recursion.
"""

import json
from collections.abc import Iterator
from math import isfinite
from typing import Any

MAX_BYTES = 64 * 1024
MAX_DEPTH = 32
MAX_INTEGER = 2**53


class Invalid(ValueError):
    """Not a JSON object that we accept; the message says why, in words for the sender."""


def parse(body: bytes) -> dict[str, Any]:
    """Return the JSON object in `body`; raise `Invalid` when it is anything else."""
    try:
        document = _DECODER.decode(body.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise Invalid("the body must be UTF-8") from error
    except RecursionError as error:
        raise Invalid(_TOO_DEEP) from error
    except json.JSONDecodeError as error:
        raise Invalid(f"the body is not valid JSON: {error.msg} at character {error.pos}") from error
    if not isinstance(document, dict):
        raise Invalid("the body must be a JSON object")
    if body.count(b"{") + body.count(b"[") > MAX_DEPTH or b"\\u" in body:
        _inspect(document)
    return document


_TOO_DEEP = f"the body is nested deeper than {MAX_DEPTH} levels"


def _inspect(document: Any) -> None:
    """Walk the document level by level; raise `Invalid` when it is too deep or holds text we cannot store."""
    level = [document]
    for _ in range(MAX_DEPTH):
        for text in (item for item in level if isinstance(item, str)):
            if "\x00" in text or any("\ud800" <= character <= "\udfff" for character in text):
                raise Invalid("text must not contain NUL or lone surrogates")
        level = [child for item in level for child in _children(item)]
        if not level:
            return
    raise Invalid(_TOO_DEEP)


def _children(item: Any) -> Iterator[Any]:
    if isinstance(item, dict):
        yield from item.keys()
        yield from item.values()
    elif isinstance(item, list):
        yield from item


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Invalid("an object names the same key twice")
    return found


def _integer(digits: str) -> int:
    if len(digits) > 17 or abs(int(digits)) > MAX_INTEGER:
        raise Invalid("integers must lie within ±2^53")
    return int(digits)


def _float(digits: str) -> float:
    number = float(digits)
    if not isfinite(number):
        raise Invalid("numbers must be finite")
    return number


def _constant(name: str) -> None:
    raise Invalid(f"{name} is not JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_int=_integer, parse_float=_float, parse_constant=_constant)
