"""Calls over HTTP: the object, the list, the hangup, and who sees what."""

from datetime import timedelta
from typing import Any

import pytest

from calls.models import Call
from minivoice import clock
from tests import factories
from tests.calls.steps import FakeEngine, answer, dial, end, place
from tests.conftest import Actor, refusal

pytestmark = pytest.mark.django_db

UUID = "1b4e28ba-2fa1-4d2f-9c3b-6a0e5d7c8f10"  # as an engine names a channel
FIELDS = {
    "id", "status", "direction", "from", "to", "application_id", "customer_id", "provider_call_id", "answer_url",
    "metadata", "created_at", "route_mode", "routing_target", "dialing_at", "ringing_at", "answered_at", "ended_at",
    "duration_seconds", "billable_seconds", "cost_amount", "cost_currency", "end_reason", "hangup_by", "sip_code",
    "trunk_id",
}  # fmt: skip


def create(actor: Actor, **body: Any) -> Any:
    usual = {"from": "+15551230001", "to": "+15551230002"}
    return actor.client().post("/v1/calls", {**usual, **body}, format="json")


def show(actor: Actor, call: Call) -> Any:
    return actor.client().get(f"/v1/calls/{call.public_id}")


def test_a_new_call_has_every_documented_field(acme: Actor) -> None:
    body = create(acme, metadata={"order": 7}, answer_url="https://example.test/a").json()

    call = Call.objects.get()
    assert body == {
        **dict.fromkeys(FIELDS),
        "id": call.public_id,
        "status": "queued",
        "direction": "outbound",
        "from": "+15551230001",
        "to": "+15551230002",
        "application_id": acme.application.public_id,
        "customer_id": acme.customer.public_id,
        "answer_url": "https://example.test/a",
        "metadata": {"order": 7},
        "created_at": clock.text(call.accepted_at),
        "route_mode": "webhook",
        "routing_target": acme.application.public_id,
    }


def test_an_ended_call_tells_what_it_was_and_cost(acme: Actor, engine: FakeEngine) -> None:
    call, now = dial(acme), clock.now()
    answer(call, at=now)
    end(call, at=now + timedelta(seconds=40.5))

    body = show(acme, call).json()

    assert set(body) == FIELDS
    assert (body["status"], body["end_reason"], body["hangup_by"]) == ("completed", "hangup", "callee")
    assert (body["duration_seconds"], body["billable_seconds"]) == (41, 60)
    assert (body["cost_amount"], body["cost_currency"]) == ("0.60", "USD")
    assert body["answered_at"] == clock.text(now)
    assert body["provider_call_id"] == str(call.provider_call_id)


def test_record_is_kept_as_metadata(acme: Actor) -> None:
    assert create(acme, record=True, metadata={"a": 1}).json()["metadata"] == {"a": 1, "record": True}
    assert create(acme, record=False, metadata={"a": 1}).json()["metadata"] == {"a": 1}


def test_an_application_id_in_the_body_is_ignored(acme: Actor, globex: Actor) -> None:
    body = create(acme, application_id=globex.application.public_id).json()

    assert body["application_id"] == acme.application.public_id


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"from": None}, "from"),
        ({"from": "5551230001"}, "from"),
        ({"to": None}, "to"),
        ({"to": 15551230002}, "to"),
        ({"to": "+1555123000\n"}, "to"),
        ({"metadata": []}, "metadata"),
        ({"record": "yes"}, "record"),
        ({"timeout_seconds": 4}, "timeout_seconds"),
        ({"timeout_seconds": 121}, "timeout_seconds"),
        ({"max_duration_seconds": 0}, "max_duration_seconds"),
        ({"max_duration_seconds": 14_401}, "max_duration_seconds"),
        ({"answer_url": "http://127.0.0.1/"}, "answer_url"),
    ],
)
def test_refuses_a_wrong_field_by_name(acme: Actor, body: dict[str, Any], param: str) -> None:
    response = create(acme, **body)

    assert refusal(response) == (400, "invalid_request")
    assert response.json()["error"]["param"] == param
    assert not Call.objects.exists()


def test_hanging_up_a_queued_call_cancels_it_once_and_for_free(acme: Actor) -> None:
    call = place(acme)
    url = f"/v1/calls/{call.public_id}/hangup"

    first, second = acme.client().post(url), acme.client().post(url)

    assert (first.status_code, second.status_code) == (200, 200)
    assert first.json() == second.json()
    assert (first.json()["status"], first.json()["end_reason"]) == ("canceled", "canceled")
    assert (first.json()["hangup_by"], first.json()["cost_amount"]) == ("api", "0.00")


def test_hanging_up_asks_the_engine_and_waits_for_its_word(acme: Actor, engine: FakeEngine) -> None:
    call = dial(acme)

    body = acme.client().post(f"/v1/calls/{call.public_id}/hangup").json()

    assert body["status"] == "dialing"
    assert engine.hung_up == [str(call.provider_call_id)]


def test_needs_the_scope_calls_to_place_and_to_hang_up_but_not_to_read(acme: Actor) -> None:
    call = place(acme)
    manager = Actor(acme.customer, acme.application, factories.issue_key(acme.application, "manage"))

    assert refusal(create(manager)) == (403, "scope_required")
    assert refusal(manager.client().post(f"/v1/calls/{call.public_id}/hangup")) == (403, "scope_required")
    assert show(manager, call).status_code == 200


def test_lists_the_applications_calls_newest_first(acme: Actor) -> None:
    older, newer = place(acme), place(acme)

    listed = acme.client().get("/v1/calls").json()

    assert [row["id"] for row in listed["data"]] == [newer.public_id, older.public_id]
    assert listed["count"] == 2


def test_a_list_of_calls_takes_no_query_for_each(acme: Actor, django_assert_num_queries: Any) -> None:
    for _ in range(3):
        place(acme)

    with django_assert_num_queries(2):
        acme.client().get("/v1/calls")


def test_the_timeline_is_in_the_order_things_happened(acme: Actor, engine: FakeEngine) -> None:
    call, now = dial(acme), clock.now()
    answer(call, at=now)
    end(call, at=now + timedelta(seconds=1))

    lines = acme.client().get(f"/v1/calls/{call.public_id}/events").json()["data"]

    kinds = [line["event"] for line in lines]
    assert kinds == ["accepted", "dialed", "engine_answered", "engine_ended", "call_completed"]
    assert [set(line) for line in lines] == [{"at", "event", "data"}] * len(lines)


@pytest.fixture
def sister(acme: Actor) -> Actor:
    """Another application of the same customer."""
    application = factories.ApplicationFactory(customer=acme.customer)
    return Actor(acme.customer, application, factories.issue_key(application))


@pytest.mark.parametrize("stranger", ["globex", "sister"])
@pytest.mark.parametrize(("method", "suffix"), [("GET", ""), ("GET", "/events"), ("POST", "/hangup")])
def test_anothers_call_is_as_missing_as_one_that_never_was(
    acme: Actor, request: pytest.FixtureRequest, stranger: str, method: str, suffix: str
) -> None:
    client = request.getfixturevalue(stranger).client()
    call = place(acme)
    there, nowhere = (
        client.generic(method, f"/v1/calls/{call_id}{suffix}", headers={"X-Request-Id": "the-same-id"})
        for call_id in (call.public_id, call.public_id[:-3] + "xyz")
    )

    assert refusal(there) == (404, "call_not_found")
    assert (there.content, dict(there.headers)) == (nowhere.content, dict(nowhere.headers))
    call.refresh_from_db()
    assert (call.status, call.intent) == ("queued", "")


@pytest.mark.parametrize("stranger", ["globex", "sister"])
def test_anothers_calls_are_not_listed_nor_reached_by_cursor(
    acme: Actor, request: pytest.FixtureRequest, stranger: str
) -> None:
    for _ in range(3):
        place(acme)
    client = request.getfixturevalue(stranger).client()
    cursor = acme.client().get("/v1/calls?limit=1").json()["next_cursor"]

    assert client.get("/v1/calls").json()["data"] == []
    assert client.get("/v1/calls", {"cursor": cursor}).json()["data"] == []


@pytest.mark.parametrize("call_id", ["x", "1", "..", "%00", "%ff", "call_%0a", "ü", "a" * 2000, UUID])
def test_any_text_in_place_of_an_id_is_a_call_not_found(acme: Actor, call_id: str) -> None:
    assert refusal(acme.client().get(f"/v1/calls/{call_id}")) == (404, "call_not_found")


def test_the_walls_stand_for_the_first_row_too(acme: Actor) -> None:
    call = place(acme)

    assert refusal(acme.client().get(f"/v1/calls/{call.pk}")) == (404, "call_not_found")
