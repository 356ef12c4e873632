"""The document of an answer URL: two shapes, and every rule named by its JSON path."""

import json
from typing import Any

import pytest

from calls.flow import document
from calls.flow.document import Action


def parse(*actions: Any) -> list[Action]:
    return document.parse(json.dumps({"actions": actions}).encode())


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("say", {"text": "Hi"}),
        ("say", {"text": "ä" * 4000, "voice": "de"}),
        ("play", {"url": "https://example.test/tone.mp3", "loop": 100}),
        ("pause", {"seconds": 0.1}),
        ("redirect", {"url": "https://example.test/next", "method": "POST", "max_redirects": 0}),
        ("hangup", {}),
        ("hangup", {"reason": "done"}),
    ],
)
def test_reads_both_shapes_alike(name: str, params: dict[str, Any]) -> None:
    assert parse({name: params}) == parse({"type": name, **params}) == [Action(name, params)]


def test_mixes_shapes_in_one_document() -> None:
    assert [action.name for action in parse({"say": {"text": "Hi"}}, {"type": "hangup"})] == ["say", "hangup"]


def test_an_empty_array_is_a_document() -> None:
    assert parse() == []


def test_ignores_unknown_parameters_and_other_fields() -> None:
    body = b'{"actions": [{"say": {"text": "Hi", "volume": 11}}], "version": 2}'

    assert document.parse(body) == [Action("say", {"text": "Hi"})]


def test_fills_in_the_defaults_of_a_gather() -> None:
    (action,) = parse({"gather": {}})

    assert action.params == {
        "prompt": "",
        "timeout_seconds": 5,
        "finish_on_key": "",
        "sensitive": False,
        "min_digits": 1,
        "max_digits": 1,
    }


def test_fills_in_the_defaults_of_a_redirect() -> None:
    (action,) = parse({"redirect": {"url": "https://example.test/"}})

    assert action.params == {"url": "https://example.test/", "method": "GET", "max_redirects": 10}


@pytest.mark.parametrize(
    ("given", "least", "most"),
    [
        ({"num_digits": 4}, 4, 4),
        ({"num_digits": 4, "max_digits": 6}, 1, 6),
        ({"num_digits": 4, "min_digits": 2}, 2, 4),
        ({"min_digits": 3}, 3, 3),
        ({"max_digits": 6}, 1, 6),
        ({"min_digits": 2, "max_digits": 6}, 2, 6),
    ],
)
def test_min_and_max_digits_win_over_num_digits(given: dict[str, int], least: int, most: int) -> None:
    (action,) = parse({"gather": given})

    assert (action.params["min_digits"], action.params["max_digits"]) == (least, most)


@pytest.mark.parametrize(
    ("action", "path"),
    [
        ("say", "$.actions[1]"),
        ({}, "$.actions[1]"),
        ([], "$.actions[1]"),
        (None, "$.actions[1]"),
        ({"say": {"text": "Hi"}, "hangup": {}}, "$.actions[1]"),
        ({"type": "dance"}, "$.actions[1]"),
        ({"type": 5}, "$.actions[1]"),
        ({"type": None, "text": "Hi"}, "$.actions[1]"),
        ({"type": ["say"]}, "$.actions[1]"),
        ({"dance": {}}, "$.actions[1].dance"),
        ({"say": "Hi"}, "$.actions[1].say"),
        ({"say": None}, "$.actions[1].say"),
        ({"say": {}}, "$.actions[1].say.text"),
        ({"say": {"text": ""}}, "$.actions[1].say.text"),
        ({"say": {"text": "x" * 4001}}, "$.actions[1].say.text"),
        ({"say": {"text": 5}}, "$.actions[1].say.text"),
        ({"type": "say"}, "$.actions[1].text"),
        ({"pause": {}}, "$.actions[1].pause.seconds"),
        ({"pause": {"seconds": 0.05}}, "$.actions[1].pause.seconds"),
        ({"pause": {"seconds": 61}}, "$.actions[1].pause.seconds"),
        ({"pause": {"seconds": "5"}}, "$.actions[1].pause.seconds"),
        ({"gather": {"num_digits": 0}}, "$.actions[1].gather.num_digits"),
        ({"gather": {"max_digits": 65}}, "$.actions[1].gather.max_digits"),
        ({"gather": {"min_digits": 5, "max_digits": 4}}, "$.actions[1].gather.min_digits"),
        ({"gather": {"timeout_seconds": 31}}, "$.actions[1].gather.timeout_seconds"),
        ({"gather": {"timeout_seconds": 1.5}}, "$.actions[1].gather.timeout_seconds"),
        ({"gather": {"finish_on_key": "##"}}, "$.actions[1].gather.finish_on_key"),
        ({"gather": {"finish_on_key": "A"}}, "$.actions[1].gather.finish_on_key"),
        ({"gather": {"sensitive": "yes"}}, "$.actions[1].gather.sensitive"),
        ({"gather": {"prompt": 5}}, "$.actions[1].gather.prompt"),
        ({"redirect": {}}, "$.actions[1].redirect.url"),
        ({"redirect": {"url": "http://10.0.0.1/"}}, "$.actions[1].redirect.url"),
        ({"redirect": {"url": "https://example.test/", "method": "PUT"}}, "$.actions[1].redirect.method"),
        (
            {"redirect": {"url": "https://example.test/", "max_redirects": 21}},
            "$.actions[1].redirect.max_redirects",
        ),
        ({"hangup": {"reason": 5}}, "$.actions[1].hangup.reason"),
    ],
)
def test_names_the_path_of_what_breaks_a_rule(action: Any, path: str) -> None:
    with pytest.raises(document.InvalidDocument) as refused:
        parse({"say": {"text": "Hi"}}, action)
    assert str(refused.value).partition(": ")[0] == path
    assert str(refused.value).partition(": ")[2]


@pytest.mark.parametrize(
    ("body", "path"),
    [
        (b"", "$"),
        (b"hello", "$"),
        (b"[]", "$"),
        (b"<html>", "$"),
        (b'{"actions": [], "actions": []}', "$"),
        (b'{"actions": [{"say": {"text": "\\u0000"}}]}', "$"),
        (b"{}", "$.actions"),
        (b'{"actions": {}}', "$.actions"),
        (b'{"actions": null}', "$.actions"),
    ],
)
def test_refuses_a_body_that_is_no_document(body: bytes, path: str) -> None:
    with pytest.raises(document.InvalidDocument) as refused:
        document.parse(body)
    assert str(refused.value).partition(": ")[0] == path


def test_takes_200_actions_and_not_201() -> None:
    assert len(parse(*[{"hangup": {}}] * 200)) == 200
    with pytest.raises(document.InvalidDocument, match="at most 200 actions"):
        parse(*[{"hangup": {}}] * 201)


def test_counts_the_actions_of_fallbacks_too() -> None:
    def bridge(many: int) -> dict[str, Any]:
        return {"bridge": {"to": "+15551230002", "fallback": [{"hangup": {}}] * many}}

    assert len(parse(bridge(99), bridge(99))) == 2
    with pytest.raises(document.InvalidDocument, match="at most 200 actions"):
        parse(bridge(99), bridge(100))


@pytest.mark.parametrize(
    ("asked", "voice"),
    [
        ({}, None),
        ({"voice": "EN-US"}, "en-us"),
        ({"language": "de-DE"}, "de"),
        ({"language": "en-us"}, "en-us"),
        ({"language": "en"}, "en"),
        ({"language": "pt-BR"}, "pt-br"),
        ({"language": "pt-PT"}, "pt"),
        ({"language": "zh-CN"}, "cmn"),
        ({"voice": "en-gb-scotland", "language": "en-GB"}, "en-gb-scotland"),
        ({"voice": None, "language": None}, None),
    ],
)
def test_settles_on_a_voice(asked: dict[str, Any], voice: str | None) -> None:
    [say, gather] = parse({"say": {"text": "Hi", **asked}}, {"gather": {"prompt": "Press", **asked}})
    assert (say.params.get("voice"), gather.params.get("voice")) == (voice, voice)


@pytest.mark.parametrize(
    ("action", "complaint"),
    [
        ({"say": {"text": "Hi", "voice": "anna"}}, "$.actions[0].say.voice: must be an id of GET /v1/voices"),
        ({"say": {"text": "Hi", "language": "tlh-X"}}, "$.actions[0].say.language: must be one of GET /v1/voices"),
        ({"gather": {"voice": "de", "language": "fr"}}, "$.actions[0].gather.language: must be one that de speaks"),
        ({"play": {}}, "$.actions[0].play.url: is required"),
        ({"play": {"url": "ftp://example.test/a.wav"}}, "$.actions[0].play.url: must be a valid URL"),
        ({"play": {"url": "http://127.0.0.1/a.wav"}}, "$.actions[0].play.url: must be a valid URL"),
        ({"play": {"url": "http://example.test/", "loop": 101}}, "$.actions[0].play.loop: must be at most 100"),
        ({"play": {"url": "http://example.test/", "loop": 0}}, "$.actions[0].play.loop: must be at least 1"),
    ],
)
def test_names_what_cannot_be_heard(action: dict[str, Any], complaint: str) -> None:
    with pytest.raises(document.InvalidDocument) as refused:
        parse(action)
    assert str(refused.value) == complaint


@pytest.mark.parametrize("action", [{"x" * 100_000: {}}, {"type": "x" * 100_000}, {"type": ["x" * 100_000]}])
def test_what_a_document_calls_an_action_is_told_in_part(action: dict[str, Any]) -> None:
    """It is told on the timeline, whose lines were once as long as the document."""
    with pytest.raises(document.InvalidDocument) as refused:
        parse(action)

    assert len(str(refused.value)) < 200
