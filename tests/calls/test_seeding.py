"""Calls that never were are such as MiniVoice would have left: the books agree, and the auditor finds nothing."""

from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from pytest_django.fixtures import Settings

from applications.models import Customer
from billing.models import Entry
from calls import books, pruning
from calls.models import Call, CallEvent, UsageDay
from calls.seeding import volume
from minivoice import clock
from tests.conftest import Actor
from webhooks import pruning as webhook_pruning
from webhooks.models import DeliveryAttempt, WebhookEvent


def seed(*options: str) -> str:
    said = StringIO()
    call_command("seed_volume", "--calls", "2500", "--customers", "5", *options, stdout=said, stderr=said)
    return said.getvalue()


def test_what_is_seeded_adds_up(audited: None, acme: Actor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(volume, "BATCH", 1000)

    said = seed()
    seed("--days", "30")  # once more is no harm

    assert " 40% 1,000 calls, " in said
    assert "2,500 calls in " in said
    with books.snapshot() as cursor:
        assert books.differences(cursor) == []
    assert (Call.objects.count(), Customer.objects.count()) == (5000, 11)
    assert Entry.objects.filter(kind="charge").count() > 2500
    assert UsageDay.objects.filter(rate_prefix="inbound").exists()
    assert set(Call.objects.values_list("status", flat=True)) == {"completed", "failed", "canceled"}
    assert WebhookEvent.objects.count() > DeliveryAttempt.objects.count() > 2500


def test_nothing_is_older_than_it_would_be_kept(audited: None) -> None:
    seed()
    now, lines = clock.now(), CallEvent.objects.count()

    assert pruning.prune(now=now) == (0, 0, 0)
    assert webhook_pruning.prune(now=now) == (0, 0)
    assert lines > 2500


def test_refuses_to_mix_with_customers_of_a_real_platform(acme: Actor, settings: Settings) -> None:
    settings.EMBEDDED = False
    with pytest.raises(CommandError, match="there are customers here"):
        seed()
    with pytest.raises(CommandError, match="are 1 or more"):
        seed("--days", "0")
    assert Customer.objects.count() == 1
