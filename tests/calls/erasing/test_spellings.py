"""A number is found in every spelling, and nothing else is taken for it; what it is in the database comes upon."""

import json
import re
from typing import Any

import pytest
from django.db.models import F

from applications.models import Customer
from calls.erasing import spellings
from tests.factories import CustomerFactory

NUMBER = "+15557654321"
LONG = "+4915112345678"
FOUND = [
    *("+15557654321", "15557654321", "0015557654321", "01115557654321", "5557654321", "05557654321"),
    *("+1 (555) 765-4321", "(555) 765-4321", "555.765.4321", "+1\u00a0555\u00a0765\u00a04321", "1-555-765-4321"),
    *("%2B15557654321", "%2b1%20555%20765%204321", "sip:15557654321@pbx.example", "sip:+15557654321@pbx.example"),
    *("sip:+15557654321", "sip:15557654321@"),  # as much of a URI as the log of refused calls keeps
    *("call +15557654321, please", "from=15557654321&to=2", '{"a":"+15557654321"}', '{"a": 15557654321}'),
]
NOT_FOUND = [
    *("+15557654320", "+155576543210", "115557654321", "915557654321", "55576543211", "0.15557654321", "7654321"),
    *("call_20260529T155576.543210000", "+25557654321", "5 5 5", "", "sip:alice@pbx.example"),
]


def is_found(text: str, number: str = NUMBER) -> tuple[bool, bool]:
    """Whether the database gives a text to be looked at, and whether the number is in it."""
    customer = CustomerFactory(name=text)
    given = Customer.objects.filter(spellings.might_hold(number, F("name")), pk=customer.pk).exists()
    return given, spellings.holds(text, re.compile(spellings.pattern(number)))


@pytest.mark.parametrize("text", FOUND)
def test_finds_each_spelling(db: None, text: str) -> None:
    assert is_found(text) == (True, True)


@pytest.mark.parametrize("text", NOT_FOUND)
def test_takes_nothing_else_for_it(db: None, text: str) -> None:
    assert not is_found(text)[1]


@pytest.mark.parametrize("text", ["+15557654320", "7654321", "5 5 5", "", "sip:alice@pbx.example"])
def test_the_database_gives_nothing_else(db: None, text: str) -> None:
    assert not is_found(text)[0]


@pytest.mark.parametrize("text", ["+49 (0)1511 2345678", "+49 1511/2345678", "0049 15112345678", "01511 2345678"])
def test_finds_a_number_as_it_is_dialled_at_home(db: None, text: str) -> None:
    assert is_found(text, LONG) == (True, True)


@pytest.mark.parametrize("text", ["sip:+49151123456", "sip:491511234567"])
def test_finds_what_the_log_of_refused_calls_has_cut(db: None, text: str) -> None:
    cut = f"sip:{'+' if '+' in text else ''}{LONG[1:]}"[:16]
    assert is_found(cut, LONG) == (True, True)
    assert not is_found(text[:-1], LONG)[1]


@pytest.mark.parametrize("text", ["1234567", "0.1234567", "12345671", "call 1234567 times"])
def test_a_short_number_needs_its_plus(db: None, text: str) -> None:
    assert not is_found(text, "+1234567")[1]
    assert is_found("at +1234567.", "+1234567") == (True, True)


@pytest.mark.parametrize(
    ("value", "left"),
    [
        ("from +1 555 765 4321 on", "from erased on"),
        ({"a": [15557654321, {"+15557654321": True}], "b": None}, {"a": ["erased", {"erased": True}], "b": None}),
        ({"sum": 1.5, "is": True, "n": 7}, {"sum": 1.5, "is": True, "n": 7}),
        (b'{"call":{"to":"+15557654321","name":"\xc3\xa9"}}', b'{"call":{"to":"erased","name":"\xc3\xa9"}}'),
    ],
)
def test_puts_the_word_in_its_place(value: Any, left: Any) -> None:
    assert spellings.erase(value, re.compile(spellings.pattern(NUMBER))) == left
    json.dumps(left if not isinstance(left, bytes) else json.loads(left))
