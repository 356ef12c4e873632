"""JSON Schema of what goes in (forms) and of what comes out (TypedDicts)."""

import inspect
import re
from collections.abc import Callable
from functools import singledispatch
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NotRequired, Union, get_args, get_origin, get_type_hints, is_typeddict

from rest_framework import serializers
from rest_framework.fields import empty

from minivoice import inputs, schema

Json = dict[str, Any]
_PLAIN = {str: "string", int: "integer", float: "number", bool: "boolean", dict: "object", NoneType: "null"}


class Components:
    """The named schemas of a document."""

    def __init__(self) -> None:
        self.schemas: dict[str, Json] = {}
        self._kinds: dict[str, type] = {}

    def body(self, kind: type[inputs.Form], *, is_partial: bool) -> Json:
        """Return a reference to a form; `is_partial` when it reads changes, of which none is required."""
        name = re.sub("(Change)?Form$", "", kind.__name__) + "Changes" if is_partial else kind.__name__
        return self._reference(name, kind, lambda: form(kind(partial=is_partial)))

    def of(self, hint: Any) -> Json:
        """Return the schema of a type as TypedDicts use them."""
        origin, arguments = get_origin(hint), get_args(hint)
        if origin is Annotated:
            return self._annotated(arguments)
        if origin in {Union, UnionType}:
            return self._either([self.of(each) for each in arguments])
        if origin is Literal:
            return {"type": "string", "enum": list(arguments)}
        if origin is list:
            return {"type": "array", "items": self.of(arguments[0])}
        if origin is NotRequired:
            return self.of(arguments[0])
        if is_typeddict(hint):
            return self._reference(hint.__name__.removesuffix("Object"), hint, lambda: self._record(hint))
        if hint is Any:
            return {}
        return {"type": _PLAIN[origin or hint]}

    def _reference(self, name: str, kind: type, describe: Callable[[], Json]) -> Json:
        """Describe a type when it is first met; a name stands for one type."""
        if self._kinds.setdefault(name, kind) is not kind:
            raise TypeError(f"{kind.__module__} and {self._kinds[name].__module__} both have an object named {name}")
        if name not in self.schemas:
            self.schemas[name] = {}  # ends a recursion
            self.schemas[name] = describe()
        return {"$ref": f"#/components/schemas/{name}"}

    def _record(self, kind: Any) -> Json:
        hints = get_type_hints(kind, include_extras=True)
        described = {"description": inspect.cleandoc(kind.__doc__)} if kind.__doc__ else {}
        return {
            "type": "object",
            **described,
            "properties": {name: self.of(hint) for name, hint in hints.items()},
            "required": [name for name in hints if name in kind.__required_keys__],
        }

    def _annotated(self, arguments: tuple[Any, ...]) -> Json:
        described = self.of(arguments[0])
        for note in arguments[1:]:
            described |= note.keywords if isinstance(note, schema.Keywords) else {"description": note}
        return described

    @staticmethod
    def _either(choices: list[Json]) -> Json:
        """Write `X | None` as OpenAPI 3.1 does; an enum must name null as well."""
        first, *others = choices
        if others != [{"type": "null"}] or "type" not in first:
            return {"anyOf": choices}
        return _or_null(first)


def form(body: inputs.Form) -> Json:
    """Return the schema of a request body. What is optional may be null, which stands for "not given"."""
    described = {"description": inspect.cleandoc(body.__doc__)} if body.__doc__ else {}
    required = [name for name, each in body.fields.items() if each.required and not body.partial]
    properties = {name: _property(each, is_partial=body.partial) for name, each in body.fields.items()}
    return {"type": "object", **described, "properties": properties, "required": required}


@singledispatch
def field(of: Any) -> Json:
    """Return the schema of one field of a form, exactly as strict as the field is."""
    raise TypeError(f"minivoice.openapi does not know the field {type(of).__name__}")


@field.register
def _text(of: inputs.Text) -> Json:
    shortest = max(of.min_length or 0, 0 if of.allow_blank else 1)
    return {"type": "string", **_given(minLength=shortest or None, maxLength=of.max_length)}


@field.register
def _matching(of: inputs.Matching) -> Json:
    pattern = f"^({of.pattern}|)$" if of.allow_blank else f"^({of.pattern})$"
    return _text(of) | {"pattern": pattern}


@field.register
def _url(of: inputs.Url) -> Json:
    # '' is none: a format or a pattern would refuse it
    return _text(of) | {"description": "an http or https URL that is not on the inside", **_URL_EXAMPLE}


@field.register(inputs.Whole)
@field.register(inputs.Number)
def _number(of: Any) -> Json:
    kind = "integer" if isinstance(of, inputs.Whole) else "number"
    return {"type": kind, **_given(minimum=of.min_value, maximum=of.max_value)}


@field.register
def _choice(of: inputs.Choice) -> Json:
    return {"type": "string", "enum": list(of.choices)}


@field.register
def _choices(of: inputs.Choices) -> Json:
    return {"type": "array", "items": _choice(of.child)}


@field.register
def _matchings(of: inputs.Matchings) -> Json:
    return {"type": "array", "items": _matching(of.child), "maxItems": of.most}


@field.register
def _flag(of: inputs.Flag) -> Json:
    return {"type": "boolean"}


@field.register
def _e164(of: inputs.E164) -> Json:
    return {
        "type": "string",
        "pattern": r"^\+[1-9][0-9]{6,14}$",
        "description": "E.164, of a length that is possible in its country",
        "examples": ["+15551230002"],
    }


@field.register
def _moment(of: inputs.Moment) -> Json:
    return {"type": "string", "description": "RFC 3339, with its zone", "examples": ["2026-05-29T12:00:00Z"]}


@field.register
def _day_or_moment(of: inputs.DayOrMoment) -> Json:
    return _moment(of) | {"description": "RFC 3339 with its zone, or a day, which stands for its midnight UTC"}


@field.register
def _items(of: inputs.Items) -> Json:
    return {"type": "array", "items": {"type": "object"}, "maxItems": 200}


@field.register
def _metadata(of: inputs.Metadata) -> Json:
    return {
        "type": "object",
        "description": "an object of your own, 16 KiB in all; strings in it have at most "
        f"{inputs.METADATA_VALUE_CHARACTERS} characters",
        "maxProperties": inputs.METADATA_KEYS,
        "propertyNames": {"maxLength": inputs.METADATA_NAME_CHARACTERS},
        "additionalProperties": True,
    }


@field.register
def _variables(of: inputs.Variables) -> Json:
    return {
        "type": "object",
        "maxProperties": inputs.METADATA_KEYS,
        "propertyNames": {"minLength": 1, "maxLength": inputs.METADATA_NAME_CHARACTERS},
        "additionalProperties": {
            "type": ["string", "number", "boolean"],
            "maxLength": inputs.METADATA_VALUE_CHARACTERS,
        },
    }


@field.register
def _names(of: inputs.Names) -> Json:
    name = {"type": "string", "minLength": 1, "maxLength": inputs.METADATA_NAME_CHARACTERS}
    return {"type": "array", "items": name, "maxItems": inputs.METADATA_KEYS}


_URL_EXAMPLE: Json = {"examples": ["https://example.com/answer"]}


def _property(of: serializers.Field[Any, Any, Any, Any], *, is_partial: bool) -> Json:
    described = field(of)
    if of.required and not is_partial:
        return described
    if not is_partial and not callable(of.default) and of.default not in (empty, "", None):
        described["default"] = of.default
    return _or_null(described)


def _or_null(described: Json) -> Json:
    with_null = {**described, "type": [described["type"], "null"]}
    if "enum" in described:
        with_null["enum"] = [*described["enum"], None]
    return with_null


def _given(**keywords: int | None) -> Json:
    return {name: value for name, value in keywords.items() if value is not None}
