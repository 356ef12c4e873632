"""The auditor's look each minute: at calls that are live or were settled lately, and at no others."""

from datetime import datetime, timedelta
from io import StringIO

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db.models import F

from billing.models import Balance, Entry, Hold
from calls import audit, books, tasks
from calls.models import Attempt, AuditRun, Call
from tests.calls.steps import FakeEngine, answer, dial, end
from tests.conftest import Actor
from webhooks.models import WebhookEvent

pytestmark = pytest.mark.django_db(transaction=True)

CHARGED = "a call is charged what it says, once, and not at all for nothing"


@pytest.fixture
def ended(acme: Actor, engine: FakeEngine, now: datetime) -> Call:
    """A call of three seconds, charged."""
    call = dial(acme)
    answer(call, at=now)
    end(call, at=now + timedelta(seconds=3), cause=16)
    return call


def test_finds_nothing_where_nothing_is_wrong(acme: Actor, ended: Call, now: datetime) -> None:
    answer(dial(acme), at=now)
    dial(acme)

    look = audit.look(now=now)

    assert (look.violations_found, look.violations) == (0, {})
    assert AuditRun.objects.get() == look


def test_finds_what_the_whole_audit_finds(
    acme: Actor, ended: Call, now: datetime, caplog: pytest.LogCaptureFixture
) -> None:
    live = dial(acme)
    Call.objects.filter(pk=ended.pk).update(cost_amount=7)
    Hold.objects.filter(key=live.public_id).update(key="another")
    Attempt.objects.filter(call=ended).update(state="taken")
    WebhookEvent.objects.filter(call_id=ended.public_id, type="call.completed").delete()
    Call.objects.filter(pk=live.pk).update(dialing_at=now - timedelta(hours=1))

    look = audit.look(now=now)

    found = {each.promise: each.violations for each in audit.run() if each.violations}
    assert look.violations == {promise: found[promise] for promise in audit._OF_TOUCHED if promise in found}
    assert len(look.violations) == 7
    assert look.violations_found == sum(look.violations.values())
    assert f"1 violations: {CHARGED}" in caplog.text


def test_a_charge_too_many_is_found(ended: Call, now: datetime) -> None:
    charge = Entry.objects.get(call_id=ended.public_id)
    charge.pk, charge.public_id, charge.key = None, "entry_of_nobody", "charge:of nobody"
    charge.save(force_insert=True)
    assert audit.look(now=now).violations == {CHARGED: 1}


def test_looks_back_to_the_last_look_and_no_more_than_an_hour(ended: Call, now: datetime) -> None:
    Call.objects.update(cost_amount=7)
    assert audit.look(now=now).violations_found
    assert audit.look(now=now + timedelta(seconds=50)).violations_found  # it may have been committed late
    assert audit.look(now=now + timedelta(minutes=2)).violations_found
    assert not audit.look(now=now + timedelta(minutes=4)).violations_found

    AuditRun.objects.all().delete()
    assert audit.look(now=now + timedelta(minutes=59)).violations_found
    AuditRun.objects.all().delete()
    assert not audit.look(now=now + timedelta(minutes=61)).violations_found


def test_a_look_is_kept_for_a_day(now: datetime) -> None:
    for hours in (0, 23, 25):
        audit.look(now=now + timedelta(hours=hours))
    assert AuditRun.objects.count() == 2


def test_every_question_is_asked_each_night(acme: Actor, ended: Call, now: datetime) -> None:
    assert "calls.audit_all" in {entry["task"] for entry in settings.CELERY_BEAT_SCHEDULE.values()}
    assert {finding.promise for finding in audit.run()} == {*books.QUESTIONS, *audit._QUESTIONS}
    Balance.objects.filter(customer=acme.customer).update(credit_limit=0, held=F("posted") + 1)

    tasks.look_at_all()

    night = AuditRun.objects.get()
    assert night.is_whole
    assert night.violations == {"held is the sum of the open holds": 1, "nothing is granted below zero": 1}
    audit.look(now=now + timedelta(days=29))
    assert AuditRun.objects.filter(is_whole=True).exists()
    audit.look_at_all(now=now + timedelta(days=31))
    assert AuditRun.objects.get(is_whole=True) != night


def test_the_command_judges_what_was_settled_since(ended: Call, now: datetime) -> None:
    Call.objects.update(cost_amount=7)
    out = StringIO()

    with pytest.raises(CommandError, match="promises are broken"):
        call_command("audit", f"--since={now:%Y-%m-%dT%H:%M}", stdout=out)
    assert len(out.getvalue().splitlines()) == len(audit._OF_TOUCHED)
    assert f"FAIL      1 {CHARGED}" in out.getvalue()

    call_command("audit", f"--since={now + timedelta(hours=1):%Y-%m-%dT%H:%M}", stdout=StringIO())
    with pytest.raises(CommandError, match="yesterday is not a moment"):
        call_command("audit", "--since=yesterday")
