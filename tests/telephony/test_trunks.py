"""A customer's own trunks over HTTP: /v1/trunks."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext

from calls.models import Attempt
from minivoice import clock, errors
from telephony import routing, trunks
from telephony.models import Trunk
from tests import factories
from tests.calls.steps import latest, place
from tests.conftest import Actor, refusal

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("names")]

DOCUMENTED = {
    *("id", "customer_id", "name", "direction", "gateway_name", "proxy", "username"),
    *("is_active", "created_at", "updated_at"),
}
OURS = {
    *("realm", "from_domain", "inbound_ip", "inbound_ip_active", "transport", "srtp", "codecs", "registers"),
    *("priority", "allowed_prefixes", "max_channels", "max_cps", "state", "state_reason"),
}
CALL = {"from": "+15551230001", "to": "+15551230002"}
FULL = {
    "name": "Carrier One",
    "proxy": "sip.acme.example:5080",
    "username": "acme",
    "password": "the-sip-password",
    "realm": "Carrier Realm",
    "from_domain": "acme.example",
    "inbound_ip": "8.8.8.8",
    "gateway_name": "one",
}


def create(actor: Actor, **body: Any) -> Any:
    return actor.client().post("/v1/trunks", {"name": "x", "proxy": "sip.acme.example"} | body, format="json")


def routed(actor: Actor, number: str) -> bool:
    return bool(routing.outbound_trunks(customer_id=actor.customer.pk, number=number))


def change(actor: Actor, trunk: dict[str, Any], **body: Any) -> Any:
    return actor.client().patch(f"/v1/trunks/{trunk['id']}", body, format="json")


def test_makes_a_trunk_with_the_documented_fields(acme: Actor) -> None:
    response = create(acme, **FULL)

    body = response.json()
    assert response.status_code == 201
    assert set(body) == DOCUMENTED | OURS
    given = {name: value for name, value in FULL.items() if name != "password"}
    assert {name: body[name] for name in given} == given
    assert body["customer_id"] == acme.customer.public_id
    assert (body["direction"], body["is_active"], body["inbound_ip_active"]) == ("outbound", True, False)
    assert acme.client().get(f"/v1/trunks/{body['id']}").json() == body
    assert acme.client().get("/v1/trunks").json() == {"data": [body], "count": 1, "next_cursor": None}


def test_the_password_is_kept_encrypted_and_shown_nowhere(acme: Actor) -> None:
    made = create(acme, **FULL)
    path = f"/v1/trunks/{made.json()['id']}"
    changed = acme.client().patch(path, {"password": "another-password"}, format="json")
    answers = [made, changed, acme.client().get(path), acme.client().get("/v1/trunks")]
    assert [answer.status_code for answer in answers] == [201, 200, 200, 200]
    for answer in answers:
        assert not {"the-sip-password", "another-password"} & set(answer.content.decode().split('"'))
        assert "password" not in answer.content.decode()
    assert Trunk.objects.get(name="Carrier One").password == "another-password"
    with connection.cursor() as cursor:
        cursor.execute("SELECT password FROM telephony_trunk WHERE name = 'Carrier One'")
        assert "password" not in cursor.fetchone()[0]


def test_makes_a_gateway_name_of_the_name_when_none_is_given(acme: Actor) -> None:
    made = [create(acme, name="Zürich, our 1st!").json()["gateway_name"] for _ in range(2)]
    assert made[0] == "zurich-our-1st"
    assert made[1].startswith("zurich-our-1st-")
    assert create(acme, name="日本").json()["gateway_name"] == "trunk"


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [("gateway_name", "one", "gateway_name_exists"), ("inbound_ip", "8.8.8.8", "inbound_ip_exists")],
)
def test_a_customer_has_each_gateway_name_and_inbound_address_once(
    acme: Actor, globex: Actor, field: str, value: str, code: str
) -> None:
    first = create(acme, **{field: value}).json()
    second = create(acme).json()

    for response in (create(acme, **{field: value}), change(acme, second, **{field: value})):
        assert refusal(response) == (409, code)
        assert response.json()["error"]["param"] == field
    assert create(globex, **{field: value}).status_code == 201  # another customer's never show
    assert change(acme, first, **{field: value}).status_code == 200
    assert acme.client().delete(f"/v1/trunks/{first['id']}").status_code == 204
    assert change(acme, second, **{field: value}).status_code == 200


def test_a_trunk_with_prefixes_takes_only_numbers_that_begin_so(acme: Actor) -> None:
    made = create(acme, allowed_prefixes=["1555", "44", "44"]).json()
    assert made["allowed_prefixes"] == ["1555", "44"]
    reached = [number for number in ("+15551230002", "+442079460000", "+4930123456") if routed(acme, number)]
    assert reached == ["+15551230002", "+442079460000"]

    changed = change(acme, made, allowed_prefixes=["49"]).json()
    assert changed["allowed_prefixes"] == ["49"]
    assert routed(acme, "+4930123456")
    assert refusal(acme.client().post("/v1/calls", CALL, format="json")) == (400, "no_active_trunk")

    assert change(acme, made, name="renamed").json()["allowed_prefixes"] == ["49"]
    assert change(acme, made, allowed_prefixes=[]).json()["allowed_prefixes"] == []
    assert routed(acme, "+15551230002")


@pytest.mark.parametrize(
    "prefixes",
    ["1555", {"1555": 1}, [1555], ["+1555"], ["0044"], [""], ["1" * 16], ["15\n"], ["١٥"], [None], ["1"] * 1001],
)
def test_refuses_prefixes_that_are_not_lists_of_digits(acme: Actor, prefixes: Any) -> None:
    response = create(acme, allowed_prefixes=prefixes)
    assert refusal(response) == (400, "invalid_request")
    assert response.json()["error"]["param"] == "allowed_prefixes"
    assert not Trunk.objects.filter(customer=acme.customer).exists()


def test_a_customer_has_so_many_trunks_and_no_more(acme: Actor, globex: Actor, settings: Any) -> None:
    settings.MOST_TRUNKS = 2
    first, _ = create(acme).json(), create(acme).json()

    response = create(acme)

    assert refusal(response) == (409, "trunk_limit_reached")
    assert response.json()["error"]["message"] == "the limit of 2 trunks is reached"
    assert create(globex).status_code == 201
    assert acme.client().delete(f"/v1/trunks/{first['id']}").status_code == 204
    assert create(acme).status_code == 201


@pytest.mark.django_db(transaction=True)
def test_of_many_that_would_be_the_last_trunk_one_is_made(acme: Actor, settings: Any) -> None:
    settings.MOST_TRUNKS = 3
    for _ in range(2):
        create(acme)

    def one_more(number: int) -> int:
        try:
            return int(create(acme, name=f"trunk {number}").status_code)
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as threads:
        answers = Counter(threads.map(one_more, range(8)))

    assert answers == {201: 1, 409: 7}


def test_two_customers_with_one_gateway_name_have_two_endpoints_on_the_engine(acme: Actor, globex: Actor) -> None:
    for actor in (acme, globex):
        assert create(actor, gateway_name="main").status_code == 201
    ours, theirs = (
        routing.outbound_trunks(customer_id=actor.customer.pk, number="+15551230002") for actor in (acme, globex)
    )
    assert [route.is_own for route in (*ours, *theirs)] == [True, True]
    assert ours[0].endpoint == Trunk.objects.get(pk=ours[0].trunk_id).public_id
    assert ours[0].endpoint != theirs[0].endpoint


def test_a_platform_trunk_keeps_its_gateway_name_on_the_engine(acme: Actor) -> None:
    platform = Trunk.objects.get(customer=None)
    assert platform.endpoint == platform.gateway_name


def test_changes_only_what_is_given_and_null_clears(acme: Actor) -> None:
    made = create(acme, **FULL).json()

    changed = change(acme, made, name="Two", username=None, inbound_ip=None, gateway_name=None, is_active=None).json()

    cleared = {"name": "Two", "username": None, "inbound_ip": None, "updated_at": changed["updated_at"]}
    assert changed == made | cleared
    assert changed["updated_at"] > made["updated_at"]
    assert change(acme, made).json() == changed
    assert Trunk.objects.get(name="Two").password == "the-sip-password"
    assert change(acme, made, password=None).status_code == 200
    assert Trunk.objects.get(name="Two").password == ""


def test_a_deleted_trunk_is_out_of_sight_and_use_but_not_of_history(acme: Actor, acme_trunk: dict[str, Any]) -> None:
    call = place(acme)
    path = f"/v1/trunks/{acme_trunk['id']}"

    assert acme.client().delete(path).status_code == 204

    for response in (acme.client().get(path), change(acme, acme_trunk, name="x"), acme.client().delete(path)):
        assert refusal(response) == (404, "not_found")
        assert response.json()["error"]["message"] == "trunk not found"
    assert acme.client().get("/v1/trunks").json()["data"] == []
    assert latest(call).trunk.public_id == acme_trunk["id"]
    assert [route.is_own for route in routing.outbound_trunks(customer_id=acme.customer.pk, number="+15551")] == [False]
    assert Attempt.objects.filter(trunk__public_id=acme_trunk["id"]).exists()


def test_an_inactive_trunk_takes_no_call(acme: Actor, acme_trunk: dict[str, Any]) -> None:
    assert change(acme, acme_trunk, is_active=False).json()["is_active"] is False
    assert [route.is_own for route in routing.outbound_trunks(customer_id=acme.customer.pk, number="+15551")] == [False]


def test_a_customer_cannot_enable_what_support_has_disabled(acme: Actor, acme_trunk: dict[str, Any]) -> None:
    """Once the customer's word and support's were one column, and the last one counted."""
    trunk = Trunk.objects.get(public_id=acme_trunk["id"])
    assert trunks.switch(trunk=trunk, is_active=False, now=clock.now())

    for changes in ({"is_active": True}, {"is_active": True, "name": "Other"}):
        response = change(acme, acme_trunk, **changes)
        assert refusal(response) == (400, "invalid_request")
        assert response.json()["error"]["param"] == "is_active"
    kept = change(acme, acme_trunk, is_active=False, name="Mine").json()
    assert (kept["is_active"], kept["name"]) == (False, "Mine")
    assert [route.is_own for route in routing.outbound_trunks(customer_id=acme.customer.pk, number="+15551")] == [False]

    assert trunks.switch(trunk=trunk, is_active=True, now=clock.now())
    for is_active in (False, True):
        assert change(acme, acme_trunk, is_active=is_active).json()["is_active"] is is_active


def test_support_may_disable_what_its_customer_has_out_of_use(acme: Actor, acme_trunk: dict[str, Any]) -> None:
    trunk = Trunk.objects.get(public_id=acme_trunk["id"])
    change(acme, acme_trunk, is_active=False)

    assert [trunks.switch(trunk=trunk, is_active=False, now=clock.now()) for _ in range(2)] == [True, False]

    assert refusal(change(acme, acme_trunk, is_active=True)) == (400, "invalid_request")


def test_strangers_and_platform_trunks_are_not_there(acme: Actor, globex: Actor, acme_trunk: dict[str, Any]) -> None:
    assert globex.client().get("/v1/trunks").json()["data"] == []
    for trunk_id in (acme_trunk["id"], Trunk.objects.get(customer=None).public_id, "trunk_20260101T000000.0", "\x00"):
        client, path = globex.client(), f"/v1/trunks/{trunk_id}"
        for response in (client.get(path), client.patch(path, {"name": "mine"}, format="json"), client.delete(path)):
            assert refusal(response) == (404, "not_found")
    assert acme.client().get(f"/v1/trunks/{acme_trunk['id']}").json() == acme_trunk


def test_changes_need_the_scope_manage(acme: Actor, acme_trunk: dict[str, Any]) -> None:
    limited = Actor(acme.customer, acme.application, factories.issue_key(acme.application, "calls"))
    path = f"/v1/trunks/{acme_trunk['id']}"

    for response in (create(limited), change(limited, acme_trunk, name="x"), limited.client().delete(path)):
        assert refusal(response) == (403, "scope_required")
    assert limited.client().get(path).json() == acme_trunk


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"name": ""}, "name"),
        ({"name": "n" * 101}, "name"),
        ({"proxy": None}, "proxy"),
        ({"proxy": 5060}, "proxy"),
        ({"username": "acme\r\nVia: evil"}, "username"),
        ({"username": "a,b"}, "username"),
        ({"username": "${SHELL(id)}"}, "username"),
        ({"username": "acme\n"}, "username"),
        ({"username": "u" * 101}, "username"),
        ({"password": "with blank"}, "password"),
        ({"password": "with,comma"}, "password"),
        ({"password": "${ENV(PATH)}"}, "password"),
        ({"password": "tab\t"}, "password"),
        ({"password": "пароль"}, "password"),
        ({"realm": 'a"b'}, "realm"),
        ({"realm": "r" * 256}, "realm"),
        ({"from_domain": "acme.example;x=y"}, "from_domain"),
        ({"from_domain": "-acme.example"}, "from_domain"),
        ({"gateway_name": "a b"}, "gateway_name"),
        ({"gateway_name": "a/b"}, "gateway_name"),
        ({"gateway_name": ""}, "gateway_name"),
        ({"inbound_ip": "sip.acme.example"}, "inbound_ip"),
        ({"inbound_ip": ""}, "inbound_ip"),
        ({"inbound_ip": "8.8.8.0/24"}, "inbound_ip"),
        ({"is_active": 1}, "is_active"),
    ],
)
def test_refuses_what_is_wrong_and_changes_nothing(acme: Actor, body: dict[str, Any], param: str) -> None:
    response = create(acme, **body)

    assert refusal(response) == (400, "invalid_request")
    assert response.json()["error"]["param"] == param
    assert response.json()["error"]["message"].startswith(f"{param} ")
    assert Trunk.objects.filter(customer=acme.customer).count() == 0


def test_an_inbound_address_waits_for_staff_and_again_when_it_changes(acme: Actor) -> None:
    made = create(acme, inbound_ip="2606:4700:4700:0:0::1111").json()
    assert (made["inbound_ip"], made["inbound_ip_active"]) == ("2606:4700:4700::1111", False)

    assert approve(made)
    assert change(acme, made, name="renamed", inbound_ip="2606:4700:4700::1111").json()["inbound_ip_active"] is True
    assert change(acme, made, inbound_ip="8.8.8.8").json()["inbound_ip_active"] is False


def test_an_inbound_address_is_active_on_one_trunk_only(acme: Actor, globex: Actor) -> None:
    ours, theirs = (create(actor, inbound_ip="8.8.8.8").json() for actor in (acme, globex))
    assert approve(ours)

    with pytest.raises(errors.InboundIpExists):
        approve(theirs)
    assert acme.client().delete(f"/v1/trunks/{ours['id']}").status_code == 204
    assert approve(theirs)


def test_an_address_that_changed_after_staff_saw_it_is_not_approved(acme: Actor) -> None:
    made = create(acme, inbound_ip="8.8.8.8").json()
    seen = Trunk.objects.get(public_id=made["id"])
    change(acme, made, inbound_ip="8.8.8.9")

    assert not trunks.approve_inbound_ip(trunk=seen, inbound_ip="8.8.8.8", now=clock.now())
    assert Trunk.objects.get(pk=seen.pk).inbound_ip_approved_at is None


@pytest.mark.parametrize(
    "wrong",
    [{"inbound_ip": None, "inbound_ip_approved_at": "2026-01-01T00:00Z"}, {"deleted_at": "2026-01-01T00:00Z"}],
)
def test_the_database_refuses_nonsense(acme_trunk: dict[str, Any], wrong: dict[str, Any]) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        Trunk.objects.filter(public_id=acme_trunk["id"]).update(**wrong)


def test_a_list_of_ten_asks_as_often_as_a_list_of_one(acme: Actor, acme_trunk: dict[str, Any]) -> None:
    few = queries(acme)
    for number in range(9):
        factories.TrunkFactory(customer=acme.customer, gateway_name=f"more-{number}")
    assert acme.client().get("/v1/trunks").json()["count"] == 10
    assert queries(acme) == few


def approve(trunk: dict[str, Any]) -> bool:
    row = Trunk.objects.get(public_id=trunk["id"])
    return trunks.approve_inbound_ip(trunk=row, inbound_ip=trunk["inbound_ip"], now=clock.now())


def queries(actor: Actor) -> int:
    with CaptureQueriesContext(connection) as captured:
        actor.client().get("/v1/trunks")
    return len(captured)
