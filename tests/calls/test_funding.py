"""A call that goes on is paid for on, and ends before its money is over: by the engine's timer alone."""

import math
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db.models import F

from applications.models import Customer
from billing import ledger, rating
from billing.models import Balance, Hold, Rate
from calls import funding, lifecycle
from calls.models import Call, Party, Reason
from telephony import link
from telephony.engines.facts import ChannelGone, EngineError, EngineUnreachable, Kind
from tests import factories
from tests.calls.steps import FakeEngine, answer, dial, latest, tell
from tests.conftest import Actor
from tests.plans import plan_of

pytestmark = pytest.mark.django_db

SOON = timedelta(seconds=5)  # after the answer
INCREMENTS = [(first, then) for first in (1, 6, 10, 30, 60, 90) for then in (1, 6, 7, 30, 60, 150)]


class TimedEngine(FakeEngine):
    """An engine with a clock of its own, and a timer for each channel, counted from its setting."""

    def __init__(self) -> None:
        super().__init__()
        self.at: datetime | None = None
        self.ends_at: dict[str, datetime] = {}
        self.errors: list[EngineError] = []
        self.said: list[tuple[str, str, str, datetime | None]] = []

    def pick_up(self, call: Call, *, at: datetime) -> None:
        """The callee answers: the timer begins."""
        channel_id = str(latest(call).channel_id)
        timer = next(row["variables"]["TIMER_SECONDS"] for row in self.originated if row["channel_id"] == channel_id)
        self.at, self.ends_at[channel_id] = at, at + timedelta(seconds=float(timer))
        answer(call, at=at)

    def set_timer(self, channel_id: str, *, seconds: float) -> None:
        if self.errors:
            raise self.errors.pop(0)
        assert self.at is not None
        self.ends_at[channel_id] = self.at + timedelta(seconds=seconds)

    def warn(self, channel_id: str, text: str, owner: str) -> None:
        self.said.append((channel_id, text, owner, self.at))


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> TimedEngine:
    engine = TimedEngine()
    monkeypatch.setattr(link, "adapter", lambda: engine)
    monkeypatch.setattr(funding, "monotonic", lambda: 0.0)  # a sweep takes no time, however busy the machine is
    return engine


def talk(call: Call, engine: TimedEngine, *, until: float, every: float = 1.0) -> float | None:
    """Sweep and let the engine's timer run until `until` seconds after the answer; return when it ended the call."""
    call.refresh_from_db()
    assert call.answered_at
    assert engine.at
    channel_id = str(latest(call).channel_id)
    while engine.at < call.answered_at + timedelta(seconds=until):
        funding.sweep(now=engine.at, engine_now=engine.at, warn=engine.warn)
        if engine.ends_at[channel_id] <= engine.at + timedelta(seconds=every):
            engine.at = engine.ends_at[channel_id]
            tell(call, Kind.ENDED, at=engine.at, cause=0)
            return (engine.at - call.answered_at).total_seconds()
        engine.at += timedelta(seconds=every)
    call.refresh_from_db()
    return None


def lines(call: Call, kind: str) -> list[dict[str, Any]]:
    return list(call.timeline.filter(kind=kind).order_by("id").values_list("data", flat=True))


def give(actor: Actor, funds: str) -> None:
    """Leave the customer exactly `funds`."""
    balance = Balance.objects.get(customer=actor.customer)
    factories.top_up(actor.customer, str(Decimal(funds) - balance.posted))


def answered(actor: Actor, engine: TimedEngine, now: datetime, **changes: Any) -> Call:
    call = dial(actor, **changes)
    engine.pick_up(call, at=now)
    return call


def test_a_call_with_funds_for_two_minutes_ends_in_their_last_second(
    acme: Actor, engine: TimedEngine, now: datetime
) -> None:
    give(acme, "1.20")
    call = answered(acme, engine, now)

    ended = talk(call, engine, until=10_800)

    assert ended is not None
    assert 119 <= ended <= 119.2  # in the last second
    assert (call.end_reason, call.hangup_by, call.status) == ("out_of_funds", "system", "completed")
    assert (call.cost_amount, call.overrun_amount) == (Decimal("1.20"), 0)


def test_a_call_that_is_over_at_once_takes_no_more_money(acme: Actor, engine: TimedEngine, now: datetime) -> None:
    call = answered(acme, engine, now)

    assert talk(call, engine, until=4.9) is None

    assert Hold.objects.get().funded_seconds == 60


def test_a_call_of_three_hours_is_paid_for_in_steps_of_two_minutes(
    acme: Actor, engine: TimedEngine, now: datetime
) -> None:
    give(acme, "1000")
    call = answered(acme, engine, now)

    assert talk(call, engine, until=10_800, every=5) is None

    reached = [line["funded_seconds"] for line in lines(call, "hold_extended")]
    assert reached == list(range(180, 10_900, 120))
    assert Hold.objects.get().funded_seconds == call.funded_seconds == reached[-1]
    assert Hold.objects.get().amount == Balance.objects.get(customer=acme.customer).held


@pytest.mark.parametrize(("first", "then"), INCREMENTS)
def test_no_increments_let_a_call_run_past_its_money(
    acme: Actor, engine: TimedEngine, now: datetime, first: int, then: int
) -> None:
    Rate.objects.update(
        initial_increment=first, subsequent_increment=then, connection_fee="0.011", minimum_charge="0.02"
    )
    give(acme, "3.337")
    call = answered(acme, engine, now)

    ended = talk(call, engine, until=10_800, every=7)

    assert ended is not None
    assert (call.end_reason, call.overrun_amount) == ("out_of_funds", 0)
    assert call.billable_seconds == rating.billed_seconds(call.price, math.ceil(ended))
    assert call.funded_seconds - 1 <= ended <= call.funded_seconds - 0.8
    paid = rating.charge(call.price, call.funded_seconds).amount
    assert paid <= Decimal("3.337") < paid + Decimal("0.60") * then / 60  # not one step more could be had


def test_a_top_up_counts_for_a_call_that_runs_out(acme: Actor, engine: TimedEngine, now: datetime) -> None:
    give(acme, "0.60")
    call = answered(acme, engine, now)
    assert talk(call, engine, until=50) is None

    factories.top_up(acme.customer, "0.60")

    ended = talk(call, engine, until=10_800)
    assert ended is not None
    assert 119 <= ended <= 119.2


def test_a_refusal_is_told_once_and_names_what_refused(acme: Actor, engine: TimedEngine, now: datetime) -> None:
    Balance.objects.filter(customer=acme.customer).update(day_cap="0.70")
    call = answered(acme, engine, now)

    talk(call, engine, until=10_800)

    assert call.end_reason == "out_of_funds"
    (refused,) = lines(call, "extension_refused")
    assert refused == {"limited_by": "day_cap", "funded_seconds": 60, "hold": "0.60"}


def test_who_wants_it_hears_that_the_call_will_be_cut(acme: Actor, engine: TimedEngine, now: datetime) -> None:
    Customer.objects.filter(pk=acme.customer.pk).update(funds_warning="This call ends in a minute.")
    give(acme, "1.20")
    call = answered(acme, engine, now)

    ended = talk(call, engine, until=10_800)

    owner = str(acme.customer.pk)
    warning = (str(latest(call).channel_id), "This call ends in a minute.", owner, now + timedelta(seconds=60))
    assert engine.said == [warning]
    assert ended == pytest.approx(119, abs=0.3)


def test_an_extension_that_falls_short_says_why(acme: Actor, engine: TimedEngine, now: datetime) -> None:
    give(acme, "1.30")
    call = answered(acme, engine, now)

    talk(call, engine, until=10)

    assert lines(call, "hold_extended") == [{"limited_by": "balance", "funded_seconds": 120, "hold": "1.20"}]


def test_the_longest_time_ends_a_call_that_has_money(acme: Actor, engine: TimedEngine, now: datetime) -> None:
    call = answered(acme, engine, now, max_duration_seconds=200)

    ended = talk(call, engine, until=10_800)

    assert ended is not None
    assert 199.9 < ended <= 200
    assert (call.end_reason, call.funded_seconds, call.extend_at) == ("max_duration", 240, None)


def test_a_longest_time_at_a_boundary_does_not_buy_a_further_step(
    acme: Actor, engine: TimedEngine, now: datetime
) -> None:
    call = answered(acme, engine, now, max_duration_seconds=180)

    talk(call, engine, until=10_800)

    assert (call.end_reason, call.cost_amount) == ("max_duration", Decimal("1.80"))


def test_a_free_call_needs_no_money(acme: Actor, engine: TimedEngine, now: datetime) -> None:
    Rate.objects.update(price_per_minute=0)
    call = answered(acme, engine, now, max_duration_seconds=300)
    assert call.extend_at is None

    assert talk(call, engine, until=10_800) == 300
    assert (call.end_reason, call.cost_amount) == ("max_duration", 0)


def test_a_timer_that_could_not_be_moved_is_moved_by_a_later_sweep(
    acme: Actor, engine: TimedEngine, now: datetime
) -> None:
    engine.errors = [ChannelGone("not ours yet"), ChannelGone("not ours yet")]
    call = answered(acme, engine, now)

    assert talk(call, engine, until=8) is None
    assert (call.funded_seconds, Hold.objects.get().funded_seconds) == (60, 180)
    assert call.deadline_at == now + timedelta(seconds=189)  # by which the engine may have heard of it

    assert talk(call, engine, until=25) is None
    assert (call.funded_seconds, Hold.objects.get().funded_seconds) == (180, 180)
    assert lines(call, "hold_extended") == [{"funded_seconds": 180, "hold": "1.80"}]


def test_a_call_whose_timer_was_never_moved_is_cut_early_and_counted(
    acme: Actor, engine: TimedEngine, now: datetime
) -> None:
    engine.errors = [ChannelGone("never")] * 100
    call = answered(acme, engine, now)

    assert talk(call, engine, until=10_800) == 59

    assert (call.end_reason, call.cost_amount, call.overrun_amount) == ("out_of_funds", Decimal("0.60"), 0)
    assert lines(call, "cut_early") == [{"funded_seconds": 180, "timer_seconds": 59}]
    assert Balance.objects.get(customer=acme.customer).held == 0


def test_an_engine_that_does_not_answer_stops_the_sweep(acme: Actor, engine: TimedEngine, now: datetime) -> None:
    call = answered(acme, engine, now)
    engine.errors = [EngineUnreachable("silent")]

    with pytest.raises(EngineUnreachable):
        funding.sweep(now=now + SOON, engine_now=now + SOON, warn=engine.warn)

    call.refresh_from_db()
    assert call.extend_at is not None
    assert timedelta(seconds=4) < call.extend_at - (now + SOON) < timedelta(seconds=8)


def test_a_call_that_cannot_be_paid_for_keeps_no_other_from_its_money(
    acme: Actor, engine: TimedEngine, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken, sound = answered(acme, engine, now), answered(acme, engine, now)
    Call.objects.filter(pk=broken.pk).update(extend_at=F("extend_at") - timedelta(seconds=1))
    extend = ledger.extend

    def fail_for_one(**asked: Any) -> ledger.Extension | None:
        if asked["key"] == broken.public_id:
            raise ZeroDivisionError
        return extend(**asked)

    monkeypatch.setattr(ledger, "extend", fail_for_one)

    assert funding.sweep(now=now + SOON, engine_now=now + SOON, warn=engine.warn) == 2

    sound.refresh_from_db()
    assert sound.funded_seconds == 180


def test_a_call_that_is_being_hung_up_takes_no_more_money(acme: Actor, engine: TimedEngine, now: datetime) -> None:
    call = answered(acme, engine, now)
    lifecycle.intend(call_id=call.pk, customer_id=call.customer_id, reason=Reason.HANGUP, by=Party.API, now=now)

    assert funding.sweep(now=now + SOON, engine_now=now + SOON, warn=engine.warn) == 0
    assert Hold.objects.get().funded_seconds == 60


def test_an_ended_call_is_never_looked_at_again(acme: Actor, engine: TimedEngine, now: datetime) -> None:
    call = answered(acme, engine, now)
    tell(call, Kind.ENDED, at=now + timedelta(seconds=2), cause=0)

    assert call.extend_at is None
    assert funding.sweep(now=now, engine_now=now + timedelta(hours=1), warn=engine.warn) == 0


def test_talk_is_measured_by_the_engines_clock(acme: Actor, engine: TimedEngine, now: datetime) -> None:
    ahead = timedelta(hours=3)
    call = answered(acme, engine, now + ahead)

    engine.at = now + ahead + SOON

    assert funding.sweep(now=now, engine_now=now + SOON, warn=engine.warn) == 0
    assert funding.sweep(now=now, engine_now=engine.at, warn=engine.warn) == 1

    ends_at = engine.ends_at[str(latest(call).channel_id)]
    assert timedelta(seconds=179) < ends_at - (now + ahead) <= timedelta(seconds=179.2)


def test_a_sweep_stops_when_its_time_is_over(acme: Actor, engine: TimedEngine, now: datetime) -> None:
    answered(acme, engine, now)
    answered(acme, engine, now)

    assert funding.sweep(now=now + SOON, engine_now=now + SOON, warn=engine.warn, seconds=0) == 0


def test_the_sweep_reads_by_an_index(acme: Actor, engine: TimedEngine, now: datetime) -> None:
    due = Call.objects.filter(extend_at__lte=now).order_by("extend_at").values_list("pk")
    assert "call_extend" in plan_of(*due.query.sql_with_params())
