"""Promises 12 and 13 against a receiver that loses a third of what it is sent, and is down for an hour.

The hours pass by the pump's own clock. Failures are drawn from a seed, by event and attempt, so that a run repeats.
"""

import base64
import hashlib
import hmac
import json
import random
import socket
from collections import defaultdict
from datetime import UTC, datetime, timedelta

import pytest
from django.db.models import Min
from standardwebhooks import Webhook

from tests.webhooks.conftest import SECRET, Publish
from tests.webhooks.receiver import Received, Receiver, respond
from webhooks import pump
from webhooks.models import DeliveryAttempt, WebhookEvent

EVENTS = 120
EVERY = timedelta(minutes=1)
TICK = timedelta(seconds=30)
DOWN_AFTER, DOWN_FOR = timedelta(minutes=30), timedelta(hours=1)
LOSS = 0.3
SEED = 7


class Clock:
    """The time, as this test has it pass: the pump's, and that of the library that verifies."""

    def __init__(self) -> None:
        self.at = self.began_at = datetime(2026, 5, 29, 12, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.at

    def now(self, tz: object = None) -> datetime:
        return self.at

    fromtimestamp = staticmethod(datetime.fromtimestamp)

    @property
    def is_down(self) -> bool:
        return DOWN_AFTER <= self.at - self.began_at < DOWN_AFTER + DOWN_FOR


class LossyReceiver:
    """A reply that verifies each request with an off-the-shelf library and by hand, and then may fail."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._verifier = Webhook("whsec_" + base64.b64encode(SECRET.encode()).decode())
        self.bodies: dict[str, list[bytes]] = defaultdict(list)  # by event id, one for each attempt
        self.kept: set[str] = set()
        self.forged: list[str] = []
        self.refused_when_down = 0

    def __call__(self, request: Received, connection: socket.socket) -> None:
        if self._clock.is_down:
            self.refused_when_down += 1
            raise OSError("down")
        event = json.loads(request.body)
        self.bodies[event["id"]].append(request.body)
        if not self._is_genuine(request, event["id"]):
            self.forged.append(event["id"])
        if failure := self._failure(f"{event['call']['id']} {request.headers['x-minivoice-attempt']}"):
            if failure == "reset":
                raise OSError(failure)
            return respond(int(failure), b"not now")(request, connection)
        self.kept.add(event["id"])
        return respond(204, b"")(request, connection)

    def _is_genuine(self, request: Received, event_id: str) -> bool:
        try:
            self._verifier.verify(request.body, request.headers)
        except Exception:  # noqa: BLE001  whatever it says no with
            return False
        signed = request.headers["x-minivoice-timestamp"].encode() + b"." + request.body
        digest = hmac.new(SECRET.encode(), signed, hashlib.sha256).hexdigest()
        return (
            request.headers["x-minivoice-signature"] == f"v1={digest}"
            and request.headers["webhook-id"] == event_id.replace(".", "_")
            and int(request.headers["x-minivoice-timestamp"]) == int(self._clock.at.timestamp())
        )

    def _failure(self, attempt: str) -> str:
        dice = random.Random(f"{SEED} {attempt}")
        return dice.choice(["500", "503", "302", "reset"]) if dice.random() < LOSS else ""


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("standardwebhooks.webhooks.datetime", clock)
    return clock


def test_a_lossy_receiver_gets_exactly_what_was_published(publish: Publish, receiver: Receiver, clock: Clock) -> None:
    lossy = receiver.reply = LossyReceiver(clock)
    published = {
        event.public_id: bytes(event.body)
        for event in (publish(now=clock.at + number * EVERY) for number in range(EVENTS))
    }

    attempts = _deliver_all(clock)

    assert lossy.kept == set(lossy.bodies) == set(published)
    assert all(set(bodies) == {published[event_id]} for event_id, bodies in lossy.bodies.items())
    assert lossy.forged == []
    assert set(WebhookEvent.objects.values_list("status", flat=True)) == {WebhookEvent.Status.DELIVERED}
    seen = sum(map(len, lossy.bodies.values()))
    assert attempts == seen + lossy.refused_when_down == DeliveryAttempt.objects.count()
    # The receiver was as bad as this test says it is.
    assert 0.2 < 1 - EVENTS / seen < 0.4
    assert lossy.refused_when_down >= DOWN_FOR / EVERY


def _deliver_all(clock: Clock) -> int:
    """Let time pass until nothing is left to send; return the attempts made."""
    attempts = pump.deliver(now=clock)
    while due_at := WebhookEvent.objects.filter(status="pending").aggregate(at=Min("next_attempt_at"))["at"]:
        clock.at = max(due_at, clock.at + TICK)
        attempts += pump.deliver(now=clock)
    return attempts
