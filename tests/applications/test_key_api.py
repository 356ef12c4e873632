"""POST and GET /v1/applications/:id/keys, DELETE …/keys/:key_id: rotation without downtime, walls, leaks undone."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from threading import Event
from typing import Any

import pytest
from django.db import connection, transaction

from applications import keys
from applications.models import ApiKey, Application
from minivoice import clock, errors
from tests import factories
from tests.conftest import Actor, actor, refusal
from tests.locks import wait_for_a_lock

pytestmark = pytest.mark.django_db

SHOWN = {"id", "name", "prefix", "last_four", "scopes", "created_at", "last_used_at", "revoked_at"}


def path(application: Application) -> str:
    return f"/v1/applications/{application.public_id}/keys"


def issue(issuer: Actor, application: Application | None = None, **body: Any) -> Any:
    return issuer.client().post(path(application or issuer.application), body, format="json")


def issued(issuer: Actor, **body: Any) -> tuple[str, Actor]:
    """Issue a key; return its id, and who signs in with it."""
    made = issue(issuer, **body).json()
    return made["id"], Actor(issuer.customer, issuer.application, made["api_key"])


def revoke(by: Actor, key_id: str, query: str = "") -> Any:
    return by.client().delete(f"{path(by.application)}/{key_id}{query}")


def works(who: Actor) -> bool:
    status: int = who.client().get("/v1/balance").status_code
    assert status in {200, 401}
    return status == 200


def test_issues_a_key_that_works_and_is_shown_once(acme: Actor) -> None:
    response = issue(acme, name="nightly job")

    made = response.json()
    assert response.status_code == 201
    assert set(made) == SHOWN | {"api_key"}
    assert made["id"].startswith("key_")
    assert (made["name"], made["scopes"], made["last_used_at"]) == ("nightly job", ["calls", "manage"], None)
    assert made["api_key"].startswith(made["prefix"])
    assert made["api_key"].endswith(made["last_four"])
    assert works(Actor(acme.customer, acme.application, made["api_key"]))
    listed = acme.client().get(path(acme.application))
    assert made["api_key"] not in listed.content.decode()


def test_a_key_belongs_to_the_application_in_the_path(acme: Actor) -> None:
    other = factories.ApplicationFactory(customer=acme.customer)

    made = issue(acme, other).json()

    caller = keys.recognise(made["api_key"])
    assert caller is not None
    assert caller.application == other


@pytest.mark.parametrize(
    ("own", "wanted", "given"),
    [
        (["manage"], None, ["manage"]),
        (["calls", "manage"], None, ["calls", "manage"]),
        (["calls", "manage"], ["calls"], ["calls"]),
        (["calls", "manage"], ["calls", "calls"], ["calls"]),
        (["manage"], [], []),
    ],
)
def test_gives_the_scopes_that_are_named_or_its_own(
    acme: Actor, own: Sequence[str], wanted: list[str] | None, given: list[str]
) -> None:
    issuer = Actor(acme.customer, acme.application, factories.issue_key(acme.application, *own))

    assert issue(issuer, scopes=wanted).json()["scopes"] == given


def test_gives_no_scope_that_it_lacks(acme: Actor) -> None:
    issuer = Actor(acme.customer, acme.application, factories.issue_key(acme.application, "manage"))

    assert refusal(issue(issuer, scopes=["calls"])) == (403, "scope_required")
    assert ApiKey.objects.count() == 2


@pytest.mark.parametrize("scopes", ["calls", ["everything"], [None], {"calls": True}, 5])
def test_refuses_scopes_there_are_not(acme: Actor, scopes: object) -> None:
    response = issue(acme, scopes=scopes)

    assert refusal(response) == (400, "invalid_request")
    assert response.json()["error"]["param"] == "scopes"
    assert ApiKey.objects.count() == 1


def test_issues_no_key_for_an_application_that_is_deactivated(acme: Actor) -> None:
    gone = factories.ApplicationFactory(customer=acme.customer, is_active=False)

    assert refusal(issue(acme, gone)) == (400, "invalid_request")


def test_lists_the_keys_newest_first_with_what_became_of_them(acme: Actor) -> None:
    key_id, second = issued(acme, name="second")
    assert works(second)
    revoke(acme, key_id)

    newest, oldest = acme.client().get(path(acme.application)).json()["data"]

    assert set(newest) == set(oldest) == SHOWN
    assert (newest["id"], newest["name"]) == (key_id, "second")
    assert newest["last_used_at"] is not None
    assert newest["revoked_at"] is not None
    assert oldest["revoked_at"] is None


def test_a_revoked_key_stops_at_once_and_keeps_its_time(acme: Actor) -> None:
    key_id, second = issued(acme)
    _, third = issued(second)

    first_answer = revoke(acme, key_id)
    again = revoke(acme, key_id)

    assert first_answer.status_code == 200
    assert first_answer.json() == again.json()
    assert not works(second)
    assert works(third)
    assert works(acme)


def test_revokes_what_was_issued_with_it_and_with_those(acme: Actor) -> None:
    stolen_id, stolen = issued(acme)
    second_id, second = issued(stolen)
    _, third = issued(second)
    application = stolen.client().post("/v1/applications", {"name": "the thief's"}, format="json").json()
    fourth = Actor(acme.customer, acme.application, application["api_key"])
    revoke(acme, second_id)  # a gap in the middle does not save the third
    assert [works(who) for who in (stolen, second, third, fourth)] == [True, False, True, True]
    gap_at = ApiKey.objects.get(public_id=second_id).revoked_at

    assert revoke(acme, stolen_id, "?issued=true").status_code == 200

    assert [works(who) for who in (stolen, second, third, fourth)] == [False] * 4
    assert works(acme)
    assert ApiKey.objects.get(public_id=second_id).revoked_at == gap_at


def test_issued_is_true_or_false(acme: Actor) -> None:
    key_id, second = issued(acme)

    response = revoke(acme, key_id, "?issued=yes")

    assert refusal(response) == (400, "invalid_request")
    assert response.json()["error"]["param"] == "issued"
    assert works(second)


@pytest.mark.django_db(transaction=True)
def test_a_key_that_is_being_revoked_leaves_no_child_behind(acme: Actor) -> None:
    """Issuing and revoking wait for each other: a key committed a moment before is revoked, one after is refused."""
    thief = keys.recognise(issued(acme)[1].key)
    assert thief is not None
    stolen = ApiKey.objects.get(pk=thief.key_id)
    is_issued = Event()

    def revoke_meanwhile() -> None:
        is_issued.wait(10)
        keys.revoke(stolen, with_issued=True, now=clock.now())
        connection.close()

    with ThreadPoolExecutor() as pool:
        revoking = pool.submit(revoke_meanwhile)
        with transaction.atomic():
            _, child = keys.issue_with(thief, application=acme.application)
            is_issued.set()
            wait_for_a_lock()
        revoking.result(10)

    assert keys.recognise(child) is None
    with pytest.raises(errors.Unauthorized):
        keys.issue_with(thief, application=acme.application)


@pytest.mark.parametrize("scope", ["calls"])
def test_keys_are_issued_and_revoked_with_the_scope_manage(acme: Actor, scope: str) -> None:
    weak = Actor(acme.customer, acme.application, factories.issue_key(acme.application, scope))
    key_id, second = issued(acme)

    assert refusal(issue(weak)) == (403, "scope_required")
    assert refusal(revoke(weak, key_id)) == (403, "scope_required")
    assert works(second)
    assert weak.client().get(path(acme.application)).status_code == 200


def test_another_customers_keys_are_not_there(acme: Actor) -> None:
    globex = actor("globex", funds="0")
    key_id, second = issued(globex)
    own_id, _ = issued(acme)

    assert refusal(issue(acme, globex.application)) == (404, "not_found")
    assert refusal(acme.client().get(path(globex.application))) == (404, "not_found")
    for application, key in (
        (globex.application, key_id),
        (acme.application, key_id),
        (globex.application, own_id),
        (acme.application, "key_20260529T120000.000000000"),
        (acme.application, "%00"),
    ):
        assert refusal(acme.client().delete(f"{path(application)}/{key}")) == (404, "not_found")
    assert works(second)


def used_at(who: Actor) -> datetime | None:
    return ApiKey.objects.get(digest=keys.digest(who.key)).last_used_at


def test_keeps_when_a_key_was_last_used_to_the_minute(acme: Actor, django_assert_num_queries: Any) -> None:
    _, second = issued(acme)
    assert used_at(second) is None
    with django_assert_num_queries(3):  # who is it, note it, the balance
        works(second)
    first_at = used_at(second)
    assert first_at is not None
    with django_assert_num_queries(2):
        works(second)
    assert used_at(second) == first_at

    ApiKey.objects.update(last_used_at=clock.now() - timedelta(seconds=61))
    works(second)

    noted_at = used_at(second)
    assert noted_at is not None
    assert noted_at >= first_at


def test_a_key_that_is_refused_was_not_used(acme: Actor) -> None:
    _, second = issued(acme)
    acme.customer.status = "suspended"
    acme.customer.save()

    assert refusal(second.client().get("/v1/balance")) == (403, "account_suspended")
    assert used_at(second) is None


@pytest.mark.django_db(transaction=True)
def test_noting_a_use_waits_for_nobody(acme: Actor) -> None:
    """A row that somebody has locked is left alone: the next minute will do."""
    _, second = issued(acme)

    with ThreadPoolExecutor() as pool, transaction.atomic():
        ApiKey.objects.select_for_update().get(digest=keys.digest(second.key))
        assert pool.submit(works_and_closes, second).result(10)

    assert used_at(second) is None


def works_and_closes(who: Actor) -> bool:
    try:
        return works(who)
    finally:
        connection.close()
