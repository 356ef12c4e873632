"""Staff at the console, and one of everything for them to look at."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client

from applications.models import Application, Customer
from billing import ledger
from billing.models import DeckVersion, RateDeck
from calls import timeline
from calls.models import Attempt, Call, Reason, Status
from telephony.models import Engine, Trunk
from tests.factories import (
    ApplicationFactory,
    CustomerFactory,
    EngineFactory,
    NumberFactory,
    RateFactory,
    TrunkFactory,
    VersionFactory,
    issue_key,
    open_account,
)
from webhooks.models import DeliveryAttempt, WebhookEvent

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)


@dataclass
class Cast:
    """Rows of every kind, and the secrets among them that no page may show."""

    customer: Customer
    application: Application
    deck: RateDeck
    live: DeckVersion
    draft: DeckVersion
    trunk: Trunk
    engine: Engine
    secrets: list[str] = field(
        default_factory=lambda: ["the-webhook-secret", "the-trunk-password", "the-engine-password"]
    )


@pytest.fixture
def cast(db: None) -> Cast:
    """One customer with money, an application with a key, a trunk, a number, prices."""
    customer = CustomerFactory()
    deck = open_account(customer, funds="10").deck
    live = VersionFactory(deck=deck, effective_from=NOW)
    draft = VersionFactory(deck=deck, effective_from=NOW + timedelta(days=30), state=DeckVersion.State.DRAFT)
    for version in (live, draft):
        RateFactory(version=version, prefix="1555", description="US test")
    application = ApplicationFactory(
        customer=customer, webhook_url="https://acme.example/hook", webhook_secret="the-webhook-secret"
    )
    trunk = TrunkFactory(gateway_name="carrier", password="the-trunk-password")
    engine = EngineFactory(password="the-engine-password")
    NumberFactory(customer=customer, application=application)
    found = Cast(customer, application, deck, live, draft, trunk, engine)
    found.secrets.append(issue_key(application, "calls"))
    return found


def make_call(cast: Cast, number: int = 0, **more: Any) -> Call:
    """A call that rang, was busy, and is over, with its attempt, hold, timeline and webhook."""
    at = NOW + timedelta(seconds=number)
    values = {
        "customer": cast.customer,
        "application": cast.application,
        "trunk": cast.trunk,
        "from_number": "+15551230001",
        "to_number": f"+1555999{number:04}",
        "ring_seconds": 60,
        "max_duration_seconds": 600,
        "accepted_at": at,
        "rate_version_id": cast.live.pk,
        "rate_prefix": "1555",
        "price_per_minute": Decimal("0.012"),
        "connection_fee": Decimal(0),
        "initial_increment": 60,
        "subsequent_increment": 60,
        "minimum_charge": Decimal(0),
        "currency": "USD",
        "funded_seconds": 60,
        "provider_call_id": uuid4(),
        "status": Status.FAILED,
        "ended_at": at + timedelta(seconds=2),
        "end_reason": Reason.BUSY,
        "sip_code": 486,
        "cost_amount": Decimal(0),
        "duration_seconds": 0,
        "billable_seconds": 0,
        "events": 1,
    }
    call = Call.objects.create(**{**values, **more})
    over = call.is_final
    Attempt.objects.create(
        call=call,
        number=1,
        trunk=cast.trunk,
        channel_id=call.provider_call_id or uuid4(),
        state=Attempt.State.ENDED if over else Attempt.State.DUE,
        due_at=at,
        claimed_at=at if over else None,
        ended_at=call.ended_at,
        sip_code=call.sip_code,
    )
    timeline.add(call, "accepted", at=at, hold="0.012", rate={"prefix": "1555"})
    timeline.add(call, "engine_ended", at=at + timedelta(milliseconds=1250), sip_code=486)
    ledger.hold(customer_id=cast.customer.pk, key=call.public_id, amount=Decimal("0.012"), funded_seconds=60, now=at)
    if over:
        ledger.release(key=call.public_id, now=at)
    make_event(cast, call, at)
    return call


def make_event(cast: Cast, call: Call, at: datetime) -> WebhookEvent:
    """A webhook of a call that was answered with 500 once and is due again."""
    event = WebhookEvent.objects.create(
        application=cast.application,
        type="call.failed",
        call_id=call.public_id,
        sequence=1,
        body=json.dumps({"event": "call.failed", "call": {"id": call.public_id}}).encode(),
        created_at=at,
        url="https://acme.example/hook",
        attempts=1,
        next_attempt_at=at + timedelta(seconds=30),
    )
    DeliveryAttempt.objects.create(
        event=event, number=1, started_at=at + timedelta(milliseconds=1300), duration_ms=12, http_status=500
    )
    return event


@pytest.fixture
def root(db: None, client: Client) -> Client:
    """A superuser's browser."""
    client.force_login(User.objects.create_superuser("root"))
    return client


@pytest.fixture
def staff(db: None) -> Callable[..., Client]:
    """Makes the browser of a staff member with these permissions (`app.codename`) and no others."""

    def sign_in(*permissions: str) -> Client:
        user = User.objects.create_user(f"staff-{uuid4().hex[:8]}", is_staff=True)
        for permission in permissions:
            app, _, codename = permission.partition(".")
            user.user_permissions.add(Permission.objects.get(content_type__app_label=app, codename=codename))
        browser = Client()
        browser.force_login(user)
        return browser

    return sign_in
