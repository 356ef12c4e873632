"""Documents made up at random from the types of the actions, and ways to break them."""

import copy
import random
import string
from collections.abc import Callable
from functools import singledispatch
from typing import Any

from calls.flow.actions import FORMS, Destination
from minivoice import inputs

Document = dict[str, Any]
_URL = "https://example.test/next"
_VOICES = [{"voice": "en-us"}, {"language": "pt-BR"}, {"voice": "EN-GB-scotland", "language": "en-au"}]
_NOWHERE = "sip:desk@nowhere.example"  # no trunk leads there
_WORDS = "Grüße, 日本, press 1 now! "


def valid(chance: random.Random, *, most_actions: int = 3) -> Document:
    """Return a document of up to so many actions, in both shapes."""
    return {"actions": [_action(chance) for _ in range(chance.randint(0, most_actions))]}


def broken(chance: random.Random) -> Document:
    """Return a document that breaks one rule."""
    document = valid(chance)
    document["actions"].insert(chance.randint(0, len(document["actions"])), _action(chance))
    return chance.choice(_WAYS)(copy.deepcopy(document), chance)


def _action(chance: random.Random) -> dict[str, Any]:
    name = chance.choice(sorted(FORMS))
    params = _params(name, chance)
    return {"type": name, **params} if chance.random() < 0.5 else {name: params}


def _params(name: str, chance: random.Random) -> dict[str, Any]:
    fields = FORMS[name].fields
    params = {key: value(field, chance) for key, field in fields.items() if field.required or chance.random() < 0.5}
    if chance.random() < 0.1:
        params["unheard_of"] = {"any": ["thing"]}
    if {"destination", "to"} <= fields.keys() and not {"destination", "to"} & params.keys():
        params["to"] = _NOWHERE
    if params.get("min_digits", 1) > params.get("max_digits", 64):
        del params["min_digits"]
    if {params.pop("voice", None), params.pop("language", None)} != {None}:
        params |= chance.choice(_VOICES)
    return params


@singledispatch
def value(field: Any, chance: random.Random) -> Any:
    """Return a value that a field takes."""
    raise TypeError(f"nothing is known of {type(field).__name__}")


@value.register
def _(field: inputs.Text, chance: random.Random) -> str:
    return "".join(chance.choices(_WORDS, k=chance.randint(1, min(field.max_length or 40, 40) - 1))) + "."


@value.register
def _(field: inputs.Matching, chance: random.Random) -> str:
    return chance.choice(_MATCHING[field.pattern])


@value.register
def _(field: inputs.Url, chance: random.Random) -> str:
    return _URL


@value.register(inputs.Whole)
def _(field: inputs.Whole, chance: random.Random) -> int:
    return chance.randint(field.min_value or 0, field.max_value or 100)


@value.register(inputs.Number)
def _(field: inputs.Number, chance: random.Random) -> float:
    return round(chance.uniform(field.min_value or 0, field.max_value or 100), 2)


@value.register
def _(field: inputs.Choice, chance: random.Random) -> str:
    return chance.choice(field.choices)


@value.register
def _(field: inputs.Flag, chance: random.Random) -> bool:
    return chance.random() < 0.5


@value.register
def _(field: inputs.Variables, chance: random.Random) -> dict[str, Any]:
    return {chance.choice("abcdef"): chance.choice(["x", 1, 2.5, True, ""]) for _ in range(chance.randint(0, 4))}


@value.register
def _(field: inputs.Names, chance: random.Random) -> list[str]:
    return [chance.choice("abcdef") for _ in range(chance.randint(0, 4))]


@value.register
def _(field: inputs.E164, chance: random.Random) -> str:
    return "+15551230001"


@value.register
def _(field: inputs.Items, chance: random.Random) -> list[Any]:
    return chance.choice(
        [[], [{"pause": {"seconds": 1}}], [{"type": "bridge", "to": _NOWHERE, "fallback": [{"hangup": {}}]}]]
    )


# Examples of each pattern that an action has; a new one needs its own.
_MATCHING = {
    r"[A-Za-z0-9._-]{1,64}": ["lobby", "R2.d-2_x"],
    r"[0-9*#A-DwW, ]{1,64}": ["1", "w1W2,#", "*A D"],
    Destination().pattern: [_NOWHERE],
    r"wss://[^\s/?#]+\S*": ["wss://example.test/stream"],
}


def _pick(document: Document, chance: random.Random) -> tuple[str, dict[str, Any]]:
    """Return the name and the parameters of one action, the latter to be changed in place."""
    action = chance.choice(document["actions"])
    if "type" in action:
        return action["type"], action
    name = next(iter(action))
    return name, action[name]


def _unknown(document: Document, chance: random.Random) -> Document:
    name = "".join(chance.choices(string.ascii_lowercase, k=12))
    document["actions"].append(chance.choice([{name: {}}, {"type": name}]))
    return document


def _no_action(document: Document, chance: random.Random) -> Document:
    two = {"say": {"text": "Hi"}, "hangup": {}}
    rubbish = [None, 7, "say", [], {}, {"say": "Hi"}, {"type": 7}, {"hangup": None}, two]
    document["actions"].append(chance.choice(rubbish))
    return document


def _wrong_kind(document: Document, chance: random.Random) -> Document:
    """Put an array of objects where there is none."""
    name, params = _pick(document, chance)
    fields = list(FORMS[name].fields)
    if not fields:
        return _unknown(document, chance)
    params[chance.choice(fields)] = [{"a": 1}]
    return document


def _missing(document: Document, chance: random.Random) -> Document:
    name = chance.choice([name for name, form in FORMS.items() if any(f.required for f in form.fields.values())])
    params = _params(name, chance)
    del params[chance.choice([key for key, field in FORMS[name].fields.items() if field.required])]
    document["actions"].append({name: params})
    return document


def _out_of_bounds(document: Document, chance: random.Random) -> Document:
    wrong = [
        {"say": {"text": ""}},
        {"say": {"text": "x" * 4001}},
        {"pause": {"seconds": chance.choice([0, 0.09, 60.1, -1, 1e9])}},
        {"gather": {"num_digits": chance.choice([0, 65, 1.5, "1", True])}},
        {"gather": {"timeout_seconds": chance.choice([0, 31])}},
        {"gather": {"finish_on_key": chance.choice(["a", "", "12"])}},
        {"send_digits": {"digits": chance.choice(["", "1" * 65, "12x", "e", "1\n"])}},
        {"send_digits": {"digits": "1", "pause_before_ms": chance.choice([-1, 60_001])}},
        {"redirect": {"url": chance.choice(["", 7, _URL + "x" * 2048])}},
        {"redirect": {"url": _URL, "max_redirects": chance.choice([-1, 21])}},
        {"redirect": {"url": _URL, "method": "PUT"}},
        {"mute": {"direction": "sideways"}},
        {"set_variables": {"variables": {"x" * 129: ""}}},
        {"set_variables": {"variables": {"x": "y" * 4097}}},
        {"set_variables": {"variables": {"x": chance.choice([None, {}, []])}}},
        {"set_variables": {"variables": {f"v{number}": 1 for number in range(51)}}},
        {"remove_variables": {"names": chance.choice(["a", [7], [""], ["x" * 129]])}},
        {"start_stream": {"stream_url": chance.choice(["https://example.test/", "wss://", "wss://a b"])}},
        {"conference": {"room": chance.choice(["", "a b", "x" * 65, "größe", "a/b", "a\n", 7])}},
        {"reject": {"reason": "tired"}},
        {"say": {"text": "Hi", "voice": "nobody"}},
        {"gather": chance.choice([{"language": "tlh"}, {"voice": "de", "language": "fr"}])},
        {"play": {"url": _URL, "loop": chance.choice([0, 101, "2"])}},
        {
            "transfer": {
                "to": chance.choice(["", "5551230002", "+1555", "sip:@h", "sip:u@h?x=1", "sips:u@h", "+1555123\n"])
            }
        },
        {"transfer": {"to": _NOWHERE, "timeout_seconds": chance.choice([4, 121])}},
        {"transfer": {"to": _NOWHERE, "from": "5551230001"}},
        {
            "bridge": {
                "to": _NOWHERE,
                "fallback": chance.choice([{}, "say", [{"fly": {}}], [{"pause": {"seconds": 61}}]]),
            }
        },
    ]
    document["actions"].append(chance.choice(wrong))
    return document


def _no_list(document: Document, chance: random.Random) -> Document:
    return chance.choice([{}, {"actions": None}, {"actions": {}}, {"actions": "say"}, {"action": document["actions"]}])


def _too_many(document: Document, chance: random.Random) -> Document:
    return {"actions": [{"hangup": {}}] * chance.randint(201, 210)}


_WAYS: list[Callable[[Document, random.Random], Document]] = [
    _unknown,
    _no_action,
    _wrong_kind,
    _missing,
    _out_of_bounds,
    _no_list,
    _too_many,
]
