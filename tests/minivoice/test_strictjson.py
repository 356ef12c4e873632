"""The one JSON parser: what is poison elsewhere is refused here."""

import pytest

from minivoice import strictjson

POISON: dict[str, bytes] = {
    "not JSON": b"{",
    "trailing text": b'{"a": 1} x',
    "an array": b"[]",
    "a string": b'"text"',
    "null": b"null",
    "raw NUL": b'{"a": "\x00"}',
    "escaped NUL": rb'{"a": "\u0000"}',
    "escaped NUL in a name": rb'{"a\u0000": 1}',
    "lone surrogate": rb'{"a": "\ud800"}',
    "lone surrogate deep in a list": rb'{"a": [{"b": ["\udfff"]}]}',
    "surrogate in UTF-8 bytes": b'{"a": "\xed\xa0\x80"}',
    "duplicate keys": b'{"a": 1, "a": 2}',
    "duplicate keys inside": b'{"a": {"b": 1, "b": 1}}',
    "duplicate keys in two spellings": rb'{"a": 1, "\u0061": 2}',
    "NaN": b'{"a": NaN}',
    "Infinity": b'{"a": -Infinity}',
    "1e999": b'{"a": 1e999}',
    "4,000 digits": b'{"a": ' + b"1" * 4000 + b"}",
    "beyond 2^53": b'{"a": 9007199254740993}',
    "below -2^53": b'{"a": -9007199254740993}',
    "depth 33": b'{"a": ' + b"[" * 32 + b"]" * 32 + b"}",
    "depth 10,000": b'{"a": ' + b"[" * 10_000 + b"]" * 10_000 + b"}",
    "UTF-16": '{"a": 1}'.encode("utf-16"),
    "UTF-16 without a mark": '{"a": 1}'.encode("utf-16-le"),
    "UTF-7 with an escape": '{"a": "ä"}'.encode("utf-7").replace(b"{", b"+AHs-"),
    "BOM": b"\xef\xbb\xbf{}",
    "Latin-1": '{"a": "ä"}'.encode("latin-1"),
    "fullwidth digits": '{"a": １２}'.encode(),
    "Arabic digits": '{"a": ١٢}'.encode(),
    "leading zero": b'{"a": 012}',
    "single quotes": b"{'a': 1}",
}


@pytest.mark.parametrize("body", POISON.values(), ids=POISON)
def test_refuses(body: bytes) -> None:
    with pytest.raises(strictjson.Invalid):
        strictjson.parse(body)


def test_refuses_a_nesting_that_would_end_in_recursion() -> None:
    with pytest.raises(strictjson.Invalid, match="nested deeper than 32"):
        strictjson.parse(b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}")


def test_takes_a_nesting_of_exactly_the_limit() -> None:
    depth = strictjson.MAX_DEPTH - 1
    assert strictjson.parse(b'{"a": ' + b"[" * depth + b"]" * depth + b"}")


def test_takes_many_brackets_side_by_side() -> None:
    assert strictjson.parse(b'{"a": [' + b",".join([b"[]"] * 100) + b"]}") == {"a": [[]] * 100}


@pytest.mark.parametrize("number", [2**53, -(2**53), 0, 0.5, 1e308])
def test_takes_every_number_that_other_readers_hold(number: float) -> None:
    assert strictjson.parse(f'{{"a": {number}}}'.encode()) == {"a": number}


@pytest.mark.parametrize("text", ["ä", "𝄞 \U0010ffff", "e\u0301", "\u2028", "\\u00e4", "</script>", "\x7f"])
def test_keeps_text_as_it_is(text: str) -> None:
    escaped = text.replace("\\", "\\\\")
    assert strictjson.parse(f'{{"a": "{escaped}"}}'.encode()) == {"a": text}


def test_reads_a_pair_of_escaped_surrogates_as_one_character() -> None:
    assert strictjson.parse(rb'{"a": "\ud834\udd1e"}') == {"a": "\U0001d11e"}
