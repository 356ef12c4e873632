"""Actions that begin and end in one go, or wait: each told what happens and watched at its line."""

import json
from datetime import timedelta
from typing import Any

import pytest

from calls.models import Call, Party, Reason
from telephony.engines.facts import Kind
from tests.calls.staging import Stage, stage
from tests.calls.steps import end
from webhooks.models import WebhookEvent

__all__ = ["stage"]  # a fixture

pytestmark = pytest.mark.django_db

SAY = {"say": {"text": "Then"}}
LIMITS = "a call may have at most 50 variables and 16384 bytes of them"


def ring(stage: Stage) -> None:
    """Make the call one that came in and waits for an answer."""
    Call.objects.filter(pk=stage.call.pk).update(direction="inbound", status="ringing", answered_at=None)
    stage.runner = stage.take_over()


@pytest.mark.parametrize(
    ("digits", "pressed", "waits"),
    [
        ("12", ["12"], [0.4]),
        ("1w2", ["1", "2"], [0.7, 0.2]),
        ("WW1", ["1"], [2.0, 0.2]),
        ("1,W#", ["1", "#"], [1.7, 0.2]),
        ("4 2", ["42"], [0.4]),
        ("w", [], [0.5]),
    ],
)
def test_keys_are_pressed_in_rows_with_waits_between(
    stage: Stage, digits: str, pressed: list[str], waits: list[float]
) -> None:
    stage.begin({"send_digits": {"digits": digits}}, SAY)
    for _ in waits:
        assert stage.line.said == []
        stage.wait()

    assert stage.line.done == pressed
    assert [seconds for seconds, _ in stage.line.waits] == pytest.approx(waits)
    assert stage.line.said == ["Then"]


def test_keys_may_wait_before_the_first(stage: Stage) -> None:
    stage.begin({"send_digits": {"digits": "5", "pause_before_ms": 1500}})
    assert (stage.line.done, stage.line.waits[-1][0]) == ([], 1.5)

    stage.wait()
    assert stage.line.done == ["5"]


def test_music_plays_until_resume_and_again_after_what_is_said_meanwhile(stage: Stage) -> None:
    stage.begin({"hold": {}}, SAY, {"pause": {"seconds": 5}}, {"resume": {}}, SAY, {"pause": {"seconds": 5}})
    assert (stage.line.done, stage.line.said) == (["music"], ["Then"])

    stage.played()
    assert stage.line.done == ["music", "music"]

    stage.wait()
    stage.played()
    assert stage.line.done == ["music", "music", "no music"]
    assert stage.row().is_held is False


def test_no_music_is_started_over_what_is_heard_next(stage: Stage) -> None:
    """A prompt that a key has stopped is told of late: speech that has begun by then must not be drowned."""
    stage.begin({"hold": {}}, {"gather": {"prompt": "Press"}}, SAY, SAY, {"pause": {"seconds": 5}})
    stage.press("1")
    assert stage.line.said == ["Press", "Then"]

    stage.hear(Kind.PLAYED, playback_id="playback 1")
    stage.played()
    assert (stage.line.said, stage.line.done) == (["Press", "Then", "Then"], ["music"])

    stage.played()
    assert stage.line.done == ["music", "music"]


def test_music_goes_on_while_instructions_are_fetched_or_keys_awaited(stage: Stage) -> None:
    redirect = {"redirect": {"url": "https://example.test/next"}}
    stage.begin({"hold": {}}, {"gather": {"prompt": "Press", "num_digits": 2}}, redirect)

    stage.press("1")
    stage.hear(Kind.PLAYED, playback_id="playback 1")
    assert stage.line.done == ["music", "music"]

    stage.bring({"gather": {"prompt": "Again"}}, redirect)
    stage.press("1")
    stage.hear(Kind.PLAYED, playback_id="playback 2")
    assert stage.line.done == ["music"] * 3


def test_who_is_on_hold_is_known_to_the_process_that_takes_over(stage: Stage) -> None:
    stage.begin({"hold": {}}, {"pause": {"seconds": 5}}, {"resume": {}}, {"pause": {"seconds": 5}})

    stage.runner = stage.take_over()
    stage.runner.start(now=stage.now)
    stage.wait()

    assert stage.line.done == ["music", "no music"]
    assert stage.failures() == []


def test_a_call_without_the_music_it_would_wait_in_ends(stage: Stage) -> None:
    stage.line.is_mute = True

    stage.begin({"hold": {}}, {"pause": {"seconds": 60}})

    assert stage.failures() == [("hold", "no such channel")]
    assert stage.line.ended == [(Reason.HANGUP, Party.SYSTEM)]


@pytest.mark.parametrize(
    ("action", "why"),
    [
        ({"resume": {}}, "not on hold"),
        ({"unmute": {}}, "not muted"),
        ({"unmute": {"direction": "read"}}, "not muted"),
    ],
)
def test_what_cannot_be_undone_is_noted_and_the_flow_goes_on(stage: Stage, action: dict[str, Any], why: str) -> None:
    stage.begin(action, SAY)

    assert stage.failures() == [(next(iter(action)), why)]
    assert stage.line.said == ["Then"]


@pytest.mark.parametrize(
    ("muted", "unmuted", "done", "left"),
    [
        ("read", None, ["mute in"], "in"),
        ("write", None, ["mute out"], "out"),
        ("both", None, ["mute both"], "both"),
        ("both", "read", ["mute both", "unmute in"], "out"),
        ("both", "write", ["mute both", "unmute out"], "in"),
        ("write", "both", ["mute out", "unmute both"], ""),
    ],
)
def test_directions_are_muted_and_carried_again(
    stage: Stage, muted: str, unmuted: str | None, done: list[str], left: str
) -> None:
    undo = [{"unmute": {"direction": unmuted}}] if unmuted else []
    stage.begin({"mute": {"direction": muted}}, *undo, SAY)

    assert stage.line.done == done
    assert stage.row().muted == left


def test_a_second_mute_adds_its_direction(stage: Stage) -> None:
    stage.begin({"mute": {"direction": "read"}}, {"mute": {"direction": "write"}}, SAY)

    assert stage.row().muted == "both"


def test_variables_are_in_every_later_request_and_webhook(stage: Stage) -> None:
    stage.begin(
        {"set_variables": {"variables": {"order": "4711", "tries": 2, "vip": True}}},
        {"set_variables": {"variables": {"order": "4712"}}},
        {"remove_variables": {"names": ["tries", "never set"]}},
        {"redirect": {"url": "https://example.test/next", "method": "POST"}},
    )
    end(stage.call, at=stage.now + timedelta(seconds=5))

    left = {"order": "4712", "vip": True}
    assert stage.line.fetched[0].context["variables"] == {}
    assert stage.line.fetched[1].context["variables"] == left
    told = {event.type: json.loads(bytes(event.body))["variables"] for event in WebhookEvent.objects.all()}
    assert (told["call.answered"], told["call.completed"]) == ({}, left)
    assert stage.failures() == []


def test_a_call_has_fifty_variables_at_most(stage: Stage) -> None:
    many = {f"v{number}": "x" for number in range(50)}
    stage.begin(
        {"set_variables": {"variables": many}},
        {"set_variables": {"variables": {"v7": "y"}}},
        {"set_variables": {"variables": {"v8": "y", "another": "x"}}},
        SAY,
    )

    stage.call.refresh_from_db()
    assert stage.call.variables == many | {"v7": "y"}
    assert stage.failures() == [("set_variables", LIMITS)]
    assert stage.line.said == ["Then"]


def test_the_variables_of_a_call_are_small_enough_for_each_of_its_events(stage: Stage) -> None:
    stage.begin({"set_variables": {"variables": {f"v{number}": "ä" * 4096 for number in range(2)}}}, SAY)

    stage.call.refresh_from_db()
    assert stage.call.variables == {}
    assert stage.failures() == [("set_variables", LIMITS)]


@pytest.mark.parametrize("action", [{"start_stream": {"stream_url": "wss://example.test/s"}}, {"stop_stream": {}}])
def test_a_stream_is_noted_as_not_available_and_passed_over(stage: Stage, action: dict[str, Any]) -> None:
    stage.begin(action, SAY)

    assert "action_not_available" in stage.timeline()
    assert stage.line.said == ["Then"]


@pytest.mark.parametrize(
    ("params", "reason"),
    [({"reason": "busy"}, Reason.BUSY), ({"reason": "declined"}, Reason.REJECTED), ({}, Reason.REJECTED)],
)
def test_a_caller_who_waits_is_turned_away(stage: Stage, params: dict[str, Any], reason: Reason) -> None:
    ring(stage)

    stage.begin({"pause": {"seconds": 1}}, {"reject": params}, SAY)
    stage.wait()

    assert stage.line.ended == [(reason, Party.SYSTEM)]
    assert (stage.line.done, stage.line.said) == ([], [])


def test_an_answered_call_cannot_be_rejected_and_is_hung_up(stage: Stage) -> None:
    stage.begin({"reject": {"reason": "busy"}}, SAY)

    assert stage.line.ended == [(Reason.HANGUP, Party.SYSTEM)]
    assert stage.failures() == [("reject", "the call is answered: it is hung up")]
    assert stage.line.said == []


@pytest.mark.parametrize(
    ("action", "answers"),
    [
        ({"say": {"text": "Hello"}}, True),
        ({"gather": {}}, True),
        ({"hold": {}}, True),
        ({"start_recording": {}}, True),
        ({"record": {}}, True),
        ({"stop_recording": {}}, False),
        ({"send_digits": {"digits": "1"}}, True),
        ({"pause": {"seconds": 1}}, False),
        ({"set_variables": {"variables": {"a": "b"}}}, False),
        ({"remove_variables": {"names": ["a"]}}, False),
        ({"redirect": {"url": "https://example.test/next"}}, False),
        ({"mute": {}}, False),
        ({"start_stream": {"stream_url": "wss://example.test/s"}}, False),
    ],
)
def test_the_first_action_that_needs_the_line_answers_a_call_that_came_in(
    stage: Stage, action: dict[str, Any], answers: bool
) -> None:
    ring(stage)

    stage.begin(action, {"pause": {"seconds": 1}})

    assert ("answer" in stage.line.done) is answers
