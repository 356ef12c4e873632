"""Fields of request bodies: DRF's, made strict. Text is text, a number a number, and all is kept as sent."""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

import phonenumbers
from rest_framework import serializers

from minivoice import addresses

_E164 = re.compile(r"\A\+[1-9][0-9]{6,14}\Z")

METADATA_KEYS = 50
METADATA_NAME_CHARACTERS = 128
METADATA_VALUE_CHARACTERS = 4096
METADATA_BYTES = 16 * 1024


class Form(serializers.Serializer[Any]):
    """A request body. One shared instance serves every request: `api.clean(FORM, request.data)`.

    Unknown fields are ignored (part of the contract), `null` stands for "not given".
    """

    def run_validation(self, data: Any = None) -> Any:
        if isinstance(data, Mapping):
            data = {name: value for name, value in data.items() if value is not None}
        return super().run_validation(data)


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
