"""kill -9 of each process once, while twenty calls are under way: every call still ends, and everything adds up."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from calls.models import FINAL, Call
from minivoice.local.stack import Platform
from tests.journeys.receiver import Receiver
from tests.journeys.stage import Integrator, until

CALLS = 20
NUMBERS = ["+15551230001", "+15551230486", "+15551230742", "+15551230902"]  # talks, busy, presses, hangs up
DOCUMENT = {"actions": [{"gather": {"prompt": "Press two keys", "num_digits": 2, "timeout_seconds": 1}}]}


def place(customer: Integrator, number: str) -> None:
    """Create a call as an integrator without idempotency keys does: a lost connection is not tried again."""
    try:
        customer.create(number)
    except requests.ConnectionError:
        return


def is_ready(customer: Integrator) -> bool:
    """Whether the web answers that it can work."""
    try:
        return requests.get(f"{customer.base_url}/readyz", timeout=5).status_code == 200
    except requests.RequestException:  # not there, or not in time
        return False


@pytest.mark.parametrize("name", ["web", "dial", "webhooks", "work", "beat", "switchboard", "engine"])
def test_loses_no_call(hire: Callable[..., Integrator], receiver: Receiver, platform: Platform, name: str) -> None:
    engine = "asterisk" if platform.real_network else "simulator"
    receiver.answers["/menu"] = DOCUMENT
    acme = hire(answer="/menu")

    with ThreadPoolExecutor(8) as threads:
        placing = [threads.submit(place, acme, NUMBERS[number % len(NUMBERS)]) for number in range(CALLS)]
        mine = Call.objects.filter(customer=acme.customer)
        until(lambda: mine.count() >= CALLS // 2, seconds=20, what="half the calls are placed")
        platform.kill(engine if name == "engine" else name)
        for each in placing:
            each.result(timeout=60)

    until(lambda: is_ready(acme), seconds=20, what="the platform is whole again")
    until(lambda: not mine.exclude(status__in=FINAL).exists(), seconds=60, what="all calls have ended")
    until(
        lambda: all(receiver.names(call.public_id)[-1:] == [f"call.{call.status}"] for call in mine),
        seconds=45,
        what="every call's final event arrived",
    )
    assert mine.count() >= CALLS // 2
    assert acme.balance()["held"] == "0.00"
