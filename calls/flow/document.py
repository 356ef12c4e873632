"""The document an answer URL returns: read whole, checked whole, before anything of it runs."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from rest_framework import serializers

from minivoice import inputs, strictjson

MOST_ACTIONS = 200


class Action(NamedTuple):
    """One instruction: its name and its parameters, checked, defaults filled in."""

    name: str
    params: dict[str, Any]


class InvalidDocument(ValueError):
    """The document breaks a rule; the message names the JSON path and the rule."""

    def __init__(self, path: str, rule: str) -> None:
        super().__init__(f"{path}: {rule}")
        self.path, self.rule = path, rule


class Say(inputs.Form):
    text = inputs.Text(max_length=4000)
    voice = inputs.Text(required=False, max_length=64)
    language = inputs.Text(required=False, max_length=35)


class Pause(inputs.Form):
    seconds = inputs.Number(min_value=0.1, max_value=60)


class Gather(inputs.Form):
    prompt = inputs.Text(required=False, default="", max_length=4000)
    num_digits = inputs.Whole(required=False, default=1, min_value=1, max_value=64)
    min_digits = inputs.Whole(required=False, min_value=1, max_value=64)
    max_digits = inputs.Whole(required=False, min_value=1, max_value=64)
    timeout_seconds = inputs.Whole(required=False, default=5, min_value=1, max_value=30)
    finish_on_key = inputs.Choice("0123456789*#", required=False, default="")
    sensitive = inputs.Flag(required=False, default=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """`min_digits` and `max_digits` win over `num_digits`."""
        most = attrs.get("max_digits") or max(attrs["num_digits"], attrs.get("min_digits", 1))
        least = attrs.get("min_digits") or (1 if "max_digits" in attrs else attrs["num_digits"])
        if least > most:
            raise serializers.ValidationError({"min_digits": "must not exceed max_digits"})
        del attrs["num_digits"]
        return {**attrs, "min_digits": least, "max_digits": most}


class Redirect(inputs.Form):
    url = inputs.Url()
    method = inputs.Choice(("GET", "POST"), required=False, default="GET")
    max_redirects = inputs.Whole(required=False, default=10, min_value=0, max_value=20)


class Hangup(inputs.Form):
    reason = inputs.Text(required=False, max_length=64)


ACTIONS: Mapping[str, inputs.Form] = {
    "say": Say(),
    "pause": Pause(),
    "gather": Gather(),
    "redirect": Redirect(),
    "hangup": Hangup(),
}


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
    actions = document["actions"]
    if len(actions) > MOST_ACTIONS:
        raise InvalidDocument("$.actions", f"may have at most {MOST_ACTIONS} actions")
    return [_action(item, f"$.actions[{index}]") for index, item in enumerate(actions)]


def _action(item: Any, path: str) -> Action:
    """Read one action in either shape: `{"say": {...}}` or `{"type": "say", ...}`."""
    if not isinstance(item, dict) or not item:
        raise InvalidDocument(path, "must be an object")
    if "type" in item:
        name, params = item["type"], {key: value for key, value in item.items() if key != "type"}
    elif len(item) == 1:
        name, params = next(iter(item.items()))
        path = f"{path}.{name}"
    else:
        raise InvalidDocument(path, "must have one key that names the action, or a type")
    if not isinstance(name, str) or name not in ACTIONS:
        raise InvalidDocument(path, f"unknown action {name!r}")
    if not isinstance(params, dict):
        raise InvalidDocument(path, "the parameters must be an object")
    try:
        return Action(name, dict(ACTIONS[name].run_validation(params)))
    except serializers.ValidationError as error:
        field, message = inputs.first(error)
        raise InvalidDocument(f"{path}.{field}", f"{message}") from error
