"""Faults that were once there: each stays mended."""

from datetime import datetime, timedelta
from uuid import uuid4

import pytest
from django.db import OperationalError
from django.db.models import Value

from applications.models import Application
from calls import commands, dialing, lifecycle, sweeps
from calls.models import Attempt, Call, Party, Reason, Recording
from calls.recordings import progress
from minivoice import ids, nudge
from telephony.engines.facts import Channel, Fact, Kind
from tests import factories
from tests.calls.steps import FakeEngine, answer, dial, end, latest, place, tell
from tests.conftest import Actor
from webhooks.models import WebhookEvent

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("trunks", [1, 2])
def test_a_call_canceled_while_the_engine_was_asked_is_not_tried_again(acme: Actor, now: datetime, trunks: int) -> None:
    """Once the intent was not looked at, and the next trunk was dialled."""
    factories.TrunkFactory.create_batch(trunks - 1, priority=20)
    call = place(acme)
    Attempt.objects.update(state="claimed", claimed_at=now)
    lifecycle.intend(call_id=call.pk, customer_id=call.customer_id, reason=Reason.CANCELED, by=Party.API, now=now)

    goes_on = lifecycle.refused(attempt_id=latest(call).pk, customer_id=call.customer_id, now=now)

    call.refresh_from_db()
    assert (goes_on, call.status, call.end_reason) == (False, "canceled", "canceled")
    assert call.attempts.count() == 1


@pytest.mark.usefixtures("second_trunk")
@pytest.mark.parametrize("sip_code", [503, 486])
def test_an_end_that_outruns_the_refusal_is_answered_once(
    acme: Actor, engine: FakeEngine, now: datetime, sip_code: int
) -> None:
    """Once the refusal closed the attempt anew, and asked for a second attempt twice, which the database refused."""
    call = place(acme)
    Attempt.objects.update(state="claimed", claimed_at=now)
    end(call, at=now, sip_code=sip_code)
    is_tried_again = sip_code == 503

    goes_on = lifecycle.refused(
        attempt_id=call.attempts.get(number=1).pk, customer_id=call.customer_id, now=now + timedelta(seconds=1)
    )

    assert goes_on is is_tried_again
    first, *others = call.attempts.order_by("number")
    assert (first.state, first.ended_at, first.sip_code) == ("ended", now, sip_code)
    assert [other.state for other in others] == (["due"] if is_tried_again else [])


@pytest.mark.usefixtures("second_trunk")
@pytest.mark.parametrize("cause", [1, 17, 19, 21])
def test_a_cause_that_the_far_end_gave_is_no_reason_for_the_next_trunk(
    acme: Actor, engine: FakeEngine, now: datetime, cause: int
) -> None:
    """Once a missing SIP code counted as a transport failure though the cause said busy."""
    call = dial(acme)

    end(call, at=now, cause=cause)

    assert call.is_final
    assert call.attempts.count() == 1


def test_a_strange_channel_with_a_name_of_36_characters_does_not_stop_the_sweep(
    acme: Actor, engine: FakeEngine, now: datetime
) -> None:
    """Once any 36 characters passed for a UUID, and each comparison failed."""
    engine.up = [Channel("a-name-of-exactly-36-characters-0001", "Up", now, entered=True)]
    assert len(engine.up[0].id) == len(str(uuid4()))

    assert sweeps.reconcile(now=now) == []
    assert engine.hung_up == []


@pytest.mark.parametrize("channel_id", ["1700000000.12", "a-name-of-exactly-36-characters-0001"])
def test_a_fact_about_a_channel_with_another_kind_of_name_is_nobodys(
    world: None, now: datetime, channel_id: str
) -> None:
    """Once a name that is no UUID, as Asterisk gives its own channels, raised."""
    assert lifecycle.record(Fact(kind=Kind.ENDED, channel_id=channel_id, at=now), now=now) is None


@pytest.mark.parametrize("kind", [Kind.RINGING, Kind.ANSWERED])
def test_a_hangup_the_engine_did_not_hear_is_asked_again_within_seconds(
    acme: Actor, engine: FakeEngine, now: datetime, kind: Kind
) -> None:
    """Once ringing and answering moved the deadline that a hang-up had set."""
    call = dial(acme)
    lifecycle.intend(call_id=call.pk, customer_id=call.customer_id, reason=Reason.CANCELED, by=Party.API, now=now)

    tell(call, kind, at=now)

    assert call.deadline_at is not None
    assert call.deadline_at - now <= timedelta(seconds=5)


def test_a_call_past_its_deadline_is_not_dialled(acme: Actor, engine: FakeEngine, now: datetime) -> None:
    """Once a worker back after an outage dialled what should have expired."""
    call = place(acme)
    Call.objects.update(deadline_at=now - timedelta(minutes=10))

    assert dialing.drain() == 0

    assert sweeps.expired(now=now) == 1
    call.refresh_from_db()
    assert (call.status, call.end_reason) == ("failed", "expired")
    assert engine.originated == []


@pytest.mark.usefixtures("second_trunk")
@pytest.mark.parametrize("cause", [0, 16])
def test_a_call_whose_answer_went_unheard_is_not_dialled_again(
    acme: Actor, engine: FakeEngine, now: datetime, cause: int
) -> None:
    """Once an end in good order without a SIP code passed for a refusal."""
    call = dial(acme)

    end(call, at=now, cause=cause)

    assert (call.status, call.end_reason, call.attempts.count()) == ("failed", "engine_lost", 1)


def test_a_cancel_that_the_answer_outran_is_a_hangup(acme: Actor, engine: FakeEngine, now: datetime) -> None:
    """Once such a call was completed, and its reason `canceled`."""
    call = dial(acme)
    lifecycle.intend(call_id=call.pk, customer_id=call.customer_id, reason=Reason.CANCELED, by=Party.API, now=now)

    tell(call, Kind.ANSWERED, at=now)
    end(call, at=now + timedelta(seconds=1), cause=16)

    assert (call.status, call.end_reason, call.hangup_by) == ("completed", "hangup", "api")


@pytest.mark.parametrize("rings", [True, False])
def test_a_call_answered_while_the_sweep_is_at_another_goes_on(
    acme: Actor, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch, now: datetime, rings: bool
) -> None:
    """Once the sweep hung it up, and said of a call that had been answered that nobody had."""
    first, second = dial(acme), dial(acme)
    if rings:
        tell(first, Kind.RINGING, at=now)
        tell(second, Kind.RINGING, at=now + timedelta(seconds=1))
    later = now + timedelta(minutes=2)
    hung_up = []

    def hang_up(channel_id: str) -> bool:
        hung_up.append(channel_id)
        answer(second, at=later)
        return True

    monkeypatch.setattr(engine, "hang_up", hang_up)
    sweeps.overdue(now=later)

    assert hung_up == [latest(first).channel]
    second.refresh_from_db()
    assert (second.status, second.intent) == ("in_progress", "")
    end(second, at=later + timedelta(seconds=1), cause=16)
    assert (second.status, second.end_reason, second.hangup_by) == ("completed", "hangup", "callee")


def test_a_call_extended_while_the_sweep_is_at_another_goes_on(
    acme: Actor, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch, now: datetime
) -> None:
    """Once a call was cut whose deadline its money had just moved."""
    first, second = dial(acme), dial(acme)
    answer(first, at=now)
    answer(second, at=now + timedelta(seconds=1))
    later = now + timedelta(hours=5)

    def hang_up(channel_id: str) -> bool:
        Call.objects.filter(pk=second.pk).update(deadline_at=later + timedelta(minutes=1))
        return True

    monkeypatch.setattr(engine, "hang_up", hang_up)
    sweeps.overdue(now=later)

    calls = Call.objects.in_bulk([first.pk, second.pk])
    assert (calls[first.pk].intent, calls[second.pk].intent) == ("out_of_funds", "")


@pytest.mark.parametrize("seen_at", ["before the answer", "after it"])
def test_a_cancel_that_comes_after_the_answer_is_a_hangup(
    acme: Actor, engine: FakeEngine, now: datetime, seen_at: str
) -> None:
    """Once the status was read before the answer was written, and such a call was completed as `canceled`."""
    call = dial(acme)
    seen = Call.objects.get(pk=call.pk)
    answer(call, at=now)

    commands.hang_up(call=seen if seen_at == "before the answer" else call, now=now)
    end(call, at=now + timedelta(seconds=1), cause=16)

    assert (call.status, call.end_reason, call.hangup_by) == ("completed", "hangup", "api")


def test_an_engine_that_died_is_no_timer(acme: Actor, engine: FakeEngine, now: datetime) -> None:
    """Once a call whose engine came back empty after its deadline had run out of funds."""
    call = dial(acme)
    answer(call, at=now)
    later = now + timedelta(minutes=3)
    assert sweeps.overdue(now=later) == 1

    lifecycle.lost(attempt_id=latest(call).pk, customer_id=call.customer_id, now=later)

    call.refresh_from_db()
    assert (call.status, call.end_reason) == ("failed", "engine_lost")


def test_two_calls_of_one_microsecond_get_ids_of_their_own(
    acme: Actor, globex: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once the hold of the second, written first, raised."""
    first, new = place(acme), ids.new
    taken = iter([first.public_id])
    monkeypatch.setattr(
        ids, "new", lambda prefix, now: next(taken, "") or new(prefix, now) if prefix == "call" else new(prefix, now)
    )
    globex.customer.caller_id_policy = "any"
    globex.customer.save()

    assert place(globex).public_id != first.public_id


@pytest.mark.parametrize("secret", ["webhook_secret", "previous_webhook_secret"])
def test_calls_go_on_though_a_secret_of_their_application_cannot_be_read(
    acme: Actor, engine: FakeEngine, now: datetime, secret: str
) -> None:
    """Once the previous secret, there since any rotation, was decrypted by whatever locked or showed a call."""
    call = dial(acme)
    Application.objects.update(**{secret: Value("of a key that is gone")})

    answer(call, at=now)
    recording = progress.prepare(call_id=call.pk, kind=Recording.Kind.CALL, now=now)
    progress.failed(recording.pk, why="no disk", now=now)
    end(call, at=now + timedelta(seconds=3), cause=16)

    shown = acme.client().get(f"/v1/calls/{call.public_id}")
    assert (shown.status_code, shown.json()["status"]) == (200, "completed")
    told = WebhookEvent.objects.filter(call_id=call.public_id).order_by("sequence").values_list("type", flat=True)
    assert list(told) == ["call.created", "call.answered", "recording.failed", "call.completed"]


def test_an_accepted_call_is_answered_201_though_the_database_went_away(
    acme: Actor, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once the reading after the wait answered 503, and the client placed another."""
    call = place(acme)
    monkeypatch.setattr(nudge, "wake", lambda _: True)
    monkeypatch.setattr(nudge, "wait", lambda *_: "taken")

    def gone(*_: object) -> Call:
        raise OperationalError("gone")

    monkeypatch.setattr(commands, "find", gone)

    assert commands.await_engine(call) == call
