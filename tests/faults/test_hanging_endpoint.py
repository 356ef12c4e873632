"""One of ten endpoints hangs: a hundred events in `make test`, a thousand in `make faults`, and calls meanwhile."""

import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

import pytest

from applications.models import Application
from calls.models import Status
from tests import factories
from tests.journeys.crowd import FULL, Crowd
from tests.journeys.receiver import SECRET, Receiver
from tests.journeys.stage import until
from tests.stillness import Stillness
from webhooks.models import DeliveryAttempt

EVENTS, CALLS = (1000, 50) if FULL else (100, 10)
ENDPOINTS = 10
WITHIN_SECONDS = 2.0
DIALLED_WITHIN_SECONDS = 1.0  # on a machine that does much else


@pytest.fixture
def hanging(receiver: Receiver) -> Iterator[str]:
    """The path of an endpoint that answers nothing as long as the test lasts."""
    over = threading.Event()

    def hang(_: dict[str, Any]) -> dict[str, Any]:
        over.wait(60)
        return {}

    receiver.answers["/hanging"] = hang
    yield "/hanging"
    over.set()


@pytest.mark.timeout(240)
def test_the_others_first_attempts_and_dialling_go_on_as_ever(
    crowd: Crowd, receiver: Receiver, hanging: str, stillness: Stillness
) -> None:
    arrived: dict[str, float] = {}
    paths = [hanging, *(f"/quick-{number}" for number in range(1, ENDPOINTS))]
    for path in paths[1:]:
        receiver.answers[path] = lambda body: arrived.setdefault(body["id"], time.time()) and {}
    applications = [
        factories.ApplicationFactory(
            customer=crowd.customer.customer, webhook_url=receiver.url(path), webhook_secret=SECRET
        )
        for path in paths
    ]

    created = send_events(crowd, [application.public_id for application in applications])
    placed = crowd.place(*["+15551230001"] * CALLS)
    crowd.wait_for(placed, Status.IN_PROGRESS)
    hung = {event for event, path in created.items() if path[1] == applications[0].public_id}
    quick = {event: at for event, (at, _) in created.items() if event not in hung}
    until(lambda: len(arrived) == len(quick), seconds=30, what="the others' events arrived")

    assert len(hung) == EVENTS // ENDPOINTS
    assert p95([arrived[event] - at - stillness.seconds(at, arrived[event]) for event, at in quick.items()]) < (
        WITHIN_SECONDS
    )
    assert is_hanging(applications[0])
    waits = [
        (call.dialing_at - call.accepted_at).total_seconds() - stillness.seconds(call.accepted_at, call.dialing_at)
        for call in crowd.calls(placed)
        if call.dialing_at
    ]
    assert len(waits) == CALLS
    assert p95(waits) < DIALLED_WITHIN_SECONDS
    crowd.end_all()


def send_events(crowd: Crowd, applications: Sequence[str]) -> dict[str, tuple[float, str]]:
    """Publish all events, to each application in turn; return when each was created (Unix seconds), and whose it is."""

    def send(number: int) -> tuple[str, tuple[float, str]]:
        application = applications[number % len(applications)]
        response = crowd.customer.request("POST", f"/v1/applications/{application}/test-event")
        assert response.status_code == 201, response.text
        body = response.json()
        return body["event_id"], (datetime.fromisoformat(body["created_at"]).timestamp(), application)

    with ThreadPoolExecutor(4) as threads:
        return dict(threads.map(send, range(EVENTS)))


def is_hanging(application: Application) -> bool:
    """Whether the endpoint took nothing, and is asked all the same."""
    errors = DeliveryAttempt.objects.filter(event__application=application).values_list("error", flat=True)
    return set(errors) <= {"read_timeout"} and application.events.filter(attempts__gt=0, status="pending").exists()


def p95(seconds: Sequence[float]) -> float:
    """The figure that 95 of 100 stay below."""
    return sorted(seconds)[int(len(seconds) * 0.95)]
