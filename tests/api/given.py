"""What must be so before an example of the documentation can be replayed: the words of its `given`."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.conf import settings
from django.db import connection

from applications.models import ApiKey, Application, Customer
from billing.models import Balance, Rate
from calls import idempotency, rendering
from calls.models import Call
from calls.recordings import recorder
from minivoice import clock
from telephony import link
from telephony.engines.facts import Answer, EngineUnreachable
from telephony.models import Engine, Number, Trunk
from tests import factories
from tests.api.canon import canonical
from tests.calls import steps
from tests.calls.recordings.tape import Tape, kept
from tests.conftest import Actor
from webhooks import deliveries
from webhooks.deliveries import Result
from webhooks.models import WebhookEvent

CALL = {"from": "+15551230001", "to": "+15551230002"}


@dataclass
class Stage:
    """Where an example plays: `names` maps the ids it is written with to those of the rows that stand for them."""

    acme: Actor
    patch: pytest.MonkeyPatch
    until_done: ExitStack
    names: dict[str, str] = field(default_factory=dict)

    def name(self, public_id: str) -> None:
        """Let the id that examples are written with stand for this row."""
        self.names[canonical(public_id)] = public_id


def a_call(stage: Stage) -> None:
    stage.name(steps.place(stage.acme, metadata={"order": 7}).public_id)


def an_ended_call(stage: Stage) -> None:
    engine = steps.FakeEngine()
    stage.patch.setattr(link, "adapter", lambda: engine)
    call, now = steps.dial(stage.acme, metadata={"order": 7}), clock.now()
    steps.answer(call, at=now)
    steps.end(call, at=now + timedelta(seconds=40.5))
    stage.name(call.public_id)


def a_call_that_is_up(stage: Stage) -> None:
    engine = Tape()
    stage.patch.setattr(link, "adapter", lambda: engine)
    call = steps.dial(stage.acme, metadata={"order": 7})
    steps.answer(call, at=clock.now())
    stage.name(call.public_id)


def a_call_that_is_recorded(stage: Stage) -> None:
    a_call_that_is_up(stage)
    recorder.start(call=Call.objects.get(), now=clock.now())


def a_recording(stage: Stage) -> None:
    a_call_that_is_up(stage)
    stage.name(kept(Call.objects.get()).public_id)


def an_engine_that_does_not_record(stage: Stage) -> None:
    stage.patch.setattr(link.adapter(), "fails_with", dict.fromkeys(("snoop", "stop"), EngineUnreachable("frozen")))


def the_key_order_7_used(stage: Stage) -> None:
    answer = stage.acme.client().post("/v1/calls", CALL, format="json", headers={"Idempotency-Key": "order-7"})
    assert answer.status_code == 201


def the_key_order_7_used_for_another(stage: Stage) -> None:
    body = {**CALL, "to": "+15551230003"}
    answer = stage.acme.client().post("/v1/calls", body, format="json", headers={"Idempotency-Key": "order-7"})
    assert answer.status_code == 201


def the_key_order_7_under_way(stage: Stage) -> None:
    twin = connection.copy()
    stage.until_done.callback(twin.close)
    key, application_id = idempotency.Key("order-7", b""), stage.acme.application.pk
    with twin.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(hashtextextended(%s, %s))", [key.text, application_id])


def an_engine_that_takes_nothing(stage: Stage) -> None:
    stage.patch.setattr("minivoice.nudge.wake", lambda task: True)
    stage.patch.setattr("minivoice.nudge.wait", lambda topic, seconds: Answer.REFUSED)


def an_engine_that_is_gone(stage: Stage) -> None:
    Engine.objects.update(seen_at=None)


def a_fault_of_ours(stage: Stage) -> None:
    def broken(row: Any) -> Any:
        raise RuntimeError("the innermost secret")

    stage.patch.setattr(rendering, "call", broken)


def one_call_a_second(stage: Stage) -> None:
    Customer.objects.update(max_cps=1)
    steps.place(stage.acme)
    steps.keep_within_a_second()


def one_call_at_once(stage: Stage) -> None:
    Customer.objects.update(max_concurrent_calls=1)
    steps.place(stage.acme)


def a_key_for_reading(stage: Stage) -> None:
    ApiKey.objects.update(scopes=[])


def a_second_application(stage: Stage) -> None:
    factories.ApplicationFactory(customer=stage.acme.customer, name="Back office")


def a_webhook_url(stage: Stage) -> None:
    Application.objects.update(webhook_url="https://example.com/webhooks")


def an_event(stage: Stage) -> None:
    a_call(stage)
    event = WebhookEvent.objects.get()
    stage.name(event.delivery_id)
    WebhookEvent.objects.update(transaction=1)  # committed, which this test's transaction never is


def a_failed_delivery(stage: Stage) -> None:
    an_event(stage)
    now = clock.now()
    [claim] = deliveries.claim(places=1, now=now)
    failure: dict[str, Any] = {"http_status": 503, "error": "http_503", "response": "upstream is busy"}
    deliveries.note([Result(claim=claim, started_at=now, duration_ms=12, **failure)], now=now)


def an_exhausted_delivery(stage: Stage) -> None:
    a_failed_delivery(stage)
    WebhookEvent.objects.update(status="exhausted", next_attempt_at=None)


def a_second_key(stage: Stage) -> None:
    factories.issue_key(stage.acme.application, "calls")
    stage.name(ApiKey.objects.latest("id").public_id)


def a_number(stage: Stage) -> None:
    stage.name(Number.objects.get(customer=stage.acme.customer).public_id)


def a_trunk(stage: Stage) -> None:
    trunk = factories.TrunkFactory(
        customer=stage.acme.customer,
        name="Our carrier",
        gateway_name="our-carrier",
        proxy="sip.carrier.example",
        inbound_ip="8.8.8.8",
    )
    stage.name(trunk.public_id)


def two_trunks_which_is_the_limit(stage: Stage) -> None:
    factories.TrunkFactory.create_batch(2, customer=stage.acme.customer)
    stage.patch.setattr(settings, "MOST_TRUNKS", 2)


GIVEN: dict[str, Callable[[Stage], Any]] = {
    given.__name__.replace("_", " "): given
    for given in (
        a_call,
        an_ended_call,
        a_call_that_is_up,
        a_call_that_is_recorded,
        a_recording,
        an_engine_that_does_not_record,
        the_key_order_7_used,
        the_key_order_7_used_for_another,
        the_key_order_7_under_way,
        an_engine_that_takes_nothing,
        an_engine_that_is_gone,
        a_fault_of_ours,
        one_call_a_second,
        one_call_at_once,
        a_key_for_reading,
        a_second_application,
        a_webhook_url,
        an_event,
        a_failed_delivery,
        an_exhausted_delivery,
        a_second_key,
        a_number,
        a_trunk,
        two_trunks_which_is_the_limit,
    )
} | {
    "no trunk": lambda stage: Trunk.objects.update(is_active=False),
    "a dear rate": lambda stage: Rate.objects.update(price_per_minute=Decimal(500)),
    "a daily cap of 0.50": lambda stage: Balance.objects.update(day_cap=Decimal("0.50")),
    "a blocked destination": lambda stage: Rate.objects.update(blocked=True),
    "a suspended customer": lambda stage: Customer.objects.update(status=Customer.Status.SUSPENDED),
}
