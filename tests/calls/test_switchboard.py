"""The switchboard's lanes: a call's flow goes on whatever its process, its engine or its database misses."""

import json
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.db import OperationalError

from calls import lifecycle, sweeps
from calls.flow.document import Action
from calls.flow.fetching import Fetched, Request
from calls.lanes import Lane
from calls.models import Call, Flow
from minivoice import clock
from telephony.engines.facts import EngineUnreachable, Fact, Kind
from tests.calls.steps import FakeEngine, channel, dial, latest
from tests.conftest import Actor
from webhooks.models import WebhookEvent

SAY = Action("say", {"text": "Hello"})
GATHER = Action(
    "gather",
    {
        "prompt": "Press",
        "timeout_seconds": 5,
        "finish_on_key": "",
        "sensitive": False,
        "min_digits": 1,
        "max_digits": 1,
    },
)


class Board:
    """Stands in for the event loop: remembers what lanes asked of it."""

    def __init__(self) -> None:
        self.fetches: list[tuple[str, Request, int]] = []
        self.wakes: list[tuple[float, str, int]] = []
        self.audio: list[tuple[str, str]] = []
        self.texts: list[tuple[str, str, str]] = []
        self.fails = False

    def fetch(self, channel_id: str, request: Request, token: int) -> None:
        if self.fails:
            raise OperationalError("gone")
        self.fetches.append((channel_id, request, token))

    def fetch_audio(self, channel_id: str, url: str, request_id: str, owner: str) -> None:
        self.audio.append((url, request_id))

    def render(self, channel_id: str, text: str, voice: str, playback_id: str, owner: str) -> None:
        self.texts.append((text, playback_id, owner))

    def tell_of_leg(self, channel_id: str) -> None:
        pass

    def wake_in(self, seconds: float, channel_id: str, token: int) -> None:
        self.wakes.append((seconds, channel_id, token))


class Speaker(FakeEngine):
    """An engine that plays, and may fail to stop."""

    def __init__(self) -> None:
        super().__init__()
        self.played: list[str] = []
        self.stops, self.is_silent = True, False

    def play(self, channel_id: str, *, playback_id: str, media: list[str]) -> None:
        if self.is_silent:
            raise EngineUnreachable("frozen")
        self.played.append(playback_id)

    def stop_playback(self, playback_id: str) -> bool:
        if not self.stops:
            raise EngineUnreachable("slow")
        return True


class Stage:
    """A call in progress, with its lane."""

    def __init__(self, call: Call, engine: Speaker) -> None:
        self.call, self.engine, self.board = call, engine, Board()
        self.lane = Lane(self.board, 0)
        self.channel_id = str(latest(call).channel_id)

    def hear(self, kind: Kind, **more: Any) -> None:
        """A fact arrives, and its work is done."""
        fact = Fact(kind=kind, channel_id=self.channel_id, at=clock.now(), **more)
        self.do(lambda lane: lane.take(fact))

    def do(self, work: Callable[[Lane], None]) -> None:
        """Have the lane do a piece of work, and wait for it."""
        done = threading.Event()
        self.lane.put(self.channel_id, work)
        self.lane.put("", lambda _: done.set())
        assert done.wait(10)

    def instruct(self, *actions: Action) -> None:
        """Answer the call and give it its document."""
        self.hear(Kind.ANSWERED)
        self.hear(Kind.ENTERED)
        self.receive(*actions)

    def receive(self, *actions: Action) -> None:
        """The document that was asked for last comes."""
        _, _, token = self.board.fetches[-1]
        self.do(lambda lane: lane.fetched(self.channel_id, token, Fetched(actions, "", 200, 1)))

    def listing(self) -> None:
        """The engine's list shows the channel, up and ours."""
        self.engine.up = [channel(self.call, state="Up", entered=True)]
        for fact in sweeps.reconcile(now=clock.now()):
            self.do(lambda lane, fact=fact: lane.take(fact))  # type: ignore[misc]


@pytest.fixture
def stage(audited: None, acme: Actor, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    engine = Speaker()
    monkeypatch.setattr("telephony.link.adapter", lambda: engine)
    acme.application.answer_url = "https://example.test/answer"
    acme.application.save()
    stage = Stage(dial(acme), engine)
    yield stage
    stage.hear(Kind.ENDED, cause=16)
    stage.lane.stop()


def test_an_action_runs_again_when_its_end_went_unheard(stage: Stage) -> None:
    stage.instruct(SAY)
    stage.do(Lane.drop_all)  # as on every reconnect

    stage.listing()

    assert len(stage.engine.played) == 2


def test_a_listing_says_nothing_new_to_a_flow_that_runs(stage: Stage) -> None:
    stage.instruct(SAY)
    lines = stage.call.timeline.count()

    stage.listing()

    assert len(stage.engine.played) == 1
    assert stage.call.timeline.count() == lines


def test_a_document_asked_for_before_a_restart_is_not_taken_after_it(stage: Stage) -> None:
    stage.hear(Kind.ANSWERED)
    stage.hear(Kind.ENTERED)
    _, _, old = stage.board.fetches[-1]
    stage.do(Lane.drop_all)
    stage.listing()

    stage.do(lambda lane: lane.fetched(stage.channel_id, old, Fetched([SAY], "", 200, 1)))
    assert stage.engine.played == []

    stage.receive(SAY)
    assert len(stage.engine.played) == 1


@pytest.mark.parametrize("word", [Kind.HANGUP_REQUESTED, Kind.ENDED])
def test_a_gather_that_the_far_end_cuts_off_is_told_before_the_end(stage: Stage, word: Kind) -> None:
    """By a word that it hung up or, where its timer ended the call, by the end itself."""
    stage.instruct(Action("gather", {**GATHER.params, "max_digits": 4, "min_digits": 4}))
    stage.hear(Kind.DIGIT, digit="7")

    stage.hear(word)
    stage.hear(Kind.ENDED, cause=0)

    told = [json.loads(bytes(event.body)) for event in WebhookEvent.objects.order_by("sequence")]
    assert [event["event"] for event in told][-2:] == ["call.gathered", "call.completed"]
    brought = {name: told[-2]["data"][name] for name in ("digits", "status", "timed_out")}
    assert brought == {"digits": "7", "status": "hangup", "timed_out": False}
    assert [event["sequence"] for event in told] == [1, 2, 3, 4]


def test_a_digit_counts_though_the_prompt_cannot_be_stopped(stage: Stage) -> None:
    stage.instruct(GATHER)
    stage.engine.stops = False

    stage.hear(Kind.DIGIT, digit="5")

    assert Flow.objects.get().gathered["digits"] == "5"


def test_a_flow_that_failed_to_start_starts_at_the_next_listing(stage: Stage) -> None:
    stage.board.fails = True
    stage.hear(Kind.ANSWERED)
    stage.hear(Kind.ENTERED)
    assert stage.board.fetches == []
    stage.board.fails = False

    stage.listing()

    assert len(stage.board.fetches) == 1


def test_an_engine_that_is_silent_for_a_while_costs_no_action_and_no_call(stage: Stage) -> None:
    """Once each thing to say was noted as failed, and the call hung up at the end of its document."""
    stage.engine.is_silent = True
    stage.instruct(SAY, SAY)
    assert stage.engine.played == []
    stage.engine.is_silent = False

    stage.listing()

    assert len(stage.engine.played) == 1
    assert Flow.objects.get().position == 0
    assert Call.objects.get().intent == ""


def test_a_channel_that_is_ending_is_not_asked_for_instructions_again(stage: Stage) -> None:
    """Once a listing between the hang-up and the end of a channel began its flow anew."""
    stage.instruct(SAY)

    stage.hear(Kind.HANGUP_REQUESTED)
    stage.listing()

    assert (len(stage.board.fetches), len(stage.engine.played)) == (1, 1)


def test_a_call_that_is_to_end_is_not_asked_for_instructions(stage: Stage) -> None:
    stage.hear(Kind.ANSWERED)
    Call.objects.update(intent="hangup", intent_by="api")

    stage.hear(Kind.ENTERED)

    assert stage.board.fetches == []


def test_a_callee_that_hangs_up_during_the_last_prompt_hung_up(stage: Stage) -> None:
    stage.instruct(SAY)

    stage.hear(Kind.HANGUP_REQUESTED)
    stage.hear(Kind.PLAY_FAILED, playback_id=stage.engine.played[0])
    stage.hear(Kind.ENDED, cause=0)

    stage.call.refresh_from_db()
    assert (stage.call.end_reason, stage.call.hangup_by) == ("hangup", "callee")


def test_a_fact_waits_for_the_database(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    record, failures = lifecycle.record, [OperationalError("gone"), OperationalError("gone")]

    def fail_first(fact: Fact, **more: Any) -> int | None:
        if failures:
            raise failures.pop()
        return record(fact, **more)

    monkeypatch.setattr(lifecycle, "record", fail_first)

    stage.hear(Kind.ANSWERED)

    stage.call.refresh_from_db()
    assert stage.call.status == "in_progress"


def test_a_lane_outlives_any_failure(stage: Stage) -> None:
    def fail(_: Lane) -> None:
        raise ZeroDivisionError

    stage.do(fail)
    stage.hear(Kind.ANSWERED)

    stage.call.refresh_from_db()
    assert stage.call.status == "in_progress"


def test_a_lane_does_other_work_while_a_text_is_rendered_and_has_it_played_then(
    stage: Stage, settings: Any, tmp_path: Path
) -> None:
    """Once it waited, up to three seconds a text, and all other calls of the lane with it."""
    settings.SPEECH_BIND, settings.SPEECH_FOLDER = "127.0.0.1:1", str(tmp_path)
    stage.instruct(SAY)

    [(text, playback_id, owner)] = stage.board.texts
    assert (text, owner) == ("Hello", str(stage.call.customer_id))
    assert stage.engine.played == []

    stage.do(lambda lane: lane.rendered(stage.channel_id, playback_id, ["sound:hello"]))
    assert stage.engine.played == [playback_id]
    stage.hear(Kind.PLAYED, playback_id=playback_id)
    assert Call.objects.get().intent == "hangup"  # the last action is done


def test_a_warning_that_cannot_be_played_leaves_the_flow_as_it_is(stage: Stage) -> None:
    stage.instruct(GATHER)
    stage.engine.is_silent = True
    stage.do(lambda lane: lane.interject(stage.channel_id, ["sound:warning"]))
    stage.engine.is_silent = False
    stage.do(lambda lane: lane.interject(stage.channel_id, ["sound:warning"]))

    assert len(stage.engine.played) == 2
    stage.hear(Kind.DIGIT, digit="5")
    assert Flow.objects.get().gathered["digits"] == "5"


def test_a_channel_of_nobodys_is_no_call(stage: Stage) -> None:
    fact = Fact(kind=Kind.ANSWERED, channel_id=str(uuid4()), at=clock.now() + timedelta(seconds=1))

    assert lifecycle.record(fact, now=clock.now()) is None
