"""The cast of these tests: acme's application, its receiver, and a way to publish."""

from collections.abc import Callable, Iterator
from datetime import datetime

import pytest
from pytest_django.fixtures import Settings

from applications.models import Application, Customer
from minivoice import clock
from tests.webhooks.receiver import Receiver
from webhooks import outbox
from webhooks.models import WebhookEvent

SECRET = "s3cret-of-acme"

Publish = Callable[..., WebhookEvent]


@pytest.fixture
def receiver(settings: Settings) -> Iterator[Receiver]:
    with Receiver() as started:
        settings.OUTBOUND_ALLOWED = [started.place]
        yield started


@pytest.fixture
def acme(db: None) -> Customer:
    return Customer.objects.create(name="acme")


@pytest.fixture
def application(acme: Customer, receiver: Receiver) -> Application:
    return Application.objects.create(customer=acme, name="acme's", webhook_url=receiver.url, webhook_secret=SECRET)


@pytest.fixture
def publish(application: Application) -> Publish:
    """Publish an event of acme's application, or of another; each of a call of its own."""
    calls = iter(range(1, 1_000_000))

    def publish(
        of: Application | None = None, *, event: str = "call.created", now: datetime | None = None
    ) -> WebhookEvent:
        call_id = f"call_20260529T120000.{next(calls):09d}"
        event_id = outbox.publish(
            application=of or application,
            event=event,
            call={"id": call_id, "to": "+15550001111", "metadata": {"name": "Zoë"}},
            call_id=call_id,
            sequence=1,
            data={},
            now=now or clock.now(),
        )
        return WebhookEvent.objects.get(public_id=event_id)

    return publish
