"""What happened to a call: whatever order it is told in, the same end and the same charge."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import permutations
from typing import Any

import pytest
from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from billing.models import Balance, Entry, Hold, Rate
from calls import audit, lifecycle
from calls.models import Attempt, Call, Flow
from telephony.engines.facts import Answer, Kind
from tests import factories
from tests.calls.steps import FakeEngine, answer, dial, end, events, latest, place, tell
from tests.conftest import Actor
from tests.locks import wait_for_a_lock
from webhooks.models import WebhookEvent

pytestmark = pytest.mark.django_db

R, A, E = Kind.RINGING, Kind.ANSWERED, Kind.ENDED
AFTER = {R: 2.0, A: 5.0, E: 46.0}  # seconds from the start: 41 of talk


def orders(*kinds: Kind) -> Iterator[tuple[Kind, ...]]:
    """Every order of these facts."""
    yield from sorted(set(permutations(kinds)))


def outcome(call: Call) -> dict[str, Any]:
    """Return all that must not depend on the order of facts."""
    return {
        "status": call.status,
        "reason": call.end_reason,
        "by": call.hangup_by,
        "seconds": (call.duration_seconds, call.billable_seconds),
        "cost": (call.cost_amount, call.overrun_amount),
        "times": (call.answered_at, call.ended_at),
        "entries": Entry.objects.filter(call_id=call.public_id).count(),
        "open holds": Hold.objects.filter(key=call.public_id, closed_at=None).count(),
        "held": Balance.objects.get(customer_id=call.customer_id).held,
        "final events": events(call)[-1:],
        "flows": Flow.objects.filter(call=call).count(),
    }


def told(acme: Actor, now: datetime, order: tuple[Kind, ...], *, answered: bool = True) -> Call:
    """Tell the facts of a call; the end of one that was answered says when, as the engine does."""
    call = dial(acme)
    end: dict[str, Any] = {"answered_at": now + timedelta(seconds=AFTER[A])} if answered else {"sip_code": 480}
    for kind in order:
        tell(call, kind, at=now + timedelta(seconds=AFTER[kind]), **(end if kind is E else {}))
    return call


DOUBLED = [(R, A, E), (R, R, A, E), (R, A, A, E), (R, A, E, E)]


@pytest.mark.parametrize("facts", DOUBLED, ids=["once", "ringing twice", "answered twice", "ended twice"])
def test_every_order_of_an_answered_call_ends_the_same(
    acme: Actor, engine: FakeEngine, now: datetime, facts: tuple[Kind, ...]
) -> None:
    expected = outcome(told(acme, now, (R, A, E)))
    assert (expected["status"], expected["cost"]) == ("completed", (Decimal("0.60"), 0))

    for order in [*orders(*facts), (A, A, E, E, R, R)]:
        call = told(acme, now, order)
        assert outcome(call) == expected, order
        assert events(call) == ["call.created", "call.answered", "call.completed"]


@pytest.mark.parametrize("missing", [(A, E), (A, A, E, E), (R, E), (E,), (R, R, E, E)])
def test_a_ring_or_an_answer_that_went_unheard_changes_nothing(
    acme: Actor, engine: FakeEngine, now: datetime, missing: tuple[Kind, ...]
) -> None:
    expected = outcome(told(acme, now, (R, A, E)))

    for order in orders(*missing):
        call = told(acme, now, order)
        assert outcome(call) == expected, order
        assert events(call) == ["call.created", "call.answered", "call.completed"]


def test_an_end_without_an_answer_charges_nothing(acme: Actor, engine: FakeEngine, now: datetime) -> None:
    for order in orders(R, R, E):
        if order[0] == R:
            call = told(acme, now, order, answered=False)
            assert (call.status, call.end_reason, call.cost_amount) == ("failed", "no_answer", 0), order
            assert events(call) == ["call.created", "call.failed"]


def test_a_call_entered_without_an_answer_was_answered(acme: Actor, engine: FakeEngine, now: datetime) -> None:
    call = dial(acme)

    tell(call, Kind.ENTERED, at=now)

    assert (call.status, call.answered_at) == ("in_progress", now)


def test_a_call_answered_while_nobody_listened_is_billed_from_its_answer(
    acme: Actor, engine: FakeEngine, now: datetime
) -> None:
    call, answered_at = dial(acme), now - timedelta(seconds=9)

    tell(call, Kind.ENTERED, at=now, answered_at=answered_at)
    end(call, at=now + timedelta(seconds=1))

    assert (call.answered_at, call.duration_seconds) == (answered_at, 10)


def test_facts_that_outrun_the_engines_answer_are_heard(acme: Actor, now: datetime) -> None:
    call = place(acme)
    Attempt.objects.update(state="claimed", claimed_at=now)

    tell(call, Kind.RINGING, at=now)
    lifecycle.taken(attempt_id=latest(call).pk, now=now)

    call.refresh_from_db()
    assert (call.status, call.ringing_at) == ("ringing", now)
    assert latest(call).state == "taken"
    assert call.provider_call_id == latest(call).channel_id


def test_early_media_counts_as_ringing(acme: Actor, engine: FakeEngine, now: datetime) -> None:
    call = dial(acme)

    tell(call, Kind.PROGRESS, at=now)

    assert (call.status, call.ringing_at) == ("ringing", now)


def test_late_facts_are_kept_on_the_timeline(acme: Actor, engine: FakeEngine, now: datetime) -> None:
    call = told(acme, now, (R, A, E, R, A, E))

    kinds = list(call.timeline.order_by("id").values_list("kind", flat=True))

    assert kinds[-3:] == ["engine_ringing", "engine_answered", "engine_ended"]


def test_a_channel_that_is_not_ours_is_nobodys_fact(acme: Actor, engine: FakeEngine, now: datetime) -> None:
    call = dial(acme)
    fact = lifecycle.Fact(kind=E, channel_id="0000aaaa-0000-4000-8000-00000000ffff", at=now)

    assert lifecycle.record(fact, now=now) is None
    call.refresh_from_db()
    assert call.status == "dialing"


def lose(call: Call, now: datetime) -> None:
    lifecycle.lost(attempt_id=latest(call).pk, customer_id=call.customer_id, now=now)
    call.refresh_from_db()


def test_an_answered_call_that_was_lost_is_billed_to_where_it_was_last_seen(
    acme: Actor, engine: FakeEngine, now: datetime
) -> None:
    call = dial(acme)
    answer(call, at=now)
    seen_at = now + timedelta(seconds=30)
    Call.objects.update(proven_at=seen_at)

    lose(call, now + timedelta(hours=1))

    assert (call.status, call.end_reason, call.ended_at) == ("failed", "engine_lost", seen_at)
    assert (call.duration_seconds, call.cost_amount) == (30, Decimal("0.60"))


@pytest.mark.parametrize(("state", "reason"), [("claimed", "originate_failed"), ("unclear", "originate_failed")])
def test_a_call_the_engine_never_had_is_lost_for_free(acme: Actor, now: datetime, state: str, reason: str) -> None:
    call = place(acme)
    Attempt.objects.update(state=state, claimed_at=now)

    lose(call, now)

    assert (call.status, call.end_reason, call.cost_amount) == ("failed", reason, 0)


def test_losing_an_ended_call_changes_nothing(acme: Actor, engine: FakeEngine, now: datetime) -> None:
    call = told(acme, now, (A, E))
    before = outcome(call)

    lose(call, now)

    assert outcome(call) == before


def test_a_final_status_never_changes(acme: Actor, engine: FakeEngine, now: datetime) -> None:
    call = told(acme, now, (A, E))

    with pytest.raises(RuntimeError, match="cannot become"), transaction.atomic():
        lifecycle._advance(call, lifecycle.Status.FAILED)


def test_an_event_a_customer_lists_is_published_in_its_place(acme: Actor, engine: FakeEngine, now: datetime) -> None:
    acme.application.webhook_events = ["call.ringing"]
    acme.application.save()

    call = told(acme, now, (R, A, E))

    assert events(call) == ["call.created", "call.ringing", "call.answered", "call.completed"]


@pytest.mark.parametrize(
    ("seconds", "lines"),
    [
        (61, [("connection_fee", "0.10"), ("talk", "1.20")]),
        (1, [("connection_fee", "0.10"), ("talk", "0.60"), ("minimum_charge", "0.20")]),
        (0, []),
    ],
)
def test_a_settlement_tells_what_the_charge_is_made_of(
    acme: Actor, engine: FakeEngine, now: datetime, seconds: int, lines: list[tuple[str, str]]
) -> None:
    Rate.objects.update(connection_fee="0.1", minimum_charge="0.9")
    acme.application.webhook_events = ["call.settled"]
    acme.application.save()
    call = dial(acme)
    if seconds:
        answer(call, at=now)
    Hold.objects.update(amount=10, funded_seconds=900)
    Balance.objects.update(held=10)

    end(call, at=now + timedelta(seconds=seconds))

    assert events(call)[-2:] == ["call.completed" if seconds else "call.failed", "call.settled"]
    told = json.loads(bytes(WebhookEvent.objects.get(type="call.settled").body))["data"]
    assert [(line["kind"], line["amount"]) for line in told["lines"]] == lines
    assert Decimal(told["cost_amount"]) == sum(Decimal(line["amount"]) for line in told["lines"])


def test_an_overrun_is_a_line_of_the_settlement_and_nobodys_charge(
    acme: Actor, engine: FakeEngine, now: datetime
) -> None:
    acme.application.webhook_events = ["call.settled"]
    acme.application.save()
    call = dial(acme)
    answer(call, at=now)

    end(call, at=now + timedelta(seconds=100))

    told = json.loads(bytes(WebhookEvent.objects.get(type="call.settled").body))["data"]
    assert told["cost_amount"] == "0.60"
    assert told["lines"] == [
        {"kind": "connection_fee", "amount": "0.00"},
        {"kind": "talk", "amount": "1.20"},
        {"kind": "overrun", "amount": "-0.60"},
    ]


def test_an_answer_that_the_engine_refused_to_take_ends_the_call_for_free(acme: Actor, engine: FakeEngine) -> None:
    engine.answers.append(Answer.REFUSED)

    call = dial(acme)

    assert (call.status, call.end_reason, call.dialing_at) == ("failed", "originate_failed", None)
    assert Balance.objects.get(customer=acme.customer).held == 0
    assert events(call) == ["call.created", "call.failed"]


@pytest.mark.usefixtures("audited")
def test_what_waits_for_an_attempt_finds_it_though_its_trunk_changed(acme: Actor, now: datetime) -> None:
    """A lock taken over a join with the trunk found no row any more, after it had waited for a claim elsewhere."""
    call = place(acme)
    attempt, spare = latest(call), factories.TrunkFactory(name="Spare", priority=20)

    def take() -> Any:
        try:
            return lifecycle.taken(attempt_id=attempt.pk, now=now)
        finally:
            connection.close()

    with ThreadPoolExecutor() as threads:
        with transaction.atomic():
            Attempt.objects.filter(pk=attempt.pk).update(trunk=spare, state="claimed", claimed_at=now)
            taking = threads.submit(take)
            wait_for_a_lock()
        assert taking.result(5).trunk_id == spare.pk


@pytest.mark.usefixtures("audited")
def test_the_auditor_finds_what_is_wrong(acme: Actor, engine: FakeEngine, now: datetime) -> None:
    call = told(acme, now, (A, E))
    assert violations() == set()

    Call.objects.filter(pk=call.pk).update(cost_amount=7)
    found = violations()
    Call.objects.filter(pk=call.pk).update(cost_amount=call.cost_amount)

    assert found == {
        "a call is charged what it says, once, and not at all for nothing",
        "charge and overrun are the rating of the call's own seconds",
        "a day's usage is the sum of its calls",
    }


@pytest.mark.usefixtures("transactional_db")
def test_the_auditor_misses_events_only_while_they_are_kept(acme: Actor, engine: FakeEngine, now: datetime) -> None:
    call = told(acme, now, (A, E))
    WebhookEvent.objects.filter(call_id=call.public_id).delete()
    promises = {
        "an ended call has its one final event, a live one none",
        "a call's events are numbered 1, 2, 3 without a gap",
    }
    assert violations() == promises

    days = settings.WEBHOOK_EVENT_DAYS
    Call.objects.filter(pk=call.pk).update(accepted_at=timezone.now() - timedelta(days=days, seconds=-60))
    assert violations() >= promises
    Call.objects.filter(pk=call.pk).update(accepted_at=timezone.now() - timedelta(days=days))
    assert violations() & promises == set()


def violations() -> set[str]:
    return {finding.promise for finding in audit.run() if finding.violations}
