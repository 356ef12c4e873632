"""What we do to the engine: each attempt is claimed, then asked for, once."""

from datetime import timedelta
from typing import Any

import pytest

from billing.models import Balance
from calls import dialing, lifecycle, sweeps
from calls.models import Attempt, Call, Party, Reason
from minivoice import clock, nudge
from telephony import link
from telephony.engines.facts import Answer, EngineUnreachable, Kind
from tests import factories
from tests.calls.steps import FakeEngine, answer, channel, dial, end, latest, place, reconcile, strange_channel, tell
from tests.conftest import Actor

pytestmark = pytest.mark.django_db


def test_asks_the_engine_for_what_the_call_was_promised(acme: Actor, engine: FakeEngine) -> None:
    call = dial(acme, ring_seconds=30)

    attempt = latest(call)
    assert engine.originated == [
        {
            "channel_id": str(attempt.channel_id),
            "endpoint": f"PJSIP/+15551230002@{attempt.trunk.endpoint}",
            "caller_id": "+15551230001",
            "context": "minivoice-out",
            "variables": {"TIMER_SECONDS": "59"},
            "setup_seconds": 55,
        }
    ]
    assert (call.status, call.provider_call_id, call.trunk) == ("dialing", attempt.channel_id, attempt.trunk)
    assert nudge.wait(dialing.topic(call.public_id), 1) == "taken"


def test_dials_each_attempt_once(acme: Actor, engine: FakeEngine) -> None:
    place(acme)
    place(acme)

    assert (dialing.drain(), dialing.drain()) == (2, 0)
    assert len(engine.originated) == 2


def test_what_cannot_be_said_to_an_engine_holds_up_nothing(
    acme: Actor, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    unfit, fit = place(acme, to_number="+15551230009"), place(acme)
    originate = engine.originate

    def picky(**asked: Any) -> Answer:
        if "+15551230009" in asked["endpoint"]:
            raise ValueError("no place for it in a header")
        return originate(**asked)

    monkeypatch.setattr(engine, "originate", picky)

    assert dialing.drain() == 2

    unfit.refresh_from_db()
    fit.refresh_from_db()
    assert (unfit.end_reason, fit.status) == ("originate_failed", "dialing")


def test_leaves_what_is_not_due_yet(acme: Actor, engine: FakeEngine) -> None:
    call = place(acme)

    assert dialing.drain(due_before=call.accepted_at - timedelta(seconds=1)) == 0
    assert engine.originated == []


def test_a_refusal_moves_on_to_the_next_trunk(acme: Actor, engine: FakeEngine) -> None:
    factories.TrunkFactory(name="Second carrier", priority=20)
    engine.answers.append(Answer.REFUSED)
    call = place(acme)

    assert dialing.drain() == 2

    call.refresh_from_db()
    assert (call.status, latest(call).trunk.name) == ("dialing", "Second carrier")
    assert nudge.wait(dialing.topic(call.public_id), 1) == "taken"


def test_refused_everywhere_a_call_fails_and_its_hold_is_free(acme: Actor, engine: FakeEngine) -> None:
    factories.TrunkFactory(priority=20)
    engine.answers.extend([Answer.REFUSED, Answer.REFUSED])
    call = place(acme)

    assert dialing.drain() == 2

    call.refresh_from_db()
    assert (call.status, call.end_reason, call.cost_amount) == ("failed", "originate_failed", 0)
    assert Balance.objects.get(customer=acme.customer).held == 0
    assert nudge.wait(dialing.topic(call.public_id), 1) == "refused"


def test_what_is_unclear_is_never_dialled_again(acme: Actor, engine: FakeEngine) -> None:
    engine.answers.append(Answer.UNCLEAR)
    call = place(acme)

    assert (dialing.drain(), dialing.drain()) == (1, 0)

    call.refresh_from_db()
    assert (call.status, latest(call).state) == ("queued", "unclear")
    assert nudge.wait(dialing.topic(call.public_id), 0.05) is None


def test_what_is_unclear_is_adopted_when_the_engine_shows_it(acme: Actor, engine: FakeEngine) -> None:
    engine.answers.append(Answer.UNCLEAR)
    call = place(acme)
    dialing.drain()
    engine.up = [channel(call, state="Down")]

    reconcile(now=clock.now())

    call.refresh_from_db()
    assert (call.status, latest(call).state) == ("dialing", "taken")
    assert len(engine.originated) == 1


def test_a_claim_without_a_word_is_left_to_the_list(acme: Actor, engine: FakeEngine) -> None:
    call, now = place(acme), clock.now()
    Attempt.objects.update(state="claimed", claimed_at=now)

    assert dialing.drain() == 0
    for seconds in (11, 17):
        reconcile(now=now + timedelta(seconds=seconds))

    call.refresh_from_db()
    assert (call.status, call.end_reason) == ("failed", "originate_failed")


def test_a_call_hung_up_while_the_engine_was_asked_is_hung_up_there(acme: Actor, engine: FakeEngine) -> None:
    call = place(acme)
    claim = dialing._claim(clock.now(), clock.now())
    assert claim is not None
    dialing.hang_up(call=call, reason=Reason.CANCELED, by=Party.API, now=clock.now())
    engine.hung_up.clear()

    dialing._dial(claim, link.adapter())

    assert engine.hung_up == [str(claim.channel_id)]


def test_an_engine_that_is_away_does_not_lose_the_wish_to_hang_up(
    acme: Actor, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    call = dial(acme)

    def away(channel_id: str) -> None:
        raise EngineUnreachable("no answer")

    monkeypatch.setattr(engine, "hang_up", away)
    now = clock.now()
    dialing.hang_up(call=call, reason=Reason.CANCELED, by=Party.API, now=now)
    monkeypatch.undo()
    monkeypatch.setattr("telephony.link.adapter", lambda: engine)

    assert sweeps.overdue(now=now + timedelta(seconds=6)) == 1
    assert engine.hung_up == [str(call.provider_call_id)]


def test_the_list_tells_what_went_unheard(acme: Actor, engine: FakeEngine) -> None:
    ringing, up = dial(acme), dial(acme)
    answered_at = clock.now() - timedelta(seconds=7)
    engine.up = [channel(ringing, state="Ringing"), channel(up, state="Up", entered=True, answered_at=answered_at)]

    facts = sweeps.reconcile(now=clock.now())

    told = {(fact.kind, fact.channel_id) for fact in facts}
    assert told == {
        (Kind.RINGING, str(ringing.provider_call_id)),
        (Kind.ANSWERED, str(up.provider_call_id)),
        (Kind.ENTERED, str(up.provider_call_id)),
    }
    assert [fact.at for fact in facts if fact.kind is Kind.ANSWERED] == [answered_at]


def test_only_a_channel_missing_twice_ends_its_call(acme: Actor, engine: FakeEngine) -> None:
    call, now = dial(acme), clock.now()
    answer(call, at=now)

    for seconds, status in [(11, "in_progress"), (14, "in_progress"), (17, "failed")]:
        reconcile(now=now + timedelta(seconds=seconds))
        call.refresh_from_db()
        assert call.status == status

    assert call.end_reason == "engine_lost"


def test_an_end_that_was_heard_comes_before_a_list_that_lacks_the_channel(acme: Actor, engine: FakeEngine) -> None:
    """Once a call was lost, and billed short, while the word of its end waited for a busy thread."""
    call, now = dial(acme), clock.now()
    answer(call, at=now)

    sweeps.reconcile(now=now + timedelta(seconds=11))
    [lost] = sweeps.reconcile(now=now + timedelta(seconds=16))
    call.refresh_from_db()
    assert (lost.kind, call.status) == (Kind.LOST, "in_progress")
    end(call, at=now + timedelta(seconds=10))
    lifecycle.record(lost, now=now + timedelta(seconds=17))

    call.refresh_from_db()
    assert (call.status, call.end_reason, call.duration_seconds) == ("completed", "hangup", 10)


def test_a_hang_up_does_not_wait_for_the_engines_clock(
    acme: Actor, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    call = dial(acme)
    answer(call, at=clock.now())

    def silent() -> None:
        raise EngineUnreachable("no word of the time")

    monkeypatch.setattr(engine, "now", silent)

    call.refresh_from_db()
    assert dialing.hang_up(call=call, reason=Reason.HANGUP, by=Party.API, now=clock.now())
    assert engine.hung_up == [str(latest(call).channel_id)]


def test_a_channel_hung_up_was_alive_until_then_by_the_engines_clock(acme: Actor, engine: FakeEngine) -> None:
    """Once a hang-up whose outcome went unheard was billed to the last list before it; then, to our own clock."""
    call, now = dial(acme), clock.now()
    engine.clock_ahead = timedelta(seconds=30)
    answer(call, at=now)

    dialing.hang_up(call=call, reason=Reason.HANGUP, by=Party.API, now=now)
    for seconds in (41, 46):
        reconcile(now=now + timedelta(seconds=seconds))

    call.refresh_from_db()
    assert (call.status, call.end_reason) == ("completed", "hangup")
    assert 30 <= call.duration_seconds <= 35


def test_a_channel_seen_again_was_never_missing(acme: Actor, engine: FakeEngine) -> None:
    call, now = dial(acme), clock.now()
    answer(call, at=now)

    reconcile(now=now + timedelta(seconds=11))
    engine.up = [channel(call, state="Up")]
    reconcile(now=now + timedelta(seconds=16))
    engine.up = []
    reconcile(now=now + timedelta(seconds=21))

    call.refresh_from_db()
    assert call.status == "in_progress"


def test_an_unreachable_engine_ends_nothing(acme: Actor, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    call, now = dial(acme), clock.now()

    def away() -> None:
        raise EngineUnreachable("no answer")

    monkeypatch.setattr(engine, "channels", away)
    for seconds in (11, 30, 60):
        with pytest.raises(EngineUnreachable):
            reconcile(now=now + timedelta(seconds=seconds))

    call.refresh_from_db()
    assert (call.status, latest(call).missed_at) == ("dialing", None)


def test_channels_that_outlived_their_call_are_hung_up_and_strangers_left(acme: Actor, engine: FakeEngine) -> None:
    call = dial(acme)
    left = channel(call, state="Up")
    engine.up = []
    for seconds in (11, 17):
        reconcile(now=clock.now() + timedelta(seconds=seconds))
    engine.up = [left, strange_channel()]

    reconcile(now=clock.now() + timedelta(seconds=22))

    assert engine.hung_up == [left.id]


@pytest.mark.parametrize(
    ("until", "seconds", "reason"),
    [("queued", 51, "expired"), ("dialing", 26, "unreachable"), ("ringing", 61, "no_answer")],
)
def test_a_call_that_does_not_move_on_is_ended(
    acme: Actor, engine: FakeEngine, until: str, seconds: int, reason: str
) -> None:
    call = place(acme)
    if until != "queued":
        dialing.drain()
    now = clock.now()
    if until == "ringing":
        tell(call, Kind.RINGING, at=now)

    assert sweeps.overdue(now=now + timedelta(seconds=seconds - 3)) == 0
    assert sweeps.overdue(now=now + timedelta(seconds=seconds)) == 1

    call.refresh_from_db()
    if until == "queued":
        assert (call.status, call.end_reason) == ("failed", reason)
    else:
        assert (call.intent, engine.hung_up) == (reason, [str(call.provider_call_id)])


def test_a_claim_skips_what_another_dialler_holds(acme: Actor, engine: FakeEngine) -> None:
    place(acme)

    first, second = (dialing._claim(clock.now(), clock.now()) for _ in range(2))

    assert first is not None
    assert second is None
    assert Call.objects.get().attempts.get().state == "claimed"
