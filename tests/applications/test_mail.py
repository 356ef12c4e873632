"""The queue of mail: what is written goes out once, and what cannot is given up."""

from datetime import UTC, datetime, timedelta
from smtplib import SMTPServerDisconnected
from typing import Any

import pytest
from django.core import mail as post
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from applications import mail
from applications.models import Customer, Notice
from tests import factories

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 5, 29, 12, tzinfo=UTC)


@pytest.fixture
def customer(settings: Any) -> Customer:
    """A customer, and a mail server."""
    settings.EMAIL_URL = "smtp://mail.example"
    customer: Customer = factories.CustomerFactory()
    return customer


def write(customer: Customer, **changes: Any) -> None:
    usual = {"kind": Notice.Kind.LOW, "recipient": "ops@acme.example", "subject": "Low", "text": "It is low."}
    mail.write(**{"customer_id": customer.pk, "now": NOON, **usual, **changes})


def test_goes_out_once_with_its_blind_copy(customer: Customer) -> None:
    write(customer, copy_to="staff@platform.example")

    assert mail.send(now=NOON) == 1
    assert mail.send(now=NOON + timedelta(days=1)) == 0

    [letter] = post.outbox
    assert (letter.to, letter.bcc) == (["ops@acme.example"], ["staff@platform.example"])
    assert (letter.subject, letter.body) == ("Low", "It is low.")
    assert Notice.objects.get().sent_at == NOON


def test_is_tried_five_times_more(customer: Customer, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> int:
        raise SMTPServerDisconnected

    monkeypatch.setattr(mail.EmailMessage, "send", fail)
    write(customer)
    minutes = 0
    while (notice := Notice.objects.get()).next_attempt_at is not None:
        minutes = int((notice.next_attempt_at - NOON).total_seconds()) // 60
        assert mail.send(now=notice.next_attempt_at) == 0
    assert (notice.attempts, notice.sent_at, minutes) == (6, None, 1 + 5 + 30 + 120 + 360)


def test_one_whose_sender_died_is_due_again(customer: Customer) -> None:
    write(customer)
    assert mail._claim(NOON) is not None  # and no more is heard of it

    assert mail.send(now=NOON + timedelta(seconds=119)) == 0
    assert mail.send(now=NOON + timedelta(seconds=120)) == 1


def test_one_that_kills_whoever_sends_it_is_given_up(customer: Customer, monkeypatch: pytest.MonkeyPatch) -> None:
    class Killed(BaseException):
        """Not caught, as little as a kill."""

    def die(_: object) -> int:
        raise Killed

    monkeypatch.setattr(mail.EmailMessage, "send", die)
    write(customer)
    deaths = 0
    for minute in range(0, 60, 2):
        try:
            mail.send(now=NOON + timedelta(minutes=minute))
        except Killed:
            deaths += 1
    assert (deaths, Notice.objects.get().next_attempt_at) == (6, None)


def test_one_that_fails_keeps_no_other_waiting(customer: Customer, monkeypatch: pytest.MonkeyPatch) -> None:
    write(customer, subject="Low\nBcc: all@example.net")
    write(customer)

    assert mail.send(now=NOON) == 1

    assert [letter.subject for letter in post.outbox] == ["Low"]
    assert Notice.objects.get(sent_at=None).next_attempt_at == NOON + timedelta(minutes=1)


def test_is_kept_for_90_days_unless_it_is_still_to_be_sent(customer: Customer) -> None:
    for days in (91, 91, 89):
        write(customer, now=NOON - timedelta(days=days))
    waiting, gone, kept = Notice.objects.order_by("pk")
    Notice.objects.exclude(pk=waiting.pk).update(next_attempt_at=None)

    assert [mail.prune(now=NOON) for _ in range(2)] == [1, 0]
    assert list(Notice.objects.order_by("pk")) == [waiting, kept] != [gone]


def test_the_queue_goes_back_to_what_it_was_without_the_mail_that_was_not_known_there(customer: Customer) -> None:
    """Once a mail about an endpoint kept the migration from being undone."""
    for kind in (Notice.Kind.LOW, Notice.Kind.ENDPOINT):
        write(customer, kind=kind)
    loader = MigrationExecutor(connection).loader
    migration = loader.get_migration("applications", "0005_one_queue_of_mail")
    before = loader.project_state(("applications", "0005_one_queue_of_mail"), at_end=False)

    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        with connection.schema_editor() as editor:
            migration.unapply(before, editor)
        cursor.execute("SELECT kind FROM billing_notice")

        assert cursor.fetchall() == [("low",)]
