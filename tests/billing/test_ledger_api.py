"""GET /v1/ledger and GET /v1/rates/lookup."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from billing import ledger
from billing.models import Balance, DeckVersion, Entry, Rate
from minivoice import clock
from telephony import link
from tests import factories
from tests.calls.steps import FakeEngine, answer, dial, end
from tests.conftest import Actor, actor, refusal

pytestmark = pytest.mark.django_db

DAY = datetime(2026, 5, 29, tzinfo=UTC)


def post(actor: Actor, kind: Entry.Kind, amount: str, at: datetime, reference: str = "") -> str:
    entry = ledger.post(
        customer_id=actor.customer.pk,
        kind=kind,
        amount=Decimal(amount),
        key=f"test:{kind}:{at}",
        now=at,
        reference=reference,
        note="the staff's own note",
    )
    return str(entry.public_id)


def listed(actor: Actor, **query: str) -> list[dict[str, Any]]:
    response = actor.client().get("/v1/ledger", query)
    assert response.status_code == 200
    rows: list[dict[str, Any]] = response.json()["data"]
    return rows


def test_shows_every_movement_newest_first(acme: Actor) -> None:
    entry_id = post(acme, Entry.Kind.ADJUSTMENT, "-0.125", DAY, reference="BANK-7")

    latest, first = listed(acme)

    assert latest == {
        "id": entry_id,
        "kind": "adjustment",
        "amount": "-0.125",
        "posted_after": "99.875",
        "currency": "USD",
        "call_id": None,
        "reference": "BANK-7",
        "created_at": "2026-05-29T00:00:00.000Z",
    }
    assert (first["kind"], first["amount"], first["posted_after"]) == ("top_up", "100.00", "100.00")


@pytest.mark.usefixtures("nobody_dials")
def test_a_charge_names_its_call(acme: Actor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "adapter", FakeEngine)
    call = dial(acme)
    now = clock.now()
    answer(call, at=now)
    end(call, at=now + timedelta(seconds=5))

    charge = listed(acme, kind="charge")

    assert [(row["call_id"], row["amount"]) for row in charge] == [(call.public_id, "-0.60")]


def test_narrows_down_by_kind_and_time(world: None) -> None:
    acme = actor("acme", funds="0")
    early, later, latest = (
        post(acme, kind, "1", DAY + timedelta(hours=hour))
        for hour, kind in enumerate([Entry.Kind.REFUND, Entry.Kind.TOP_UP, Entry.Kind.REFUND])
    )

    def ids(**query: str) -> list[str]:
        return [row["id"] for row in listed(acme, **query)]

    assert ids(kind="refund") == [latest, early]
    assert ids(created_after="2026-05-29T01:00:00Z", created_before="2026-05-29T02:00:00Z") == [later]
    assert ids(created_before="2026-05-29T02:00:00+01:00") == [early]
    assert ids(created_after="2026-05-29T01:00:00Z", created_before="2026-06-01T00:00:00Z", limit="1") == [latest]


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ({"kind": "gift"}, "kind"),
        ({"created_after": "yesterday"}, "created_after"),
        ({"created_before": "2026-05-29T00:00:00"}, "created_before"),
        ({"created_before": "2026-13-29T00:00:00Z"}, "created_before"),
        ({"limit": "0"}, "limit"),
        ({"cursor": "x"}, "cursor"),
    ],
)
def test_refuses_a_filter_it_does_not_understand(acme: Actor, query: dict[str, str], param: str) -> None:
    response = acme.client().get("/v1/ledger", query)
    assert refusal(response) == (400, "invalid_request")
    assert response.json()["error"]["param"] == param


def test_shows_nobody_elses_and_no_staff(acme: Actor, globex: Actor) -> None:
    post(acme, Entry.Kind.ADJUSTMENT, "-1", DAY)
    assert [row["amount"] for row in listed(globex)] == ["100.00"]
    assert "note" not in acme.client().get("/v1/ledger").content.decode()


@pytest.mark.parametrize("path", ["/v1/ledger", "/v1/usage"])
def test_a_customer_without_an_account_is_told_that_there_is_none(world: None, path: str) -> None:
    application = factories.ApplicationFactory()
    stranger = Actor(application.customer, application, factories.issue_key(application))

    assert refusal(stranger.client().get(path)) == (404, "not_found")
    assert refusal(stranger.client().get("/v1/rates/lookup?to=%2B15551230002")) == (400, "rate_not_found")


def test_a_page_of_ten_asks_as_often_as_a_page_of_one(acme: Actor) -> None:
    few = queries(acme)
    for hour in range(9):
        post(acme, Entry.Kind.REFUND, "1", DAY + timedelta(hours=hour))
    assert len(listed(acme)) == 10
    assert queries(acme) == few


def test_says_what_a_call_would_cost_and_why(acme: Actor) -> None:
    version = DeckVersion.objects.get()
    Rate.objects.create(
        version=version,
        prefix="1555",
        description="US fiction",
        price_per_minute=Decimal("0.0125"),
        connection_fee=Decimal("0.01"),
        initial_increment=30,
        subsequent_increment=6,
        minimum_charge=Decimal("0.02"),
    )

    for spelling in ("%2B15551230002", "+15551230002"):
        assert acme.client().get(f"/v1/rates/lookup?to={spelling}").json() == {
            "to": "+15551230002",
            "prefix": "1555",
            "description": "US fiction",
            "version_id": version.pk,
            "effective_from": clock.text(version.effective_from),
            "currency": "USD",
            "price_per_minute": "0.0125",
            "connection_fee": "0.01",
            "minimum_charge": "0.02",
            "initial_increment": 30,
            "subsequent_increment": 6,
            "blocked": False,
            "hold": "0.0225",
            "funded_seconds": 60,
        }


@pytest.mark.usefixtures("nobody_dials")
def test_the_first_hold_is_the_one_that_a_create_takes(acme: Actor, call_body: dict[str, Any]) -> None:
    Rate.objects.update(initial_increment=25, subsequent_increment=7, price_per_minute=Decimal("0.0777"))
    shown = acme.client().get("/v1/rates/lookup", {"to": call_body["to"]}).json()

    assert acme.client().post("/v1/calls", call_body, format="json").status_code == 201

    assert Balance.objects.get(customer=acme.customer).held == Decimal(shown["hold"])


def test_says_when_a_destination_is_blocked(acme: Actor) -> None:
    Rate.objects.update(blocked=True)
    assert acme.client().get("/v1/rates/lookup?to=%2B15551230002").json()["blocked"] is True


@pytest.mark.parametrize(
    ("to", "status", "code"),
    [
        ("+442071838750", 400, "rate_not_found"),
        ("", 400, "invalid_request"),
        ("5", 400, "invalid_request"),
        ("\x00", 400, "invalid_request"),
    ],
)
def test_refuses_numbers_without_a_rate_and_what_is_no_number(acme: Actor, to: str, status: int, code: str) -> None:
    assert refusal(acme.client().get("/v1/rates/lookup", {"to": to})) == (status, code)
    assert acme.client().get("/v1/rates/lookup").json()["error"]["message"] == "to is required"


def queries(actor: Actor) -> int:
    with CaptureQueriesContext(connection) as captured:
        actor.client().get("/v1/ledger")
    return len(captured)
