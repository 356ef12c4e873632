"""`balance.low` and mail: what customers are told of their money, and how often."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.core import mail

from applications import mail as post
from applications.models import Application, Customer, Notice
from billing import ledger, notices
from billing.models import Balance
from tests import factories
from webhooks import outbox
from webhooks.models import WebhookEvent

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 5, 29, 12, tzinfo=UTC)


@pytest.fixture
def customer(settings: Any) -> Customer:
    """A customer with 10 USD and a mark at 5, and a mail server."""
    settings.EMAIL_URL = "smtp://mail.example"
    customer: Customer = factories.CustomerFactory(contact_email="ops@acme.example")
    factories.open_account(customer, funds="10", low_mark=Decimal(5), day_cap=Decimal(10))
    return customer


def hold(customer: Customer, key: str, amount: str) -> None:
    assert ledger.hold(customer_id=customer.pk, key=key, amount=Decimal(amount), funded_seconds=60, now=NOON)


def look(minutes: int = 0) -> None:
    notices.look(now=NOON + timedelta(minutes=minutes))


def listening(customer: Customer, name: str = "Front desk", **more: Any) -> Application:
    application: Application = factories.ApplicationFactory(
        customer=customer, name=name, **{"webhook_events": ["balance.low"], **more}
    )
    return application


def test_tells_each_application_that_lists_the_event(customer: Customer) -> None:
    wanted = [listening(customer), listening(customer, "Back office")]
    listening(customer, "Deaf", webhook_events=["call.ringing"])
    listening(customer, "Gone", is_active=False)
    stranger = factories.CustomerFactory(name="globex")
    factories.open_account(stranger, funds="1", low_mark=Decimal(1))
    listening(stranger)
    hold(customer, "call-1", "5.01")

    look()

    events = list(WebhookEvent.objects.order_by("id"))
    assert [event.application for event in events] == wanted
    body = json.loads(bytes(events[0].body))
    assert (body["event"], body["call"], "sequence" in body) == ("balance.low", None, False)
    assert body["data"] == {
        "posted": "10.00",
        "held": "5.01",
        "available": "4.99",
        "currency": "USD",
        "event_key": f"{customer.public_id}:balance.low:2026-05-29T12:00:00.000Z",
    }


def test_an_account_that_cannot_be_told_holds_up_none_after_it(
    customer: Customer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    broken = listening(customer)
    other = factories.CustomerFactory(name="globex")
    factories.open_account(other, funds="1", low_mark=Decimal(5))
    wanted = listening(other)
    hold(customer, "call-1", "6")
    publish = outbox.publish

    def fail_once(*, application: Application, **more: Any) -> str:
        if application == broken:
            raise RuntimeError("a fault of one account")
        return publish(application=application, **more)

    with monkeypatch.context() as fault:
        fault.setattr(outbox, "publish", fail_once)
        look()
    assert [event.application for event in WebhookEvent.objects.all()] == [wanted]
    assert f"customer {customer.pk} is left to the next look" in caplog.text

    look(1)
    assert {event.application for event in WebhookEvent.objects.all()} == {wanted, broken}


def test_says_nothing_at_the_mark_itself(customer: Customer) -> None:
    listening(customer)
    hold(customer, "call-1", "5")
    look()
    assert not WebhookEvent.objects.exists()


def test_tells_once_per_fall(customer: Customer) -> None:
    listening(customer)
    hold(customer, "call-1", "6")
    look(0)
    look(1)
    assert WebhookEvent.objects.count() == 1

    factories.top_up(customer, "1")  # back at the mark: the next fall is another
    look(2)
    hold(customer, "call-2", "1")
    look(3)
    look(4)
    assert WebhookEvent.objects.count() == 2


def test_a_customer_without_a_mark_is_told_nothing(customer: Customer) -> None:
    Balance.objects.update(low_mark=None, day_cap=None)
    listening(customer)
    hold(customer, "call-1", "10")
    look()
    assert not WebhookEvent.objects.exists()
    assert not Notice.objects.exists()


def test_mails_the_contact_address_and_spares_it_the_next_hour(customer: Customer) -> None:
    Balance.objects.update(day_cap=None)
    listening(customer)
    for minutes in (0, 1, 59):  # an account about its mark
        hold(customer, f"call-{minutes}", "6")
        look(minutes)
        ledger.release(key=f"call-{minutes}", now=NOON)
        look(minutes)
    assert WebhookEvent.objects.count() == 3

    assert post.send(now=NOON) == 1
    assert post.send(now=NOON) == 0
    (letter,) = mail.outbox
    assert (letter.to, letter.subject) == (["ops@acme.example"], "Your balance is low")
    assert letter.body == "Your balance is low: 4.00 USD is available, which is less than 5.00."


def test_mails_at_80_percent_of_the_day_cap_once_a_day(customer: Customer) -> None:
    Balance.objects.update(low_mark=None)
    hold(customer, "call-1", "7.99")
    look()
    assert not Notice.objects.exists()

    hold(customer, "call-2", "0.01")
    for minutes in (1, 2, 24 * 60, 24 * 60 + 1):
        look(minutes)

    assert list(Notice.objects.order_by("day").values_list("kind", "day")) == [
        ("day_cap", NOON.date()),
        ("day_cap", NOON.date() + timedelta(days=1)),
    ]
    assert "8.00 of the daily spend cap of 10.00 USD" in Notice.objects.earliest("day").text


@pytest.mark.parametrize("lacking", ["address", "server"])
def test_mails_nobody_without_an_address_or_a_mail_server(customer: Customer, settings: Any, lacking: str) -> None:
    listening(customer)
    if lacking == "address":
        Customer.objects.update(contact_email="")
    else:
        settings.EMAIL_URL = ""
    hold(customer, "call-1", "10")
    look()
    assert not Notice.objects.exists()
    assert WebhookEvent.objects.count() == 1
