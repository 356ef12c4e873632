"""GET, PATCH and DELETE /v1/applications/:id."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from applications.models import Application
from calls.models import Call
from tests import factories
from tests.calls.steps import place
from tests.conftest import Actor, refusal

pytestmark = pytest.mark.django_db

FILLED = {
    "name": "Front desk",
    "answer_url": "https://example.test/answer",
    "answer_method": "GET",
    "fallback_url": "https://example.test/fallback",
    "webhook_url": "https://example.test/hook",
    "webhook_events": ["call.ringing"],
}


@pytest.fixture
def application(acme: Actor) -> Application:
    """Another application of acme's, with everything set."""
    return factories.ApplicationFactory(customer=acme.customer, webhook_secret="a-secret-of-acme", **FILLED)


def path(application: Application) -> str:
    return f"/v1/applications/{application.public_id}"


def change(actor: Actor, application: Application, **body: Any) -> Any:
    return actor.client().patch(path(application), body, format="json")


def test_shows_what_is_set_and_not_the_secret(acme: Actor, application: Application) -> None:
    response = acme.client().get(path(application))

    shown = response.json()
    assert response.status_code == 200
    assert shown.items() >= FILLED.items()
    assert (shown["id"], shown["customer_id"]) == (application.public_id, acme.customer.public_id)
    assert "a-secret-of-acme" not in response.content.decode()


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "Bäckerei ☎"},
        {"answer_url": "https://example.test/other", "answer_method": "POST"},
        {"webhook_events": []},
        {"webhook_events": ["balance.low", "call.created"]},
        {},
    ],
)
def test_changes_what_is_given_and_nothing_else(acme: Actor, application: Application, changes: dict[str, Any]) -> None:
    response = change(acme, application, **changes)

    assert response.status_code == 200
    assert response.json().items() >= (FILLED | changes).items()
    assert response.json() == acme.client().get(path(application)).json()
    assert Application.objects.get(pk=application.pk).webhook_secret == "a-secret-of-acme"


@pytest.mark.parametrize("nothing", [None, ""])
@pytest.mark.parametrize("name", ["answer_url", "fallback_url", "webhook_url"])
def test_null_and_empty_text_clear_a_url(acme: Actor, application: Application, name: str, nothing: str | None) -> None:
    changed = change(acme, application, **{name: nothing}).json()

    assert changed.items() >= (FILLED | {name: None}).items()
    assert getattr(Application.objects.get(pk=application.pk), name) == ""


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"name": ""}, "name"),
        ({"name": "n" * 101}, "name"),
        ({"name": "fine", "answer_url": "http://169.254.169.254/"}, "answer_url"),
        ({"fallback_url": "https://" + "x" * 2041}, "fallback_url"),
        ({"webhook_url": "ftp://example.test/"}, "webhook_url"),
        ({"webhook_events": ["call.rung"]}, "webhook_events"),
        ({"answer_method": "PUT"}, "answer_method"),
        ({"webhook_secret": "another-secret"}, "webhook_secret"),
    ],
)
def test_refuses_what_is_wrong_and_changes_nothing(
    acme: Actor, application: Application, body: dict[str, Any], param: str
) -> None:
    response = change(acme, application, **body)

    assert refusal(response) == (400, "invalid_request")
    assert response.json()["error"]["param"] == param
    assert acme.client().get(path(application)).json().items() >= FILLED.items()


def test_shows_that_the_endpoint_is_disabled_and_saving_its_url_enables_it(
    acme: Actor, application: Application
) -> None:
    failing_since = datetime(2026, 5, 26, 12, tzinfo=UTC)
    disabled_at = failing_since + timedelta(days=3)
    Application.objects.filter(pk=application.pk).update(
        webhook_failing_since=failing_since, webhook_disabled_at=disabled_at
    )
    said = {"webhook_failing_since": "2026-05-26T12:00:00.000Z", "webhook_disabled_at": "2026-05-29T12:00:00.000Z"}
    assert acme.client().get(path(application)).json().items() >= said.items()
    assert change(acme, application, name="Renamed").json().items() >= said.items()

    enabled = change(acme, application, webhook_url=application.webhook_url).json()
    assert (enabled["webhook_failing_since"], enabled["webhook_disabled_at"]) == (None, None)
    application.refresh_from_db()
    assert application.webhook_disabled_at is None
    assert application.webhook_saved_at


def test_deleting_stops_the_keys_at_once_and_keeps_the_rest(acme: Actor, application: Application) -> None:
    own = Actor(acme.customer, application, factories.issue_key(application))
    call = place(own)

    deleted = acme.client().delete(path(application))

    assert deleted.status_code == 200
    assert deleted.json().items() >= (FILLED | {"is_active": False}).items()
    assert refusal(own.client().get("/v1/balance")) == (401, "unauthorized")
    assert acme.client().get("/v1/balance").status_code == 200
    assert acme.client().get(path(application)).json() == deleted.json()
    assert Call.objects.get(pk=call.pk).status == call.status == "queued"


def test_deleting_twice_is_deleting_once(acme: Actor, application: Application) -> None:
    first, second = (acme.client().delete(path(application)) for _ in range(2))

    assert (first.status_code, first.json()) == (second.status_code, second.json())


@pytest.mark.parametrize("method", ["get", "patch", "delete"])
@pytest.mark.parametrize("whose", ["another's", "nobody's", "with NUL"])
def test_what_is_anothers_is_what_is_not_there(acme: Actor, globex: Actor, method: str, whose: str) -> None:
    named = {
        "another's": globex.application.public_id,
        "nobody's": "app_20260529T120000.000000000",
        "with NUL": "app_%00",
    }[whose]

    response = getattr(acme.client(), method)(f"/v1/applications/{named}", {"name": "mine"}, format="json")

    assert refusal(response) == (404, "not_found")
    globex.application.refresh_from_db()
    assert (globex.application.name, globex.application.is_active) == ("Front desk", True)


@pytest.mark.parametrize("method", ["patch", "delete"])
def test_changes_need_the_scope_manage(acme: Actor, application: Application, method: str) -> None:
    caller = Actor(acme.customer, acme.application, factories.issue_key(acme.application, "calls"))

    assert refusal(getattr(caller.client(), method)(path(application), {"name": "x"}, format="json")) == (
        403,
        "scope_required",
    )
    assert caller.client().get(path(application)).json().items() >= FILLED.items()
