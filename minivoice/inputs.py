"""Fields of request bodies: DRF's, made strict. Text is text, a number a number, and all is kept as sent."""

import json
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import phonenumbers
from rest_framework import serializers

from minivoice import addresses

_E164 = re.compile(r"\A\+[1-9][0-9]{6,14}\Z")
_DAY = re.compile(r"\A[0-9]{4}-[0-9]{2}-[0-9]{2}\Z")

METADATA_KEYS = 50
METADATA_NAME_CHARACTERS = 128
METADATA_VALUE_CHARACTERS = 4096
METADATA_BYTES = 16 * 1024


class Form(serializers.Serializer[Any]):
    """A request body. One shared instance serves every request: `api.clean(FORM, request.data)`.

    Unknown fields are ignored (part of the contract), `null` stands for "not given". In a form of changes
    (`partial=True`) only what is given is read, and `null` empties a field whose default is to be empty.
    """

    def run_validation(self, data: Any = None) -> Any:
        if not isinstance(data, Mapping):
            return super().run_validation(data)
        cleaned = super().run_validation({name: value for name, value in data.items() if value is not None})
        if self.partial:
            cleaned |= {
                name: field.default
                for name, field in self.fields.items()
                if name in data and data[name] is None and field.default in ("", None)
            }
        return cleaned


class Text(serializers.CharField):
    """A string, kept byte for byte."""

    default_error_messages = {
        "required": "is required",
        "invalid": "must be a string",
        "blank": "is required",
        "max_length": "may have at most {max_length} characters",
        "min_length": "must have at least {min_length} characters",
    }

    def __init__(self, **options: Any) -> None:
        super().__init__(trim_whitespace=False, **options)

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return data


class Matching(Text):
    """A string that is of one pattern as a whole; `says` what it must be."""

    def __init__(self, pattern: str, *, says: str, **options: Any) -> None:
        super().__init__(**options)
        self.pattern, self.says = pattern, says

    def to_internal_value(self, data: Any) -> str:
        text = super().to_internal_value(data)
        if text and not re.fullmatch(self.pattern, text):
            raise serializers.ValidationError(self.says)
        return text


class Matchings(serializers.ListField):
    """A list of at most `most` strings of one pattern, each kept once; `says` what each must be."""

    child: Matching
    default_error_messages = {
        "required": "is required",
        "not_a_list": "must be a list",
        "too_many": "may have at most {most} items",
    }

    def __init__(self, pattern: str, *, says: str, most: int, **options: Any) -> None:
        super().__init__(child=Matching(pattern, says=says), **options)
        self.most = most

    def to_internal_value(self, data: Any) -> list[str]:
        if not isinstance(data, list):
            self.fail("not_a_list")
        if len(data) > self.most:
            self.fail("too_many", most=self.most)
        try:
            return list(dict.fromkeys(map(self.child.run_validation, data)))
        except serializers.ValidationError as error:
            raise serializers.ValidationError(f"each {self.child.says}") from error


class Whole(serializers.IntegerField):
    """An integer within bounds; neither "5", nor 5.0, nor true."""

    default_error_messages = {
        "required": "is required",
        "invalid": "must be an integer",
        "max_value": "must be at most {max_value}",
        "min_value": "must be at least {min_value}",
    }

    def to_internal_value(self, data: Any) -> int:
        if not isinstance(data, int) or isinstance(data, bool):
            self.fail("invalid")
        return data


class Number(serializers.FloatField):
    """A number within bounds; never text, never true."""

    default_error_messages = {
        "required": "is required",
        "invalid": "must be a number",
        "max_value": "must be at most {max_value}",
        "min_value": "must be at least {min_value}",
    }

    def to_internal_value(self, data: Any) -> float:
        if not isinstance(data, int | float) or isinstance(data, bool):
            self.fail("invalid")
        return float(data)


class Choice(serializers.Field[str, Any, str, Any]):
    """One of a few strings."""

    default_error_messages = {"required": "is required", "invalid": "must be one of {choices}"}

    def __init__(self, choices: Iterable[str], **options: Any) -> None:
        super().__init__(**options)
        self.choices = tuple(choices)

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str) or data not in self.choices:
            self.fail("invalid", choices=", ".join(self.choices))
        return data


class Choices(serializers.ListField):
    """A list of a few strings, each kept once."""

    child: Choice
    default_error_messages = {
        "required": "is required",
        "not_a_list": "must be a list",
        "invalid": "may contain {choices}",
    }

    def __init__(self, choices: Iterable[str], **options: Any) -> None:
        super().__init__(child=Choice(choices), **options)

    def to_internal_value(self, data: Any) -> list[str]:
        if not isinstance(data, list):
            self.fail("not_a_list")
        if not all(isinstance(item, str) and item in self.child.choices for item in data):
            self.fail("invalid", choices=", ".join(self.child.choices))
        return list(dict.fromkeys(data))


class Flag(serializers.Field[bool, Any, bool, Any]):
    """true or false."""

    default_error_messages = {"required": "is required", "invalid": "must be true or false"}

    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool):
            self.fail("invalid")
        return data


class E164(serializers.Field[str, Any, str, Any]):
    """A telephone number: `+`, ASCII digits, a length that is possible in its country.

    Ranges reserved for tests and fiction, such as +1555, count as possible.
    """

    default_error_messages = {
        "required": "is required",
        "invalid": "must be an E.164 number such as +15551230001",
    }

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str) or not is_e164(data):
            self.fail("invalid")
        return data


class QueryNumber(E164):
    """A number in a query string, where a `+` that was not encoded arrives as a blank."""

    def to_internal_value(self, data: Any) -> str:
        return super().to_internal_value("+" + data[1:] if str(data).startswith(" ") else data)


class Moment(serializers.Field[datetime, Any, datetime, Any]):
    """A moment as RFC 3339 writes it, with its zone."""

    default_error_messages = {
        "required": "is required",
        "invalid": "must be a time with its zone, such as 2026-05-29T12:00:00Z",
    }

    def to_internal_value(self, data: Any) -> datetime:
        # In a query string the `+` of a zone that was not encoded arrives as a blank.
        text = re.sub(r" (?=[0-9]{2}:?[0-9]{2}\Z)", "+", data) if isinstance(data, str) else ""
        try:
            moment = datetime.fromisoformat(text) if text.isascii() else None
        except ValueError:
            moment = None
        if moment is None or moment.tzinfo is None or not 1970 <= moment.year <= 9000:
            self.fail("invalid")
        return moment.astimezone(UTC)


class DayOrMoment(Moment):
    """A moment, or a day, which stands for its midnight UTC."""

    default_error_messages = {"invalid": "must be a day such as 2026-05-29, or a time such as 2026-05-29T12:00:00Z"}

    def to_internal_value(self, data: Any) -> datetime:
        is_day = isinstance(data, str) and _DAY.match(data)
        return super().to_internal_value(f"{data}T00:00:00Z" if is_day else data)


class Url(Text):
    """An http or https URL whose host is not on the inside; names are judged again at connect. '' is none."""

    default_error_messages = {"invalid_url": "must be a valid URL"}

    def __init__(self, **options: Any) -> None:
        super().__init__(max_length=2048, allow_blank=not options.get("required", True), **options)

    def to_internal_value(self, data: Any) -> str:
        text = super().to_internal_value(data)
        if not text:
            return text
        try:
            addresses.check_url(text)
        except ValueError:
            self.fail("invalid_url")
        return text


class Items(serializers.Field[list[Any], Any, list[Any], Any]):
    """An array, whose items somebody else judges."""

    default_error_messages = {"required": "is required", "invalid": "must be an array"}

    def to_internal_value(self, data: Any) -> list[Any]:
        if not isinstance(data, list):
            self.fail("invalid")
        return data


class Metadata(serializers.Field[dict[str, Any], Any, dict[str, Any], Any]):
    """An object of the integrator's own, with the documented limits."""

    default_error_messages = {"required": "is required", "invalid": "must be an object"}

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        if not isinstance(data, dict):
            self.fail("invalid")
        if len(data) > METADATA_KEYS:
            raise serializers.ValidationError(f"may have at most {METADATA_KEYS} keys")
        if any(len(name) > METADATA_NAME_CHARACTERS for name in data):
            raise serializers.ValidationError(f"names may have at most {METADATA_NAME_CHARACTERS} characters")
        if any(isinstance(value, str) and len(value) > METADATA_VALUE_CHARACTERS for value in data.values()):
            raise serializers.ValidationError(f"values may have at most {METADATA_VALUE_CHARACTERS} characters")
        if data and len(json.dumps(data, ensure_ascii=False).encode()) > METADATA_BYTES:
            raise serializers.ValidationError("may have at most 16 KiB in all")
        return data


class Variables(serializers.Field[dict[str, Any], Any, dict[str, Any], Any]):
    """An object of names and plain values: strings, numbers, true and false."""

    default_error_messages = {"required": "is required", "invalid": "must be an object"}

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        if not isinstance(data, dict):
            self.fail("invalid")
        if len(data) > METADATA_KEYS:
            raise serializers.ValidationError(f"may have at most {METADATA_KEYS} names")
        if not all(_is_name(name) for name in data):
            raise serializers.ValidationError(f"names must have 1 to {METADATA_NAME_CHARACTERS} characters")
        if not all(isinstance(value, str | int | float) for value in data.values()):
            raise serializers.ValidationError("values must be strings, numbers, true or false")
        if any(isinstance(value, str) and len(value) > METADATA_VALUE_CHARACTERS for value in data.values()):
            raise serializers.ValidationError(f"values may have at most {METADATA_VALUE_CHARACTERS} characters")
        return data


class Names(serializers.Field[list[str], Any, list[str], Any]):
    """A list of names, of variables for example."""

    default_error_messages = {"required": "is required", "invalid": "must be a list of names"}

    def to_internal_value(self, data: Any) -> list[str]:
        if not isinstance(data, list) or not all(isinstance(name, str) for name in data):
            self.fail("invalid")
        if len(data) > METADATA_KEYS:
            raise serializers.ValidationError(f"may have at most {METADATA_KEYS} names")
        if not all(_is_name(name) for name in data):
            raise serializers.ValidationError(f"names must have 1 to {METADATA_NAME_CHARACTERS} characters")
        return data


def first(error: serializers.ValidationError) -> tuple[str, str]:
    """Return the first field that is wrong, and what is wrong with it."""
    path: list[str] = []
    detail: Any = error.detail
    while isinstance(detail, dict):
        name, detail = next(iter(detail.items()))
        path.append(str(name))
    return ".".join(path), str(detail[0])


def is_e164(text: str) -> bool:
    """Tell whether `text` is a number we would dial: well formed, and of a possible length for its country."""
    if not _E164.match(text):
        return False
    try:
        number = phonenumbers.parse(text)
    except phonenumbers.NumberParseException:
        return False
    return phonenumbers.is_possible_number(number)


def _is_name(text: str) -> bool:
    return 1 <= len(text) <= METADATA_NAME_CHARACTERS
