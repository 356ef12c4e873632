"""Digits of a `sensitive` gather are in the next request's body, and then nowhere: database, logs, events, answers."""

from collections.abc import Callable

import pytest
import requests

from calls.models import Call
from minivoice.local.stack import Platform
from tests.api.test_secrets import dump
from tests.journeys.receiver import Receiver
from tests.journeys.stage import Integrator, until

SECRET_DIGITS, PLAIN_DIGITS = "736251849", "918273645"


@pytest.fixture
def press(platform: Platform) -> Callable[[str, str], None]:
    """Press keys on a call's far end."""
    if platform.real_network:
        pytest.skip("those who press here are the simulator's")

    def press(call_id: str, digits: str) -> None:
        channel = str(Call.objects.get(public_id=call_id).provider_call_id)
        address = f"{platform.facts['simulator_url']}/simulator/digits"
        requests.post(address, json={"channel_id": channel, "digits": digits}, timeout=5).raise_for_status()

    return press


def test_secret_digits_are_told_once_and_kept_nowhere(
    hire: Callable[..., Integrator], receiver: Receiver, platform: Platform, press: Callable[[str, str], None]
) -> None:
    gather = {"num_digits": 9, "timeout_seconds": 30}
    paid = {"redirect": {"url": receiver.url("/paid"), "method": "POST"}}
    receiver.answers["/card"] = {"actions": [{"gather": {**gather, "sensitive": True}}, paid]}
    receiver.answers["/paid"] = {"actions": [{"gather": gather}, {"say": {"text": "Thank you."}}]}
    acme = hire(answer="/card")

    call_id = acme.create("+15551230001").json()["id"]
    for count, digits in ((1, SECRET_DIGITS), (3, PLAIN_DIGITS)):
        until(lambda n=count: acme.timeline(call_id).count("action_started") == n, seconds=20, what="it waits for keys")  # type: ignore[misc]
        press(call_id, digits)
    acme.ended(call_id)
    until(lambda: receiver.names(call_id)[-1:] == ["call.completed"], seconds=10, what="the last event arrived")

    asked = [item for item in receiver.received if item.path == "/paid" and item.body["call_id"] == call_id]
    assert [item.body["digits"] for item in asked] == [SECRET_DIGITS]
    kept = "\n".join([dump().decode(), everything_logged(platform), everything_told(acme, receiver, call_id)])
    assert PLAIN_DIGITS in kept
    assert SECRET_DIGITS not in kept
    assert SECRET_DIGITS.encode().hex() not in kept


def everything_logged(platform: Platform) -> str:
    """Return what any process of the platform has written to its log."""
    logs = [path.read_text(errors="replace") for path in (platform.state / "logs").rglob("*") if path.is_file()]
    assert logs
    return "\n".join(logs)


def everything_told(acme: Integrator, receiver: Receiver, call_id: str) -> str:
    """Return the call's webhooks, and what the API answers of it."""
    answers = [acme.request("GET", f"/v1/calls/{call_id}{path}").text for path in ("", "/events")]
    feed = acme.request("GET", "/v1/events").text
    return "\n".join([*answers, feed, *map(str, receiver.events(call_id))])
