"""What the console says of calls that are not kept any more."""

from datetime import timedelta
from decimal import Decimal

from django.db import transaction
from django.test import Client

from billing import ledger
from billing.models import Entry
from billing.rating import Price
from calls.models import Call
from minivoice import clock
from tests.console.conftest import Cast
from tests.console.pages import address


def test_a_call_that_is_deleted_is_said_to_be_so(root: Client, cast: Cast) -> None:
    page = root.get(address(Call, "change", "call_20250101T000000.000000000"), follow=True)

    assert page.redirect_chain == [(address(Call, "changelist"), 302)]
    assert "There is no call call_20250101T000000.000000000 here. Calls are kept for 396 days" in page.content.decode()


def test_an_entry_says_that_its_call_is_deleted(root: Client, cast: Cast) -> None:
    old, young = charge(cast, days=397), charge(cast, days=395)

    shown = {entry.pk: root.get(address(Entry, "change", entry.pk)).content.decode() for entry in (old, young)}

    assert f"{old.call_id} (deleted: calls are kept for 396 days)" in shown[old.pk]
    assert address(Call, "change", old.call_id) not in shown[old.pk]
    assert address(Call, "change", young.call_id) in shown[young.pk]


def charge(cast: Cast, *, days: int) -> Entry:
    """Charge a call of a minute so many days ago; return its entry."""
    at, key = clock.now() - timedelta(days=days), f"call_{days}"
    price = Price(Decimal("0.6"), Decimal(0), 60, 60, Decimal(0))
    with transaction.atomic():
        ledger.hold(customer_id=cast.customer.pk, key=key, amount=Decimal("0.6"), funded_seconds=60, now=at)
        ledger.settle(key=key, price=price, milliseconds=60_000, now=at)
    return Entry.objects.get(call_id=key)
