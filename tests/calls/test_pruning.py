"""Calls, timelines and refusals go when they are older than they are kept; money stays, and the books agree."""

import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection, models
from pytest_django.fixtures import Settings

from applications.models import Customer
from billing.models import Balance, Entry, Hold
from calls import audit, books, pruning, refusals, rollup
from calls.models import Call, CallEvent, KeptSince, Recording, Refusal, UsageDay
from calls.recordings import retention
from minivoice import clock, errors
from tests.calls.recordings.tape import Tape, collect, kept
from tests.calls.steps import answer, dial, end
from tests.conftest import Actor
from tests.plans import plan_of

LATER = timedelta(days=400)
NOON = datetime(2026, 5, 29, 12, 0, tzinfo=UTC)


@pytest.fixture
def agreed(audited: None, engine: Tape) -> Iterator[None]:
    """A test that ends with books that agree, and with the auditor."""
    yield
    with books.snapshot() as cursor:
        assert books.differences(cursor) == []


def talked(actor: Actor, *, at: datetime | None = None) -> Call:
    """A call that was answered, lasted half a minute and is charged."""
    call, at = dial(actor), at or clock.now()
    answer(call, at=at)
    end(call, at=at + timedelta(seconds=30))
    return call


def busy(actor: Actor, *, at: datetime | None = None) -> Call:
    call = dial(actor)
    end(call, at=at or clock.now(), sip_code=486)
    return call


def settle(call: Call, at: datetime) -> None:
    """Have a call look as if it had been placed and settled at a moment."""
    Call.objects.filter(pk=call.pk).update(accepted_at=at, settled_at=at)


def calls() -> list[int]:
    return list(Call.objects.order_by("pk").values_list("pk", flat=True))


def test_a_call_goes_with_what_hangs_on_it_and_its_money_stays(
    agreed: None, acme: Actor, caplog: pytest.LogCaptureFixture
) -> None:
    for call in (talked(acme), busy(acme)):
        assert call.is_final
    money = list(Entry.objects.order_by("pk").values())
    days = list(UsageDay.objects.values())
    posted = Balance.objects.get(customer=acme.customer).posted

    with caplog.at_level(logging.INFO):
        gone = pruning.prune(now=clock.now() + LATER)

    assert (gone.calls, calls(), CallEvent.objects.count(), Hold.objects.count()) == (2, [], 0, 0)
    assert list(Entry.objects.order_by("pk").values()) == money
    assert list(UsageDay.objects.values()) == days
    assert Balance.objects.get(customer=acme.customer).posted == posted
    assert "pruned 2 calls, 0 lines of timelines, 0 refusals in" in caplog.text


def test_a_live_call_stays_with_its_timeline_and_its_hold(agreed: None, acme: Actor) -> None:
    live, over = dial(acme), busy(acme)
    lines = live.timeline.count()

    pruning.prune(now=clock.now() + LATER)

    assert calls() == [live.pk] != [over.pk]
    assert (live.timeline.count(), Hold.objects.get().key) == (lines, live.public_id)
    assert lines


@pytest.mark.usefixtures("engine")
def test_the_calls_of_a_day_go_together_when_the_first_is_as_old_as_calls_may_be(acme: Actor) -> None:
    days = [datetime(2026, 5, 1, hour, 30, tzinfo=UTC) for hour in (0, 23)] + [datetime(2026, 5, 2, 0, 0, tzinfo=UTC)]
    for at in days:
        settle(busy(acme), at)
    last = calls()[-1]

    assert pruning.prune(now=datetime(2026, 5, 1, 23, 59, tzinfo=UTC) + timedelta(days=395)).calls == 0
    assert pruning.prune(now=datetime(2026, 5, 2, 0, 0, tzinfo=UTC) + timedelta(days=395)).calls == 2
    assert calls() == [last]
    assert KeptSince.objects.get(kind="calls").since == datetime(2026, 5, 2, tzinfo=UTC)


@pytest.mark.usefixtures("engine")
def test_the_settings_say_how_long(acme: Actor, settings: Settings) -> None:
    settings.CALL_DAYS, settings.TIMELINE_DAYS = 10, 3
    for days in (11, 5, 1):
        call = busy(acme)
        settle(call, NOON - timedelta(days=days))
        call.timeline.update(at=NOON - timedelta(days=days))
    kept_calls = calls()[1:]

    pruning.prune(now=NOON)

    assert calls() == kept_calls
    assert set(CallEvent.objects.values_list("call", flat=True)) == {kept_calls[-1]}


@pytest.mark.usefixtures("engine")
def test_a_leg_goes_with_its_call_and_a_call_after_its_legs(acme: Actor) -> None:
    call, leg, of_leg = (busy(acme) for _ in range(3))
    Call.objects.filter(pk=leg.pk).update(parent=call)
    Call.objects.filter(pk=of_leg.pk).update(parent=leg)
    Call.objects.filter(pk=of_leg.pk).update(settled_at=clock.now() + LATER)

    assert pruning.prune(now=clock.now() + LATER).calls == 0
    settle(of_leg, NOON)
    assert pruning.prune(now=clock.now() + LATER, batch=2).calls == 1  # its call was in an earlier batch
    assert calls() == [call.pk, leg.pk]
    assert pruning.prune(now=clock.now() + LATER).calls == 2


def test_a_call_stays_until_its_audio_is_erased_which_is_before_its_end(agreed: None, acme: Actor) -> None:
    Customer.objects.update(recording_days=3000)
    call, later = dial(acme), clock.now() + LATER
    answer(call, at=clock.now())
    kept(call)
    end(call, at=clock.now() + timedelta(seconds=2))

    assert pruning.prune(now=later).calls == 0
    assert retention.expire(now=later) == 1
    assert pruning.prune(now=later).calls == 0
    collect()
    assert pruning.prune(now=later).calls == 1
    assert Recording.objects.count() == 0


def test_goes_on_batch_by_batch_and_leaves_the_rest_to_the_next_run(agreed: None, acme: Actor) -> None:
    for _ in range(5):
        busy(acme)
    young = talked(acme, at=clock.now() + LATER)
    later = clock.now() + LATER

    assert pruning.prune(now=later, batch=2, run_seconds=0).calls == 0
    assert pruning.prune(now=later, batch=2).calls == 5
    assert calls() == [young.pk]


def test_a_longer_time_brings_no_differences_for_what_has_gone(agreed: None, acme: Actor, settings: Settings) -> None:
    talked(acme)
    pruning.prune(now=clock.now() + LATER)
    settings.CALL_DAYS = 4000

    pruning.prune(now=clock.now() + LATER)

    assert KeptSince.objects.get(kind="calls").since > clock.now()


def test_days_whose_calls_are_gone_are_not_counted_again(agreed: None, acme: Actor) -> None:
    call = talked(acme)
    day = call.settled_at.date()
    pruning.prune(now=clock.now() + LATER)

    assert list(rollup.days(customer_id=acme.customer.pk)) == []
    assert not rollup.rebuild(customer_id=acme.customer.pk, day=day, now=clock.now())
    assert UsageDay.objects.get().calls == 1


@pytest.mark.usefixtures("engine")
def test_a_charge_without_its_call_is_still_found_where_calls_are_kept(acme: Actor) -> None:
    KeptSince.objects.create(kind="calls", since=clock.now() - timedelta(days=1))
    call = talked(acme)
    pruning._delete({call.pk})

    with connection.cursor() as cursor:
        found = {difference.subject for difference in books.differences(cursor)}
    assert call.public_id in found


@pytest.mark.usefixtures("engine")
def test_an_ended_leg_of_which_the_timeline_tells_no_more_breaks_no_promise(acme: Actor) -> None:
    call, leg = busy(acme), busy(acme)
    Call.objects.filter(pk=leg.pk).update(parent=call)
    promise = "an ended leg is told of on its call's timeline, once"

    def violations() -> int:
        with connection.cursor() as cursor:
            return audit._count(cursor, audit._QUESTIONS[promise])

    assert violations() == 1
    pruning.prune(now=clock.now() + timedelta(days=100))
    assert (violations(), Call.objects.count()) == (0, 2)


def test_refusals_go_with_the_timelines(acme: Actor) -> None:
    for days in (91, 89):
        at = NOON - timedelta(days=days)
        refusals.note(customer_id=acme.customer.pk, number="+15550000000", refusal=errors.RateNotFound(), now=at)

    assert pruning.prune(now=NOON).refusals == 1
    assert Refusal.objects.get().minute == NOON - timedelta(days=89)


def test_whatever_refers_to_a_call_goes_with_it() -> None:
    seen_to = {(Call, "parent"), (Recording, "call")}
    others = {
        (field.related_model, field.field.name)
        for field in Call._meta.related_objects
        if field.on_delete not in {models.CASCADE, models.SET_NULL}
    }
    assert others == seen_to


@pytest.mark.parametrize("statement", [pruning._LINES, pruning._REFUSALS])
def test_reads_no_more_of_a_large_table_than_a_batch(db: None, statement: str) -> None:
    plan = plan_of(statement, {"last_id": 0, "kept_from": NOON, "batch": 2})
    assert "Seq Scan" not in plan
    assert "Sort" not in plan
    assert "pkey" in plan
