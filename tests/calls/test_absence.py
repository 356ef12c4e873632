"""An engine that cannot be heard: calls end only when they cannot be up any more."""

from datetime import datetime, timedelta

import pytest
from django.db.models import F

from calls import lifecycle
from calls.models import Attempt, Call, Party, Reason
from calls.sweeps import Absence
from minivoice import clock
from minivoice.local.kept import free_port
from telephony import link
from telephony.engines.ari import Ari
from telephony.engines.facts import EngineError, EngineGone, EngineUnreachable
from tests.calls.steps import FakeEngine, answer, dial, place
from tests.conftest import Actor

REFUSED, SILENT = EngineGone("refused"), EngineUnreachable("no answer")


class AbsentEngine(FakeEngine):
    """Took calls, and is away now."""

    def __init__(self) -> None:
        super().__init__()
        self.error: EngineError | None = REFUSED

    def ping(self) -> None:
        if self.error:
            raise self.error


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> AbsentEngine:
    engine = AbsentEngine()
    monkeypatch.setattr(link, "adapter", lambda: engine)
    return engine


@pytest.fixture
def talk(audited: None, acme: Actor, engine: AbsentEngine) -> Call:
    """A call answered two minutes ago, that was last seen fifty seconds later, of 100 s that its hold pays."""
    call = dial(acme)
    now = clock.now()
    Attempt.objects.filter(call=call).update(claimed_at=now - timedelta(seconds=121))
    Call.objects.filter(pk=call.pk).update(accepted_at=now - timedelta(seconds=122))
    answer(call, at=now - timedelta(seconds=120))
    Call.objects.filter(pk=call.pk).update(proven_at=F("answered_at") + timedelta(seconds=50))
    return call


def later(now: datetime, seconds: float) -> datetime:
    return now + timedelta(seconds=seconds)


def has_ended(call: Call) -> bool:
    call.refresh_from_db()
    return call.is_final


def test_a_port_that_refuses_for_150_seconds_ends_the_calls_when_they_were_last_seen(talk: Call, now: datetime) -> None:
    Call.objects.update(deadline_at=later(now, 3600), funded_seconds=7200)
    absence = Absence()

    for seconds in range(0, 150, 10):
        assert absence.look(now=later(now, seconds)) == 0
    assert absence.look(now=later(now, 150)) == 1

    talk.refresh_from_db()
    assert (talk.status, talk.end_reason, talk.duration_seconds) == ("failed", "engine_lost", 50)
    assert talk.ended_at == talk.proven_at


@pytest.mark.parametrize("between", [SILENT, None], ids=["no answer", "an answer"])
def test_any_other_word_begins_the_count_anew(
    talk: Call, engine: AbsentEngine, now: datetime, between: EngineError | None
) -> None:
    Call.objects.update(deadline_at=later(now, 3600), funded_seconds=7200)
    absence = Absence()
    absence.look(now=now)
    engine.error = between
    absence.look(now=later(now, 100))
    engine.error = REFUSED

    assert absence.look(now=later(now, 101)) == 0
    assert absence.look(now=later(now, 250)) == 0
    assert absence.look(now=later(now, 251)) == 1


def test_an_engine_that_is_silent_keeps_its_calls_until_their_timers_are_over(
    talk: Call, engine: AbsentEngine, now: datetime
) -> None:
    engine.error = SILENT
    absence = Absence()
    assert talk.answered_at
    timer_ends_at = later(talk.answered_at, talk.timer_seconds)

    assert absence.look(now=later(timer_ends_at, 60)) == 0
    assert not has_ended(talk)
    assert absence.look(now=later(timer_ends_at, 71)) == 1
    assert has_ended(talk)


def test_a_hang_up_that_was_not_heard_does_not_end_a_call_early(
    talk: Call, engine: AbsentEngine, now: datetime
) -> None:
    Call.objects.update(funded_seconds=7200)
    lifecycle.intend(call_id=talk.pk, customer_id=talk.customer_id, reason=Reason.HANGUP, by=Party.API, now=now)
    engine.error = SILENT

    assert Absence().look(now=later(now, 600)) == 0
    assert not has_ended(talk)


def test_a_call_that_rang_when_the_engine_died_fails_unbilled(
    audited: None, acme: Actor, engine: AbsentEngine, now: datetime
) -> None:
    call = dial(acme)
    absence = Absence()
    absence.look(now=now)

    assert absence.look(now=later(now, 150)) == 1

    call.refresh_from_db()
    assert (call.status, call.end_reason, call.cost_amount) == ("failed", "engine_lost", 0)


def test_a_call_that_is_not_dialled_yet_is_not_lost_with_the_engine(
    audited: None, acme: Actor, engine: AbsentEngine, now: datetime
) -> None:
    call = place(acme)
    absence = Absence()
    absence.look(now=now)

    assert absence.look(now=later(now, 150)) == 0
    assert not has_ended(call)


def test_a_port_where_nobody_listens_is_told_from_one_that_is_silent() -> None:
    with pytest.raises(EngineGone):
        Ari(f"http://127.0.0.1:{free_port()}/ari", "user", "password").ping()
