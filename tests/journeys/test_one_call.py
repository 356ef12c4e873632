"""One call, all the way through: HTTP in, the simulated network, instructions, the charge, webhooks out."""

from collections.abc import Callable
from decimal import Decimal

import pytest

from tests.journeys.receiver import Receiver
from tests.journeys.stage import Integrator, until

GREETING = {
    "actions": [
        {"say": {"text": "Hello"}},
        {"type": "gather", "prompt": "Press two keys", "num_digits": 2, "timeout_seconds": 5},
        {"pause": {"seconds": 0.1}},
        {"hangup": {}},
    ]
}
CALL_EVENTS = ["call.created", "call.answered", "call.gathered", "call.completed"]
DOCUMENTED = [
    *("id", "status", "direction", "from", "to", "application_id", "customer_id", "provider_call_id"),
    *("answer_url", "metadata", "created_at", "route_mode", "routing_target", "dialing_at"),
]


def test_goes_from_create_to_the_last_webhook(hire: Callable[..., Integrator], receiver: Receiver) -> None:
    receiver.answers["/answer"] = GREETING
    acme = hire(funds="10")

    response = acme.create("+15551230742", metadata={"order": "ä 17"}, record=True)

    assert response.status_code == 201, response.text
    created = response.json()
    assert created["status"] in {"dialing", "ringing", "in_progress"}
    assert all(created[name] is not None for name in DOCUMENTED)
    assert created["route_mode"] == "webhook"
    assert created["metadata"] == {"order": "ä 17", "record": True}

    ended = acme.ended(created["id"])
    assert (ended["status"], ended["end_reason"], ended["hangup_by"]) == ("completed", "hangup", "system")
    seconds = ended["duration_seconds"]
    cost = Decimal("0.0085") * (-(-seconds // 6) * 6) / 60
    assert Decimal(ended["cost_amount"]) == cost.quantize(Decimal("0.000001"))
    assert Decimal(acme.balance()["posted"]) == 10 - Decimal(ended["cost_amount"])
    assert acme.balance()["held"] == "0.00"

    until(lambda: len(receiver.names(created["id"])) == 6, seconds=5, what="all six events arrived")
    told = receiver.names(created["id"])
    assert [name for name in told if name.startswith("call.")] == CALL_EVENTS
    assert [name for name in told if name.startswith("recording.")] == ["recording.started", "recording.completed"]
    (gathered,) = [event["data"] for event in receiver.events(created["id"]) if event["event"] == "call.gathered"]
    assert (gathered["digits"], gathered["status"], gathered["timed_out"]) == ("42", "completed", False)
    assert gathered["event_key"] == f"{created['id']}:call.gathered"

    words = acme.timeline(created["id"])
    for word in ("accepted", "dialed", "engine_answered", "answer_url_answered", "gathered", "call_completed"):
        assert word in words
    assert words.count("webhook_attempted") == 6


@pytest.mark.parametrize(
    ("number", "reason", "sip_code"),
    [
        ("+15551230486", "busy", 486),
        ("+15551230404", "invalid_number", 404),
        ("+15551230503", "trunk_failed", 503),
        ("+15551230603", "rejected", 603),
    ],
)
def test_says_why_it_was_refused_and_costs_nothing(
    hire: Callable[..., Integrator], receiver: Receiver, number: str, reason: str, sip_code: int
) -> None:
    acme = hire(funds="1")

    call_id = acme.create(number).json()["id"]

    ended = acme.ended(call_id)
    assert (ended["status"], ended["end_reason"], ended["sip_code"]) == ("failed", reason, sip_code)
    assert acme.balance() == {
        "posted": "1.00",
        "held": "0.00",
        "available": "1.00",
        "credit_limit": "0.00",
        "currency": "USD",
    }
    until(lambda: receiver.names(call_id) == ["call.created", "call.failed"], seconds=5, what="both events")
    assert receiver.events(call_id)[1]["data"]["end_reason"] == reason


def test_rings_no_longer_than_it_was_told(hire: Callable[..., Integrator]) -> None:
    acme = hire()

    call_id = acme.create("+15551230480", timeout_seconds=5).json()["id"]

    ended = acme.ended(call_id)
    assert (ended["status"], ended["end_reason"], ended["cost_amount"]) == ("failed", "no_answer", "0.00")


def test_is_canceled_while_it_rings(hire: Callable[..., Integrator], receiver: Receiver) -> None:
    acme = hire()
    call_id = acme.create("+15551230480").json()["id"]
    until(lambda: acme.call(call_id)["status"] == "ringing", seconds=5, what="it rings")

    assert acme.request("POST", f"/v1/calls/{call_id}/hangup").status_code == 200

    ended = acme.ended(call_id)
    assert (ended["status"], ended["end_reason"], ended["hangup_by"]) == ("canceled", "canceled", "api")
    assert acme.request("POST", f"/v1/calls/{call_id}/hangup").json()["status"] == "canceled"
    until(lambda: receiver.names(call_id) == ["call.created", "call.canceled"], seconds=5, what="both events")


def test_is_hung_up_by_api(hire: Callable[..., Integrator], receiver: Receiver) -> None:
    receiver.answers["/wait"] = {"actions": [{"pause": {"seconds": 60}}]}
    acme = hire(answer="/wait")
    call_id = acme.create("+15551230001").json()["id"]
    until(lambda: acme.call(call_id)["status"] == "in_progress", seconds=5, what="it was answered")

    acme.request("POST", f"/v1/calls/{call_id}/hangup")

    ended = acme.ended(call_id)
    assert (ended["status"], ended["end_reason"], ended["hangup_by"]) == ("completed", "hangup", "api")


def test_is_hung_up_by_the_callee(hire: Callable[..., Integrator], receiver: Receiver) -> None:
    receiver.answers["/wait"] = {"actions": [{"pause": {"seconds": 60}}]}
    acme = hire(answer="/wait")

    ended = acme.ended(acme.create("+15551230902").json()["id"])

    assert (ended["status"], ended["end_reason"], ended["hangup_by"]) == ("completed", "hangup", "callee")
    assert ended["duration_seconds"] in {2, 3}


def test_follows_a_redirect_with_what_was_pressed(hire: Callable[..., Integrator], receiver: Receiver) -> None:
    told: list[dict[str, object]] = []

    def pressed(context: dict[str, object]) -> dict[str, object]:
        told.append(context)
        return {"actions": []}

    receiver.answers["/menu"] = {
        "actions": [
            {"gather": {"prompt": "Press a key", "finish_on_key": "#", "max_digits": 5}},
            {"redirect": {"url": receiver.url("/pressed"), "method": "POST"}},
        ]
    }
    receiver.answers["/pressed"] = pressed
    acme = hire(answer="/menu")

    ended = acme.ended(acme.create("+15551230731").json()["id"])

    assert ended["end_reason"] == "hangup"
    assert [(context["reason"], context["digits"], context["gather_status"]) for context in told] == [
        ("redirect", "31", "completed")
    ]


def test_ends_when_nobody_instructs_it(hire: Callable[..., Integrator], receiver: Receiver) -> None:
    receiver.answers["/broken"] = {"actions": [{"dance": {}}]}
    acme = hire(answer="/broken")

    call_id = acme.create("+15551230001").json()["id"]

    assert acme.ended(call_id)["end_reason"] == "answer_url_failed"
    lines = acme.request("GET", f"/v1/calls/{call_id}/events").json()["data"]
    assert [line["data"]["why"] for line in lines if line["event"] == "answer_url_failed"] == [
        "$.actions[0].dance: unknown action 'dance'"
    ]
