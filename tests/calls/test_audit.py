"""What the auditor calls broken, and what only looks so."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import uuid4

import pytest
from django.db import transaction
from django.db.models import F

from applications.models import Application, Customer
from billing import approvals, ledger
from billing.models import Balance, Entry
from billing.rating import Price
from calls import audit
from minivoice import clock
from tests import factories
from webhooks import deliveries, outbox
from webhooks.models import WebhookEvent

pytestmark = pytest.mark.django_db(transaction=True)

NOW = datetime(2026, 5, 29, 12, tzinfo=UTC)
GRANTED = "nothing is granted below zero"
STUCK = "no delivery is lost or stuck past its lease"


@pytest.fixture
def customer() -> Customer:
    """A customer with ten dollars and ten of credit."""
    made: Customer = factories.CustomerFactory()
    factories.open_account(made, funds="10", credit_limit=Decimal(10))
    return made


def breaks(promise: str) -> bool:
    return promise in {finding.promise for finding in audit.run() if finding.violations}


def hold(customer: Customer, amount: str) -> bool:
    return ledger.hold(customer_id=customer.pk, key=str(uuid4()), amount=Decimal(amount), funded_seconds=60, now=NOW)


def adjust(customer: Customer, amount: str) -> Entry:
    return ledger.post(
        customer_id=customer.pk, kind=Entry.Kind.ADJUSTMENT, amount=Decimal(amount), key=str(uuid4()), now=NOW
    )


def set_limit(customer: Customer, limit: str) -> None:
    approvals.set_limit(
        customer_id=customer.pk, credit_limit=Decimal(limit), key=str(uuid4()), staff_id=0, note="", now=NOW
    )


def overdraw(amount: str) -> None:
    Balance.objects.update(held=F("held") + Decimal(amount))


def test_a_limit_cut_under_what_is_held_grants_nothing(customer: Customer) -> None:
    assert hold(customer, "15")
    set_limit(customer, "0")

    assert Balance.objects.get(customer=customer).held == 15
    assert not breaks(GRANTED)


def test_a_correction_below_zero_grants_nothing(customer: Customer) -> None:
    assert hold(customer, "15")
    adjust(customer, "-12")
    assert not breaks(GRANTED)

    assert hold(customer, "0")  # a call that costs nothing is no grant: what is lacking is still explained
    assert not breaks(GRANTED)


@pytest.mark.parametrize("when", ["before the last grant", "after it"])
def test_what_was_corrected_once_hides_no_overdraft(customer: Customer, when: str) -> None:
    adjust(customer, "-5")
    assert hold(customer, "15")
    if when == "after it":
        adjust(customer, "-0.01")
    assert not breaks(GRANTED)

    overdraw("0.000001")
    assert breaks(GRANTED)


def test_an_extension_is_a_grant(customer: Customer) -> None:
    price = Price(Decimal("0.60"), Decimal(0), 60, 60, Decimal(0))
    ledger.hold(customer_id=customer.pk, key="call", amount=Decimal("0.60"), funded_seconds=60, now=NOW)
    adjust(customer, "-5")
    with transaction.atomic():
        account = ledger.lock(customer_id=customer.pk, now=NOW)
        extension = ledger.extend(account=account, key="call", price=price, by_seconds=60, most_seconds=3600)
    assert extension is not None
    assert extension.added == Decimal("0.60")

    overdraw("14")
    assert breaks(GRANTED)


@pytest.fixture
def waiting(customer: Customer) -> Application:
    """An application with 200 events that have waited for two minutes."""
    made: Application = factories.ApplicationFactory(customer=customer, webhook_url="https://acme.example/hook")
    for number in range(200):
        outbox.publish(
            application=made,
            event="call.created",
            call=None,
            call_id=f"call_{number}",
            sequence=1,
            data={},
            now=clock.now() - timedelta(minutes=2),
        )
    return made


def test_what_waits_its_turn_at_a_busy_endpoint_is_not_stuck(waiting: Application) -> None:
    assert breaks(STUCK)

    assert len(deliveries.claim(places=200, now=clock.now())) == 8
    assert not breaks(STUCK)


def test_what_waits_where_nothing_is_sent_any_more_is_stuck(waiting: Application) -> None:
    other = factories.ApplicationFactory(customer=waiting.customer, webhook_url="https://acme.example/other")
    now = clock.now()
    outbox.publish(application=other, event="call.created", call=None, call_id="", sequence=None, data={}, now=now)
    claims = deliveries.claim(places=200, now=now)
    ours = [claim.row_id for claim in claims if claim.application_id == waiting.pk]
    assert (len(claims), len(ours)) == (9, 8)

    # Their worker was killed, and nobody took them over; what is under way at another endpoint changes nothing.
    WebhookEvent.objects.filter(pk__in=ours).update(next_attempt_at=now - timedelta(seconds=1))
    assert breaks(STUCK)
