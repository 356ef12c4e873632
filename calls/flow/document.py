"""The document an answer URL returns: read whole, checked whole, before anything of it runs."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from rest_framework import serializers

from calls.flow import actions
from minivoice import inputs, strictjson

MOST_ACTIONS = 200
_NAMED_CHARACTERS = 64  # of what a stranger calls an action: it is told on the timeline


class Action(NamedTuple):
    """One instruction: its name and its parameters, checked, defaults filled in."""

    name: str
    params: dict[str, Any]


class InvalidDocument(ValueError):
    """The document breaks a rule; the message names the JSON path and the rule."""

    def __init__(self, path: str, rule: str) -> None:
        super().__init__(f"{path}: {rule}")
        self.path, self.rule = path, rule


def parse(body: bytes) -> list[Action]:
    """Return the actions in a response body. Raises InvalidDocument."""
    try:
        document = strictjson.parse(body)
    except strictjson.Invalid as error:
        raise InvalidDocument("$", str(error)) from error
    return check(document)


def check(document: Mapping[str, Any]) -> list[Action]:
    """Return the actions of a document that was read already. Raises InvalidDocument."""
    if "actions" not in document or not isinstance(document["actions"], list):
        raise InvalidDocument("$.actions", "is required and must be an array")
    return _actions(document["actions"], "$.actions", iter(range(MOST_ACTIONS)))


def _actions(items: list[Any], path: str, places: Iterator[int]) -> list[Action]:
    return [_action(item, f"{path}[{index}]", places) for index, item in enumerate(items)]


def _action(item: Any, path: str, places: Iterator[int]) -> Action:
    """Read one action in either shape: `{"say": {...}}` or `{"type": "say", ...}`.

    It takes one of the `places` of the whole document: actions within actions count too.
    """
    if next(places, None) is None:
        raise InvalidDocument("$.actions", f"may have at most {MOST_ACTIONS} actions, fallbacks included")
    if not isinstance(item, dict) or not item:
        raise InvalidDocument(path, "must be an object")
    if "type" in item:
        name, params = item["type"], {key: value for key, value in item.items() if key != "type"}
    elif len(item) == 1:
        name, params = next(iter(item.items()))
        path = f"{path}.{name[:_NAMED_CHARACTERS]}"
    else:
        raise InvalidDocument(path, "must have one key that names the action, or a type")
    if not isinstance(name, str) or name not in actions.FORMS:
        raise InvalidDocument(path, f"unknown action {str(name)[:_NAMED_CHARACTERS]!r}")
    if not isinstance(params, dict):
        raise InvalidDocument(path, "the parameters must be an object")
    try:
        checked = dict(actions.FORMS[name].run_validation(params))
    except serializers.ValidationError as error:
        field, message = inputs.first(error)
        raise InvalidDocument(f"{path}.{field}", f"{message}") from error
    if "fallback" in checked:
        checked["fallback"] = _actions(checked["fallback"], f"{path}.fallback", places)
    return Action(name, checked)
