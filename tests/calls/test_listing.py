"""`GET /v1/calls` with filters: the right calls. What its pages cost is in `tests/api/test_costs.py`."""

from datetime import datetime, timedelta

import pytest

from calls.models import Call
from minivoice import clock
from tests.calls.steps import place
from tests.conftest import Actor, refusal

pytestmark = pytest.mark.django_db


@pytest.fixture
def five(acme: Actor) -> list[Call]:
    """Five calls of acme, an hour apart, oldest first; the third has failed, the fifth is a leg of the fourth."""
    calls = [place(acme, to_number=f"+1555123100{number}") for number in range(5)]
    began = clock.now() - timedelta(hours=10)
    for number, call in enumerate(calls):
        Call.objects.filter(pk=call.pk).update(accepted_at=began + timedelta(hours=number))
    Call.objects.filter(pk=calls[2].pk).update(
        status="failed", end_reason="busy", ended_at=clock.now(), cost_amount=0, deadline_at=None
    )
    Call.objects.filter(pk=calls[4].pk).update(parent=calls[3])
    return list(Call.objects.order_by("pk"))


def listed(actor: Actor, **query: str) -> list[str]:
    response = actor.client().get("/v1/calls", query)
    assert response.status_code == 200, response.json()
    return [row["id"] for row in response.json()["data"]]


def ids(*calls: Call) -> list[str]:
    return [call.public_id for call in calls]


def text(moment: datetime) -> str:
    return moment.isoformat()


def test_newest_first_and_legs_left_out(acme: Actor, five: list[Call]) -> None:
    assert listed(acme) == ids(five[3], five[2], five[1], five[0])


def test_legs_are_found_by_their_parent(acme: Actor, five: list[Call]) -> None:
    assert listed(acme, parent_call_id=five[3].public_id) == ids(five[4])
    assert listed(acme, parent_call_id=five[0].public_id) == []


def test_by_status_direction_and_number(acme: Actor, five: list[Call]) -> None:
    assert listed(acme, status="failed") == ids(five[2])
    assert listed(acme, status="queued", direction="outbound") == ids(five[3], five[1], five[0])
    assert listed(acme, direction="inbound") == []
    assert listed(acme, to="+15551231001") == ids(five[1])
    assert listed(acme, **{"from": "+15551230001", "to": "+15551231000"}) == ids(five[0])


def test_a_plus_that_was_not_encoded_is_a_plus(acme: Actor, five: list[Call]) -> None:
    response = acme.client().get("/v1/calls?to=+15551231001")

    assert [row["id"] for row in response.json()["data"]] == ids(five[1])


def test_between_two_moments(acme: Actor, five: list[Call]) -> None:
    second, third = (text(five[number].accepted_at) for number in (1, 2))

    assert listed(acme, created_after=second) == ids(five[3], five[2], five[1])
    assert listed(acme, created_before=third) == ids(five[1], five[0])
    assert listed(acme, created_after=second, created_before=third) == ids(five[1])
    assert listed(acme, created_after=text(clock.now())) == []
    assert listed(acme, created_before=text(clock.now())) == ids(five[3], five[2], five[1], five[0])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("status", "over"),
        ("direction", "up"),
        ("from", "5"),
        ("created_after", "yesterday"),
        ("created_after", "2026-05-29T12:00:00"),
        ("created_before", "٢٠٢٦-05-29T12:00:00Z"),
        ("limit", "0"),
        ("limit", "201"),
        ("cursor", "x"),
        ("parent_call_id", "call_\x00"),
    ],
)
def test_a_filter_that_is_none_is_refused_by_name(acme: Actor, name: str, value: str) -> None:
    response = acme.client().get("/v1/calls", {name: value})

    assert refusal(response) == (400, "invalid_request")
    assert response.json()["error"]["param"] == name


def test_other_applications_calls_are_nobodys(acme: Actor, globex: Actor, five: list[Call]) -> None:
    assert listed(globex) == []
    assert listed(globex, parent_call_id=five[3].public_id) == []
    assert listed(globex, to="+15551231001") == []
