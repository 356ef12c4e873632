"""Fields of request bodies: what is taken, and the sentence about what is not."""

from datetime import datetime
from typing import Any

import pytest

from minivoice import api, errors, inputs


class Form(inputs.Form):
    """One field of each kind."""

    name = inputs.Text(required=False, max_length=5, min_length=2)
    whole = inputs.Whole(required=False, min_value=5, max_value=120)
    number = inputs.Number(required=False, min_value=0.1, max_value=60)
    choice = inputs.Choice(("GET", "POST"), required=False)
    flag = inputs.Flag(required=False)
    phone = inputs.E164(required=False)
    url = inputs.Url(required=False)
    metadata = inputs.Metadata(required=False)


FORM = Form()

TAKEN: list[tuple[str, Any]] = [
    ("name", "  ä "),
    ("whole", 5),
    ("whole", 120),
    ("number", 0.1),
    ("number", 60),
    ("choice", "GET"),
    ("flag", False),
    ("phone", "+15551230001"),
    ("phone", "+442071838750"),
    ("phone", "+4930901820"),
    ("url", "https://example.test/answer"),
    ("url", "http://example.com:8080/a?b=c#d"),
    ("metadata", {}),
    ("metadata", {f"key {n}": n for n in range(50)}),
    ("metadata", {"k" * 128: "v" * 4096}),
]

REFUSED: list[tuple[str, Any, str]] = [
    ("name", 5, "must be a string"),
    ("name", ["ab"], "must be a string"),
    ("name", "", "is required"),
    ("name", "a", "must have at least 2 characters"),
    ("name", "abcdef", "may have at most 5 characters"),
    ("whole", 4, "must be at least 5"),
    ("whole", 121, "must be at most 120"),
    ("whole", "60", "must be an integer"),
    ("whole", 60.0, "must be an integer"),
    ("whole", True, "must be an integer"),
    ("number", "1", "must be a number"),
    ("number", True, "must be a number"),
    ("number", 60.5, "must be at most 60"),
    ("choice", "PUT", "must be one of GET, POST"),
    ("choice", ["GET"], "must be one of GET, POST"),
    ("flag", "true", "must be true or false"),
    ("flag", 1, "must be true or false"),
    ("url", "ftp://example.com/", "must be a valid URL"),
    ("url", "http://127.0.0.1/", "must be a valid URL"),
    ("url", "javascript:alert(1)", "must be a valid URL"),
    ("url", "https://example.com/" + "a" * 2048, "may have at most 2048 characters"),
    ("metadata", [], "must be an object"),
    ("metadata", "text", "must be an object"),
    ("metadata", {f"key {n}": n for n in range(51)}, "may have at most 50 keys"),
    ("metadata", {"k" * 129: 1}, "names may have at most 128 characters"),
    ("metadata", {"k": "v" * 4097}, "values may have at most 4096 characters"),
    ("metadata", {f"k{n}": "v" * 4096 for n in range(4)}, "may have at most 16 KiB in all"),
]

NUMBERS_REFUSED = [
    "15551230001",
    "+05551230001",
    "+1555123000\n",
    "+15551230001\n",
    "+15551230001 ",
    " +15551230001",
    "+1 555 123 0001",
    "+１５５５１２３０００１",
    "+١٥٥٥١٢٣٠٠٠١",
    "+1555123000１",
    "+123456",
    "+1555123000199999",
    "+155512300011",  # eleven digits after +1: no length that country has
    "+999123456789",  # no such country
    "tel:+15551230001",
    "",
    15551230001,
]


@pytest.mark.parametrize(("field", "value"), TAKEN)
def test_takes_what_is_right_as_it_was_sent(field: str, value: Any) -> None:
    assert api.clean(FORM, {field: value}) == {field: value}


@pytest.mark.parametrize(("field", "value", "sentence"), REFUSED)
def test_names_the_field_and_the_rule(field: str, value: Any, sentence: str) -> None:
    with pytest.raises(errors.InvalidRequest) as refused:
        api.clean(FORM, {field: value})
    assert (refused.value.param, refused.value.message) == (field, f"{field} {sentence}")


@pytest.mark.parametrize("number", NUMBERS_REFUSED)
def test_refuses_a_number_that_is_not_e164(number: Any) -> None:
    with pytest.raises(errors.InvalidRequest, match="phone must be an E"):
        api.clean(FORM, {"phone": number})


def test_takes_null_for_not_given() -> None:
    assert api.clean(FORM, {"name": None, "metadata": None}) == {}


def test_ignores_unknown_fields() -> None:
    assert api.clean(FORM, {"unknown": 1, "flag": True}) == {"flag": True}


def test_says_that_a_required_field_is_missing() -> None:
    class Needs(inputs.Form):
        name = inputs.Text()

    with pytest.raises(errors.InvalidRequest, match="name is required"):
        api.clean(Needs(), {"name": None})


def test_is_shared_by_requests_without_remembering_any() -> None:
    assert api.clean(FORM, {"flag": True}) == {"flag": True}
    assert api.clean(FORM, {"name": "ab"}) == {"name": "ab"}


class Contact(inputs.Form):
    name = inputs.Text(max_length=10)
    user = inputs.Matching("[a-z]+", says="must be small letters", required=False, default="", allow_blank=True)
    place = inputs.Text(required=False, default=None)
    is_active = inputs.Flag(required=False, default=True)


@pytest.mark.parametrize(
    ("body", "read"),
    [
        ({}, {}),
        ({"user": "ann", "unknown": 1}, {"user": "ann"}),
        ({"user": None, "place": None}, {"user": "", "place": None}),
        ({"name": None, "is_active": None}, {}),
        ({"user": ""}, {"user": ""}),
    ],
)
def test_a_form_of_changes_reads_what_is_given_and_null_empties(body: dict[str, Any], read: dict[str, Any]) -> None:
    assert api.clean(Contact(partial=True), body) == read


@pytest.mark.parametrize("text", ["Ann", "ann\n", "ann1", " "])
def test_a_text_of_a_pattern_is_so_as_a_whole(text: str) -> None:
    with pytest.raises(errors.InvalidRequest, match="user must be small letters"):
        api.clean(Contact(), {"name": "x", "user": text})


@pytest.mark.parametrize(
    ("text", "moment"),
    [("2026-05-29", "2026-05-29T00:00:00Z"), ("2026-05-29T12:00:00+02:00", "2026-05-29T10:00:00Z")],
)
def test_a_day_stands_for_its_midnight_in_utc(text: str, moment: str) -> None:
    assert inputs.DayOrMoment().run_validation(text) == datetime.fromisoformat(moment)
