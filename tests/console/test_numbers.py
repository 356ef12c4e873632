"""Telephone numbers at the console: in full for staff who need them, masked on every page for the others."""

import json
from decimal import Decimal

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client

from billing import ledger
from billing.models import Approval, Entry
from calls import timeline
from calls.models import Call
from telephony.models import Number
from tests.console.conftest import NOW, Cast, make_call
from tests.console.pages import address, every_page
from webhooks.models import DeliveryAttempt, WebhookEvent

# The digits that a mask hides, with those around them
NUMBERS = ["+15551230001", "+15559990001", "+15557770742", "15556660742", "sip:carol@pbx.example"]
NOTED = "told +1 (555) 888-0742, tel:5558880743"


@pytest.fixture
def call(cast: Cast) -> Call:
    """A call whose numbers stand in every place that staff look at."""
    cast.customer.verified_caller_ids = ["+15557770742"]
    cast.customer.save()
    Number.objects.update(route_mode="sip", routing_target="sip:carol@pbx.example")
    call = make_call(cast, 1)
    timeline.add(call, "leg_accepted", at=NOW, leg="call_x", **{"from": "15556660742", "to": "sip:carol@pbx.example"})
    timeline.add(call, "leg_refused", at=NOW, to="+15557770742", message="+15557770742 is blocked")
    body = {"event": "call.failed", "call": {"from": "+15551230001", "to": "15556660742"}}
    WebhookEvent.objects.update(body=json.dumps(body).encode())
    DeliveryAttempt.objects.update(response="nobody at +15559990001")
    moved = {"customer_id": cast.customer.pk, "amount": Decimal(1), "note": NOTED, "now": NOW}
    ledger.post(kind=Entry.Kind.REFUND, key="refund", call_id=call.public_id, **moved)
    asker = User.objects.create_user("somebody else")
    Approval.objects.create(
        customer=cast.customer, kind="top_up", amount=1, key="asked", note=NOTED, asked_by=asker, created_at=NOW
    )
    return call


def browser(*, sees_numbers: bool) -> Client:
    """One who may do anything at all, but for seeing numbers perhaps."""
    user = User.objects.create_user("ada", is_staff=True)
    user.user_permissions.set(Permission.objects.exclude(codename="" if sees_numbers else "see_numbers"))
    client = Client()
    client.force_login(user)
    return client


def test_whoever_need_not_see_numbers_sees_none_on_any_page(call: Call) -> None:
    ada = browser(sees_numbers=False)
    pages = dict(every_page(ada))
    for model, term in ((Call, "+15559990001"), (Number, "+15551230001")):
        url = address(model, "changelist")
        pages[f"{url}?q={term}"] = ada.get(url, {"q": term}).content.decode().replace(f'value="{term}"', "")

    assert len(pages) > 40
    assert {
        url: number for url, page in pages.items() for number in [*NUMBERS, "888-0742", "5558880743"] if number in page
    } == {}
    noted = {url for url, page in pages.items() if "told +1555•••0742, tel:5558•••743" in page}
    assert noted >= {address(Call, "change", call.pk), address(Entry, "changelist"), address(Approval, "changelist")}
    assert "+1555•••0001" in pages[address(Call, "changelist")]
    assert "sip:c•••@pbx.example" in pages[address(Call, "change", call.pk)]


def test_whoever_needs_them_sees_them(call: Call) -> None:
    seen = "".join(page for _, page in every_page(browser(sees_numbers=True)))

    assert [number for number in NUMBERS if number not in seen] == []
    assert "•••" not in seen


def test_a_form_saved_without_its_numbers_keeps_them(cast: Cast) -> None:
    number = Number.objects.get()
    page = address(Number, "change", number.pk)
    data = {
        "route_mode": "webhook",
        "provider": "carrier",
        "is_active": "on",
        "application": cast.application.pk,
        "inbound_price_per_minute": "0",
        "inbound_connection_fee": "0",
        "inbound_initial_increment": "60",
        "inbound_subsequent_increment": "60",
        "reason": "ported",
    }

    assert browser(sees_numbers=False).post(page, data).status_code == 302
    number.refresh_from_db()
    assert (number.number_e164, number.provider) == ("+15551230001", "carrier")
