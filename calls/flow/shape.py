"""The JSON Schema of a document, made of the same forms that read it: what the parser takes, the schema takes.

The parser knows a few rules more: `min_digits` above `max_digits`, hosts on the inside, numbers that cannot be, voices
that nobody has, a transfer to nobody.
"""

from typing import Any

from calls.flow.actions import FORMS
from calls.flow.document import MOST_ACTIONS
from minivoice.openapi import types

Json = dict[str, Any]


def schema() -> Json:
    """Return the JSON Schema of what an answer URL may answer."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "MiniVoice actions",
        "type": "object",
        "required": ["actions"],
        "properties": {"actions": {"$ref": "#/$defs/actions"}},
        "$defs": {
            "actions": {"type": "array", "maxItems": MOST_ACTIONS, "items": {"$ref": "#/$defs/action"}},
            "action": {
                "type": "object",
                "if": {"required": ["type"]},
                "then": {"oneOf": [_typed(name) for name in FORMS]},
                "else": {"oneOf": [_keyed(name) for name in FORMS], "maxProperties": 1},
            },
            **{name: _parameters(name) for name in FORMS},
        },
    }


def _parameters(name: str) -> Json:
    described = types.form(FORMS[name])
    if "fallback" in described["properties"]:
        described["properties"]["fallback"] = {"anyOf": [{"$ref": "#/$defs/actions"}, {"type": "null"}]}
    return described


def _typed(name: str) -> Json:
    """`{"type": "say", "text": "Hi"}`."""
    return {"properties": {"type": {"const": name}}, "$ref": f"#/$defs/{name}"}


def _keyed(name: str) -> Json:
    """`{"say": {"text": "Hi"}}`."""
    return {"required": [name], "properties": {name: {"$ref": f"#/$defs/{name}"}}}
