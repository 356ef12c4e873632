"""A customer's numbers over HTTP: /v1/dids."""

from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext

from telephony.models import Number
from tests import factories
from tests.conftest import Actor, refusal

pytestmark = pytest.mark.django_db

DOCUMENTED = {
    *("id", "customer_id", "application_id", "number_e164", "provider", "status", "route_mode"),
    *("created_at", "updated_at"),
}
NOT_ONE_OF_YOURS = "must be an E.164 number or sip:user@host of one of your trunks"


@pytest.fixture
def number(acme: Actor) -> Number:
    return Number.objects.get(customer=acme.customer)


def change(actor: Actor, number: Number, **body: Any) -> Any:
    return actor.client().patch(f"/v1/dids/{number.public_id}", body, format="json")


def test_shows_a_number_with_the_documented_fields(acme: Actor, number: Number) -> None:
    body = acme.client().get(f"/v1/dids/{number.public_id}").json()

    assert set(body) == DOCUMENTED | {"routing_target"}
    assert body["number_e164"] == "+15551230001"
    assert (body["provider"], body["status"], body["route_mode"]) == (None, "active", "webhook")
    assert body["customer_id"] == acme.customer.public_id
    assert body["application_id"] == body["routing_target"] == acme.application.public_id
    for spelling in ("+15551230001", "%2B15551230001"):
        assert acme.client().get(f"/v1/dids/by-number/{spelling}").json() == body
    assert acme.client().get("/v1/dids").json() == {"data": [body], "count": 1, "next_cursor": None}


def test_a_number_out_of_use_says_so(acme: Actor, number: Number) -> None:
    Number.objects.update(is_active=False, provider="Carrier", application=None)

    body = acme.client().get(f"/v1/dids/{number.public_id}").json()

    assert (body["status"], body["provider"]) == ("inactive", "Carrier")
    assert body["application_id"] is body["routing_target"] is None


def test_strangers_numbers_are_not_there(acme: Actor, globex: Actor, number: Number) -> None:
    client = globex.client()
    assert client.get("/v1/dids").json()["data"] == []
    ids = (number.public_id, "did_20260101T000000.000000000", "by-number", "%00")
    paths = [f"/v1/dids/{did_id}" for did_id in ids]
    paths += [f"/v1/dids/by-number/{text}" for text in ("+15551230001", "+15551239999", "15551230001", "x%00", "+")]
    for path in paths:
        response = client.get(path)
        assert refusal(response) == (404, "not_found")
        assert response.json()["error"]["message"] == "DID not found"
    assert refusal(change(globex, number, route_mode="reject")) == (404, "not_found")


def test_a_number_without_its_plus_is_not_found(acme: Actor) -> None:
    assert refusal(acme.client().get("/v1/dids/by-number/15551230001")) == (404, "not_found")


def test_changing_a_route_needs_the_scope_manage(acme: Actor, number: Number) -> None:
    limited = Actor(acme.customer, acme.application, factories.issue_key(acme.application, "calls"))
    assert refusal(change(limited, number, route_mode="reject")) == (403, "scope_required")


def test_leads_to_another_application_of_the_customer_by_either_name(acme: Actor, number: Number) -> None:
    second = factories.ApplicationFactory(customer=acme.customer)

    for field in ("application_id", "routing_target"):
        Number.objects.update(application=acme.application)
        body = change(acme, number, **{field: second.public_id}).json()
        assert body["application_id"] == body["routing_target"] == second.public_id
        assert Number.objects.get().application == second
    assert change(acme, number).json() == body


def test_rejects_and_comes_back_to_its_application(acme: Actor, number: Number) -> None:
    rejecting = change(acme, number, route_mode="reject").json()
    assert (rejecting["route_mode"], rejecting["routing_target"]) == ("reject", None)
    assert rejecting["application_id"] == acme.application.public_id

    answered = change(acme, number, route_mode="webhook").json()
    assert answered["routing_target"] == acme.application.public_id


@pytest.mark.parametrize(
    ("proxy", "target"),
    [
        ("sip.acme.example", "+15551230002"),
        ("sip.acme.example", "sip:front.desk+1@SIP.acme.example"),
        ("sip.acme.example", "sip:1000@sip.acme.example:5060"),
        ("sip.acme.example:5080", "sip:1000@sip.acme.example"),
        ("sip.acme.example:5080", "sip:1000@sip.acme.example:5080"),
        ("[2606:4700:4700::1111]", "sip:1000@[2606:4700:4700::1111]"),
    ],
)
def test_forwards_to_a_number_or_to_a_host_of_the_customers_own_trunk(
    acme: Actor, number: Number, proxy: str, target: str
) -> None:
    factories.TrunkFactory(customer=acme.customer, proxy=proxy)

    body = change(acme, number, route_mode="sip", routing_target=target).json()

    assert (body["route_mode"], body["routing_target"]) == ("sip", target)
    assert body["application_id"] == acme.application.public_id
    nobodys = change(acme, number, application_id=None)  # every caller would hear that there is no such number
    assert (refusal(nobodys), nobodys.json()["error"]["param"]) == ((400, "invalid_request"), "application_id")
    assert change(acme, number, route_mode="reject", application_id=None).json()["application_id"] is None
    nobodys = change(acme, number, route_mode="sip", routing_target=target)
    assert (refusal(nobodys), nobodys.json()["error"]["param"]) == ((400, "invalid_request"), "application_id")
    back = change(acme, number, route_mode="webhook", application_id=acme.application.public_id).json()
    assert (back["route_mode"], back["routing_target"]) == ("webhook", acme.application.public_id)
    assert Number.objects.get().routing_target == ""


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("sip:1000@sip.globex.example", NOT_ONE_OF_YOURS),
        ("sip:1000@carrier.example", NOT_ONE_OF_YOURS),
        ("sip:1000@127.0.0.1", NOT_ONE_OF_YOURS),
        ("sip:1000@gone.acme.example", NOT_ONE_OF_YOURS),
        ("sip:1000@sip.acme.example:5081", NOT_ONE_OF_YOURS),
        ("sip:1000@sip.acme.example\r\n", NOT_ONE_OF_YOURS),
        ("sip:1000@sip.acme.example;transport=tcp", NOT_ONE_OF_YOURS),
        ("15551230002", NOT_ONE_OF_YOURS),
        ("+1555\u0661\u0662\u0663\u0660\u0660\u0660\u0662", NOT_ONE_OF_YOURS),
        ("+15551230001", "must not be the number itself"),
        ("", "is required when route_mode is sip"),
        (None, "is required when route_mode is sip"),
    ],
)
def test_forwards_nowhere_else_and_changes_nothing(
    acme: Actor, globex: Actor, number: Number, target: str | None, message: str
) -> None:
    factories.TrunkFactory(customer=acme.customer, proxy="sip.acme.example")
    factories.TrunkFactory(customer=globex.customer, proxy="sip.globex.example")
    Number.objects.update(route_mode="sip", routing_target="+15551230002")

    response = change(acme, number, routing_target=target)

    assert refusal(response) == (400, "invalid_request")
    error = response.json()["error"]
    assert (error["param"], error["message"]) == ("routing_target", f"routing_target {message}")
    assert Number.objects.get().routing_target == "+15551230002"


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"route_mode": "forward"}, "route_mode"),
        ({"route_mode": "reject", "routing_target": "+15551230002"}, "routing_target"),
        ({"application_id": None}, "application_id"),
        ({"application_id": "app_20260101T000000.000000000"}, "application_id"),
        ({"application_id": 5}, "application_id"),
        ({"application_id": "globex's"}, "application_id"),
        ({"routing_target": "globex's"}, "routing_target"),
        ({"routing_target": "inactive"}, "routing_target"),
        ({"routing_target": "second", "application_id": "first"}, "routing_target"),
        ({"routing_target": "+15551230002"}, "routing_target"),
    ],
)
def test_refuses_what_is_wrong_and_changes_nothing(
    acme: Actor, globex: Actor, number: Number, body: dict[str, Any], param: str
) -> None:
    named = {
        "globex's": globex.application.public_id,
        "inactive": factories.ApplicationFactory(customer=acme.customer, is_active=False).public_id,
        "first": acme.application.public_id,
        "second": factories.ApplicationFactory(customer=acme.customer).public_id,
    }

    response = change(acme, number, **{name: named.get(value, value) for name, value in body.items()})

    assert refusal(response) == (400, "invalid_request")
    assert response.json()["error"]["param"] == param
    unchanged = Number.objects.get()
    assert (unchanged.route_mode, unchanged.application) == ("webhook", acme.application)


@pytest.mark.parametrize("wrong", [{"route_mode": "sip"}, {"routing_target": "+15551230002"}])
def test_the_database_refuses_nonsense(number: Number, wrong: dict[str, str]) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        Number.objects.update(**wrong)


def test_a_list_of_ten_asks_as_often_as_a_list_of_one(acme: Actor) -> None:
    few = queries(acme)
    for last in range(10, 19):
        factories.NumberFactory(customer=acme.customer, application=acme.application, number_e164=f"+155512300{last}")
    assert acme.client().get("/v1/dids").json()["count"] == 10
    assert queries(acme) == few


def queries(actor: Actor) -> int:
    with CaptureQueriesContext(connection) as captured:
        actor.client().get("/v1/dids")
    return len(captured)
