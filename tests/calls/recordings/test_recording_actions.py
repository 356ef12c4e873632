"""The actions that record, each told what happens and watched at the engine."""

from typing import Any

import pytest

from calls.models import Call, Recording
from calls.recordings import tracks
from minivoice import clock
from telephony.engines.facts import ChannelGone, CommandRefused, EngineUnreachable, Kind
from tests.calls.recordings.tape import Tape, collect, events, tell
from tests.calls.staging import Stage, stage

__all__ = ["stage"]  # a fixture

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("folder")]

PAUSE = {"pause": {"seconds": 5}}
SAY = {"say": {"text": "Then"}}


def hear(stage: Stage, kind: Kind) -> None:
    """The engine tells of the voicemail: first its row hears of it, then the flow."""
    recording = Recording.objects.latest("id")
    tell(recording, kind, at=clock.now())
    stage.hear(kind, recording=tracks.of(recording)[0].name)


def test_a_call_is_recorded_from_one_action_to_the_other(stage: Stage, engine: Tape) -> None:
    stage.begin({"start_recording": {}}, PAUSE, {"stop_recording": {}}, SAY)
    recording = Recording.objects.get()
    assert engine.live == [track.name for track in tracks.of(recording)]

    stage.wait()
    assert (engine.live, stage.line.said) == ([], ["Then"])
    collect()
    assert events(stage.call) == ["recording.started", "recording.completed"]
    assert stage.failures() == []


def test_what_cannot_be_begun_or_ended_is_noted_and_the_flow_goes_on(stage: Stage, engine: Tape) -> None:
    engine.fails_with["snoop"] = EngineUnreachable("frozen")
    stage.begin({"stop_recording": {}}, {"start_recording": {}}, SAY)

    assert stage.failures() == [
        ("stop_recording", "the call is not being recorded"),
        ("start_recording", "frozen"),
    ]
    assert stage.line.said == ["Then"]


def test_a_recording_that_does_not_stop_is_noted_and_the_flow_goes_on(stage: Stage, engine: Tape) -> None:
    engine.fails_with["stop"] = EngineUnreachable("frozen")
    stage.begin({"start_recording": {}}, {"stop_recording": {}}, SAY)

    assert stage.failures() == [("stop_recording", "frozen")]
    assert stage.line.said == ["Then"]


def test_a_call_that_is_recorded_goes_on_being_so(stage: Stage, engine: Tape) -> None:
    stage.begin({"start_recording": {}}, {"start_recording": {}}, SAY)

    assert Recording.objects.count() == 1
    assert stage.failures() == []


@pytest.mark.parametrize("end", [Kind.RECORDED, Kind.RECORDING_FAILED])
def test_music_of_a_hold_stops_for_a_voicemail_and_comes_again(stage: Stage, engine: Tape, end: Kind) -> None:
    """Once it did not come again: a caller who was still on hold heard nothing."""
    stage.begin({"hold": {}}, {"record": {}}, PAUSE)
    assert stage.line.done == ["music", "no music"]

    hear(stage, Kind.RECORDING_STARTED)
    hear(stage, end)

    assert stage.line.done == ["music", "no music", "music"]


def test_music_comes_again_when_new_instructions_end_a_voicemail(stage: Stage, engine: Tape) -> None:
    stage.begin({"hold": {}}, {"record": {}})

    stage.runner.abandon(now=stage.now)

    assert stage.line.done == ["music", "no music", "music"]


@pytest.mark.parametrize("action", ["start_recording", "record"])
def test_a_call_that_came_in_is_recorded_once_its_answer_is_heard(stage: Stage, engine: Tape, action: str) -> None:
    Call.objects.filter(pk=stage.call.pk).update(direction="inbound", status="ringing", answered_at=None)
    stage.runner = stage.take_over()

    stage.begin({action: {}}, PAUSE)
    assert (stage.line.done, engine.live) == (["answer"], [])
    stage.wait()
    assert engine.live == []

    Call.objects.filter(pk=stage.call.pk).update(status="in_progress", answered_at=clock.now())
    stage.wait()
    assert engine.live


def test_a_call_that_never_comes_up_holds_no_flow_up(stage: Stage, engine: Tape) -> None:
    Call.objects.filter(pk=stage.call.pk).update(direction="inbound", status="ringing", answered_at=None)
    stage.runner = stage.take_over()
    stage.begin({"start_recording": {}}, SAY)

    while not stage.line.said:
        stage.wait()

    assert stage.failures() == [("start_recording", "the call is not up")]
    assert sum(seconds for seconds, _ in stage.line.waits) <= 6


def test_a_voicemail_is_what_the_far_end_says(stage: Stage, engine: Tape) -> None:
    stage.begin({"record": {"max_seconds": 20, "beep": False}}, SAY)
    assert (engine.asked, stage.line.said) == ({"max_seconds": 20, "beep": False}, [])

    hear(stage, Kind.RECORDING_STARTED)
    engine.end(engine.live[0])
    hear(stage, Kind.RECORDED)

    assert stage.line.said == ["Then"]
    collect()
    assert events(stage.call) == ["recording.started", "recording.completed"]
    recording = Recording.objects.get()
    assert (recording.kind, recording.size_bytes) == ("voicemail", 44 + 16_000)


def test_its_key_ends_a_voicemail_and_no_other(stage: Stage, engine: Tape) -> None:
    stage.begin({"record": {"finish_on_key": "*"}}, SAY)
    stage.press("*")  # before it has begun, a stop would do nothing
    assert engine.live
    hear(stage, Kind.RECORDING_STARTED)

    stage.press("1#")
    assert engine.live
    stage.press("*")
    assert engine.live == []


@pytest.mark.parametrize("refusal", [CommandRefused("no"), ChannelGone("in a bridge")])
def test_a_voicemail_that_cannot_begin_is_noted(stage: Stage, engine: Tape, refusal: Any) -> None:
    engine.fails_with["record_channel"] = refusal

    stage.begin({"record": {}}, SAY)

    assert stage.failures() == [("record", str(refusal))]
    assert (stage.line.said, events(stage.call)) == (["Then"], ["recording.failed"])


def test_a_voicemail_that_the_engine_breaks_off_is_noted(stage: Stage, engine: Tape) -> None:
    stage.begin({"record": {}}, SAY)

    hear(stage, Kind.RECORDING_FAILED)

    assert (stage.line.said, events(stage.call)) == (["Then"], ["recording.failed"])


def test_a_voicemail_whose_end_goes_unheard_holds_no_flow_up(stage: Stage, engine: Tape) -> None:
    stage.begin({"record": {"max_seconds": 20}}, SAY)
    assert stage.line.waits[-1][0] == 35

    stage.wait()

    assert (stage.line.said, engine.live) == (["Then"], [])


def test_a_voicemail_ends_where_other_instructions_begin(stage: Stage, engine: Tape) -> None:
    stage.begin({"record": {}})

    stage.runner.abandon(now=clock.now())

    assert engine.live == []


def test_a_process_that_takes_over_keeps_what_was_said_and_begins_another(stage: Stage, engine: Tape) -> None:
    stage.begin({"record": {}}, SAY)
    hear(stage, Kind.RECORDING_STARTED)

    stage.runner = stage.take_over()
    stage.runner.start(now=stage.now)

    assert [recording.ended_at is None for recording in Recording.objects.order_by("id")] == [False, True]
    assert len(engine.live) == 1
    collect()
    assert events(stage.call) == ["recording.started", "recording.completed"]
