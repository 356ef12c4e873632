"""Tenants are walled off: every door of the API against everything that is another's, from the URL map."""

import itertools
from collections.abc import Mapping
from typing import Any

import pytest
from django.apps import apps

from calls.models import Call
from minivoice import clock
from tests import factories
from tests.api import doors
from tests.api.doors import Door
from tests.calls import steps
from tests.calls.recordings.tape import shown
from tests.conftest import Actor, refusal

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("nobody_dials", "names")]

# What no row is called.
MISSING = {
    "application_id": "app_20200101T000000.000000000",
    "key_id": "key_20200101T000000.000000000",
    "call_id": "call_20200101T000000.000000000",
    "delivery_id": "whd_20200101T000000.000000000",
    "did_id": "did_20200101T000000.000000000",
    "number_e164": "+15550000000",
    "trunk_id": "trunk_20200101T000000.000000000",
    "recording_id": "rec_call_20200101T000000.000000000",
}
NAMING = [door for door in doors.every() if "{" in door.path]
LISTS = [door for door in doors.every() if door.method == "get" and "{" not in door.path]
# Fields of bodies and queries that name a row.
FIELDS = [
    (door, name)
    for door in doors.every()
    for form in (door.operation.body, door.operation.query)
    if isinstance(form, type)
    for name in form().fields
    if name.endswith(("_id", "_target"))
]


@pytest.fixture
def mine(acme: Actor) -> dict[str, str]:
    """Acme's rows by the names that paths have for them."""
    return doors.own(acme)


@pytest.fixture
def theirs(globex: Actor) -> dict[str, str]:
    """The stranger's."""
    return doors.own(globex)


def answer(response: Any) -> tuple[int, dict[str, str], Any]:
    """All that a client sees, but what names the request itself."""
    headers = {name: value for name, value in response.headers.items() if name != "X-Request-Id"}
    body = response.json()
    body.get("error", {}).pop("request_id", None)
    return response.status_code, headers, body


def rows(actor: Actor) -> dict[str, list[Any]]:
    """Everything in the tables that is the actor's, or of its application."""
    found: dict[str, list[Any]] = {}
    for model in apps.get_models():
        for field in model._meta.get_fields():
            owner = {"customer": actor.customer, "application": actor.application}.get(field.name)
            if owner is not None and field.concrete:
                found[f"{model.__name__}.{field.name}"] = list(
                    model._default_manager.filter(**{field.name: owner}).order_by("pk").values()
                )
    return found


@pytest.mark.parametrize("door", NAMING, ids=str)
def test_anothers_row_is_like_none_and_stays_as_it_is(
    door: Door, acme: Actor, globex: Actor, mine: dict[str, str], theirs: dict[str, str]
) -> None:
    named = [name for name in mine if f"{{{name}}}" in door.path]
    before = rows(globex)

    for size in range(1, len(named) + 1):
        for foreign in itertools.combinations(named, size):
            missing = door.knock(acme, mine | {name: MISSING[name] for name in foreign})
            another = door.knock(acme, mine | {name: theirs[name] for name in foreign})
            assert refusal(another)[0] == 404
            assert answer(another) == answer(missing)

    assert rows(globex) == before
    assert door.knock(acme, mine).status_code < 300


@pytest.mark.parametrize("door", [door for door in NAMING if "{call_id}" in door.path], ids=str)
def test_a_call_of_the_customers_other_application_is_like_none(door: Door, acme: Actor, mine: dict[str, str]) -> None:
    beside = another_application(acme)
    call = steps.dial(beside)
    steps.answer(call, at=clock.now())

    missing = door.knock(acme, mine | {"call_id": MISSING["call_id"]})
    another = door.knock(acme, mine | {"call_id": call.public_id})

    assert refusal(another) == (404, "call_not_found")
    assert answer(another) == answer(missing)
    assert rows(beside)["Call.application"] == list(Call.objects.filter(pk=call.pk).values())
    assert door.knock(beside, mine | {"call_id": call.public_id}).status_code < 300


def test_a_key_is_found_only_under_its_own_application(acme: Actor, mine: dict[str, str]) -> None:
    beside = another_application(acme)
    client = acme.client()

    another = client.delete(f"/v1/applications/{beside.application.public_id}/keys/{mine['key_id']}")

    assert refusal(another) == (404, "not_found")
    assert client.delete(f"/v1/applications/{mine['application_id']}/keys/{mine['key_id']}").status_code == 200


@pytest.mark.parametrize("door", LISTS, ids=str)
def test_no_list_and_no_sum_shows_what_is_anothers(
    door: Door, acme: Actor, globex: Actor, mine: dict[str, str], theirs: dict[str, str]
) -> None:
    before = door.knock(acme, mine).content
    beside = another_application(acme)
    other_call = steps.place(beside, metadata={"whose": "another application's"})
    for _ in range(3):
        steps.place(globex)
        factories.top_up(globex.customer, "5")

    text = door.knock(acme, mine).content.decode()

    strangers = [*theirs.values(), globex.customer.public_id]
    assert [name for name in strangers if name in text and name not in mine.values()] == []
    assert other_call.public_id not in text
    if str(door) not in {"list_applications", "get_balance"}:  # the customer's own has grown
        assert text == before.decode()


@pytest.mark.parametrize("door", [door for door in doors.every() if door.is_list], ids=str)
def test_anothers_cursor_leads_into_ones_own_list(
    door: Door, acme: Actor, globex: Actor, mine: dict[str, str], theirs: dict[str, str]
) -> None:
    several(acme)
    several(globex)
    client, path = acme.client(), door.address(mine)
    stranger = globex.client().get(f"{door.address(theirs)}?limit=1").json()
    own_ids = ids(client.get(path).json())

    shown = client.get(f"{path}?cursor={stranger['next_cursor']}").json()

    assert stranger["next_cursor"]
    assert len(own_ids) > 1
    assert set(ids(shown)) <= set(own_ids)
    assert not set(ids(shown)) & set(ids(globex.client().get(door.address(theirs)).json()))


@pytest.mark.parametrize(("door", "field"), FIELDS, ids=str)
def test_a_field_that_names_anothers_row_is_like_one_that_names_none(
    door: Door, field: str, acme: Actor, globex: Actor, mine: dict[str, str], theirs: dict[str, str]
) -> None:
    for actor, named in ((acme, mine), (globex, theirs)):
        leg = Call.objects.filter(pk=steps.place(actor).pk)
        leg.update(parent=Call.objects.get(public_id=named["call_id"]))
    before = rows(globex)

    for kind, changes in NAMED_BY[f"{door}.{field}"]:
        another, missing = (send(door, acme, mine, {field: those[kind], **changes}) for those in (theirs, MISSING))
        assert answer(another) == answer(missing)
        own = send(door, acme, mine, {field: mine[kind], **changes})
        assert own.status_code == 200
        assert answer(own) != answer(missing)

    assert rows(globex) == before


# What each field of FIELDS can name, and what else the request must say for it to be looked at.
NAMED_BY: dict[str, list[tuple[str, dict[str, Any]]]] = {
    "list_calls.parent_call_id": [("call_id", {})],
    "list_deliveries.call_id": [("call_id", {})],
    "update_did.application_id": [("application_id", {"route_mode": "webhook", "routing_target": None})],
    "update_did.routing_target": [("application_id", {"route_mode": "webhook"})],
}


def test_every_field_that_names_a_row_is_tried() -> None:
    assert {f"{door}.{field}" for door, field in FIELDS} == set(NAMED_BY)


@pytest.mark.parametrize("door", [door for door in doors.every() if door.operation.is_idempotent], ids=str)
def test_anothers_idempotency_key_is_a_new_one(door: Door, acme: Actor, globex: Actor, mine: dict[str, str]) -> None:
    actors = [acme, another_application(acme), globex]
    globex.customer.caller_id_policy = "any"
    globex.customer.save()
    headers = {"Idempotency-Key": "the-same"}

    answers = [actor.client().post(door.path, door.body, format="json", headers=headers) for actor in actors]

    assert [response.status_code for response in answers] == [201, 201, 201]
    assert not any(response.has_header("Idempotent-Replayed") for response in answers)
    assert len({response.json()["id"] for response in answers}) == 3


def send(door: Door, actor: Actor, names: Mapping[str, str], fields: dict[str, Any]) -> Any:
    """The request with these fields, in its body or in its query."""
    return door.knock(actor, names, **fields) if door.body is not None else actor.client().get(door.path, fields)


def test_a_recording_of_the_customers_other_application_is_like_none(acme: Actor) -> None:
    theirs = doors.own(another_application(acme))["recording_id"]
    client = acme.client()

    for path in (f"/v1/recordings/{theirs}", f"/v1/recordings/{theirs}/audio"):
        assert refusal(client.get(path)) == (404, "not_found")
    assert refusal(client.delete(f"/v1/recordings/{theirs}")) == (404, "not_found")


def another_application(actor: Actor) -> Actor:
    """The same customer's, with a key."""
    beside = factories.ApplicationFactory(customer=actor.customer, name="Back office")
    return Actor(actor.customer, beside, factories.issue_key(beside))


def several(actor: Actor) -> None:
    """Two more of everything that is listed."""
    for number in range(2):
        another_application(actor)
        factories.issue_key(actor.application)
        factories.TrunkFactory(customer=actor.customer)
        factories.NumberFactory(
            customer=actor.customer, number_e164=f"+1555{actor.customer.pk % 10**5:05d}{number:02d}"
        )
        factories.top_up(actor.customer, "1")
        shown(actor.customer.call_set.earliest("id"))
        steps.place(actor)


def ids(page: dict[str, Any]) -> list[str]:
    return [row["id"] for row in page["data"]]
