"""The switchboard's tick: what fails in one part of it, or for one call, stops nothing else."""

import asyncio
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from calls import dialing, sweeps
from calls.models import Call
from calls.switchboard import Switchboard
from minivoice import clock
from telephony import link, sound, speech
from telephony.engines.facts import Channel, CommandRefused, EngineError, EngineUnreachable, Fact, Kind
from tests import factories
from tests.calls.steps import FakeEngine, answer, channel, dial, end, latest, place
from tests.conftest import Actor
from tests.telephony.engines.listening import until

pytestmark = pytest.mark.django_db


class AilingEngine(FakeEngine):
    """Is there, and fails at what it is told to fail at."""

    def __init__(self) -> None:
        super().__init__()
        self.listing_error: Exception | None = None
        self.hang_up_errors: dict[str, Exception] = {}

    def now(self) -> datetime:
        """It is always there."""
        return clock.now()

    def channels(self) -> list[Channel]:
        if self.listing_error:
            raise self.listing_error
        return super().channels()

    def hang_up(self, channel_id: str) -> bool:
        if error := self.hang_up_errors.get(channel_id):
            raise error
        return super().hang_up(channel_id)


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> AilingEngine:
    ailing = AilingEngine()
    monkeypatch.setattr(link, "adapter", lambda: ailing)
    return ailing


class SpeakingEngine(FakeEngine):
    """Plays what it is asked to."""

    def __init__(self) -> None:
        super().__init__()
        self.played: list[str] = []

    def play(self, channel_id: str, **_: Any) -> None:
        self.played.append(channel_id)


@pytest.fixture
def board(audited: None, settings: Any) -> Iterator[Switchboard]:
    """A switchboard that is linked to the engine; its event loop does not run."""
    settings.SWITCHBOARD_THREADS = 1
    board = Switchboard()
    board._connected = True
    yield board
    board._stop_lanes()


def fall_due(call: Call, *, seconds: float) -> None:
    """The call has been overdue for some seconds."""
    Call.objects.filter(pk=call.pk).update(deadline_at=clock.now() - timedelta(seconds=seconds))


@pytest.mark.parametrize("error", [EngineUnreachable("no list"), CommandRefused("no"), KeyError("id")], ids=repr)
def test_goes_on_without_a_list_of_channels(
    acme: Actor, engine: AilingEngine, board: Switchboard, error: Exception
) -> None:
    late = place(acme)
    fall_due(late, seconds=1)
    due = place(acme)
    due.attempts.update(due_at=clock.now() - timedelta(seconds=10))
    engine.listing_error = error

    board._tick()

    late.refresh_from_db()
    assert late.end_reason == "expired"
    assert len(engine.originated) == 1


def test_declares_the_engine_up_only_after_a_recent_list(
    engine: AilingEngine, board: Switchboard, monkeypatch: pytest.MonkeyPatch
) -> None:
    factories.EngineFactory(seen_at=None)
    later = clock.now() + timedelta(minutes=1)

    engine.listing_error = EngineUnreachable("no list")
    board._tick()
    assert not link.is_up(now=clock.now())

    engine.listing_error = None
    board._tick()
    assert link.is_up(now=clock.now())

    engine.listing_error = EngineUnreachable("no list")
    monkeypatch.setattr(clock, "now", lambda: later)
    board._tick()
    assert not link.is_up(now=later)


def test_an_engine_that_freezes_in_the_middle_of_a_tick_is_not_seen_after_that(
    engine: AilingEngine, board: Switchboard, monkeypatch: pytest.MonkeyPatch, now: datetime
) -> None:
    """The tick waited for a list, in vain, and then called the engine alive: creates were taken for 8 s, not 6."""
    row = factories.EngineFactory(seen_at=None)
    monkeypatch.setattr(clock, "now", lambda: now)
    board._tick()

    def freeze() -> list[Channel]:
        monkeypatch.setattr(clock, "now", lambda: frozen_at + timedelta(seconds=3))
        raise EngineUnreachable("no list in time")

    frozen_at = now + timedelta(seconds=6)
    monkeypatch.setattr(clock, "now", lambda: frozen_at)
    monkeypatch.setattr(engine, "channels", freeze)
    board._tick()

    row.refresh_from_db()
    assert row.seen_at == frozen_at


@pytest.mark.parametrize(("relinks", "attempts"), [(False, 2), (True, 1)])
def test_a_link_that_was_made_anew_proves_no_silence_before_it(
    acme: Actor, engine: AilingEngine, board: Switchboard, relinks: bool, attempts: int
) -> None:
    factories.TrunkFactory(name="Second carrier", priority=20)
    board._on_connect()
    call = dial(acme)
    if relinks:  # the phone may have rung meanwhile
        board._on_connect()

    board._dispatch(Fact(Kind.ENDED, str(latest(call).channel_id), clock.now(), sip_code=480))
    board._wait_for_lanes()

    assert call.attempts.count() == attempts


@pytest.mark.parametrize("error", [CommandRefused("no"), KeyError("id")], ids=repr)
def test_hangs_up_the_next_stranger_when_one_fails(
    acme: Actor, engine: AilingEngine, board: Switchboard, now: datetime, error: Exception
) -> None:
    strangers = []
    for _ in range(2):
        call = dial(acme)
        strangers.append(channel(call, state="Up"))
        end(call, at=now - timedelta(seconds=60), cause=16)
        call.attempts.update(ended_at=now - timedelta(seconds=60))
    heard = dial(acme)
    engine.up = [*strangers, channel(heard, state="Ringing")]

    for stranger in strangers:  # whichever comes first
        engine.hung_up.clear()
        engine.hang_up_errors = {stranger.id: error}
        facts = sweeps.reconcile(now=now)
        assert engine.hung_up == [other.id for other in strangers if other is not stranger]
        assert len(facts) == 1


def test_a_stranger_that_cannot_be_hung_up_does_not_keep_the_list_from_telling(
    acme: Actor, engine: AilingEngine, now: datetime
) -> None:
    ended, rings = dial(acme), dial(acme)
    engine.up = [channel(ended, state="Up"), channel(rings, state="Ringing")]
    end(ended, at=now, cause=16)
    engine.hang_up_errors = {engine.up[0].id: EngineUnreachable("slow")}

    assert len(sweeps.reconcile(now=now + timedelta(seconds=60))) == 1


@pytest.mark.parametrize("sweep", [sweeps.overdue, sweeps.expired])
def test_ends_the_next_overdue_call_when_one_fails(
    acme: Actor, engine: AilingEngine, monkeypatch: pytest.MonkeyPatch, now: datetime, sweep: Any
) -> None:
    odd, late = place(acme), place(acme)
    fall_due(odd, seconds=20)
    fall_due(late, seconds=10)
    hang_up = dialing.hang_up

    def fail_for_one(*, call: Call, **how: Any) -> bool:
        if call == odd:
            raise ZeroDivisionError
        return hang_up(call=call, **how)

    monkeypatch.setattr(dialing, "hang_up", fail_for_one)

    assert sweep(now=now) == 1
    late.refresh_from_db()
    assert late.end_reason == "expired"


@pytest.mark.parametrize(
    ("said", "answered", "has_leapt"),
    [(2.9, 3.0, False), (0.0, 0.1, False), (60.0, 0.1, True), (60.0, 3.0, True)],
    ids=["late answer", "prompt answer", "leap", "leap and late answer"],
)
def test_an_answer_that_takes_long_is_no_leap_of_the_engines_clock(
    engine: AilingEngine,
    board: Switchboard,
    monkeypatch: pytest.MonkeyPatch,
    said: float,
    answered: float,
    has_leapt: bool,
) -> None:
    asked_at = clock.now()
    moments = [asked_at, asked_at + timedelta(seconds=answered)]
    monkeypatch.setattr(engine, "now", lambda: asked_at + timedelta(seconds=said))
    monkeypatch.setattr("calls.switchboard.clock.now", lambda: moments.pop(0))

    board._read_engine_clock()

    assert board._has_leapt is has_leapt
    assert board._engine_ahead == timedelta(seconds=said)


def test_asks_nothing_of_an_engine_that_is_not_there(
    acme: Actor, engine: AilingEngine, board: Switchboard, monkeypatch: pytest.MonkeyPatch
) -> None:
    place(acme).attempts.update(due_at=clock.now() - timedelta(seconds=10))

    def gone() -> datetime:
        raise EngineError("gone")

    monkeypatch.setattr(engine, "now", gone)
    board._tick()
    assert engine.originated == []

    monkeypatch.undo()
    monkeypatch.setattr(link, "adapter", lambda: engine)
    board._tick()
    assert len(engine.originated) == 1


def test_a_call_that_no_engine_was_asked_for_expires_behind_any_number_of_answered_ones(
    acme: Actor, engine: AilingEngine, monkeypatch: pytest.MonkeyPatch, now: datetime
) -> None:
    monkeypatch.setattr(sweeps, "_BATCH", 1)
    talk = dial(acme)
    answer(talk, at=now)
    fall_due(talk, seconds=20)
    waits = place(acme)
    fall_due(waits, seconds=10)

    assert sweeps.expired(now=now) == 1
    waits.refresh_from_db()
    assert waits.end_reason == "expired"


def test_a_call_that_ends_while_the_list_is_read_is_no_stranger(
    acme: Actor, engine: AilingEngine, now: datetime
) -> None:
    call = dial(acme)
    engine.up = [channel(call, state="Up")]
    end(call, at=now, cause=16)

    sweeps.reconcile(now=now - timedelta(seconds=1))
    assert engine.hung_up == []
    sweeps.reconcile(now=now + timedelta(seconds=3))
    assert engine.hung_up == [engine.up[0].id]


def test_one_customers_texts_are_rendered_beside_the_lanes_and_keep_no_other_waiting(
    board: Switchboard, settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once each took a lane, or the tick, until it was rendered."""
    speaking, is_enough, last = SpeakingEngine(), threading.Event(), 12
    settings.SPEECH_BIND, settings.SPEECH_FOLDER = "127.0.0.1:1", str(tmp_path)
    monkeypatch.setattr(link, "adapter", lambda: speaking)

    def render(text: str, *, voice: str) -> bytes:
        assert text == "globex" or is_enough.wait(10)
        return voice.encode() * 2

    async def work() -> None:
        board._loop, board._speech = asyncio.get_running_loop(), sound.speech()
        for number in range(last):
            board.warn(f"acme-{number}", f"acme {number}", "acme")
        board.warn("globex-1", "globex", "globex")
        await asyncio.to_thread(until, lambda: speaking.played == ["globex-1"])
        is_enough.set()
        await asyncio.to_thread(until, lambda: len(speaking.played) == last + 1)

    monkeypatch.setattr(speech, "render", render)
    asyncio.run(work())
