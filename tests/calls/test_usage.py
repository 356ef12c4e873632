"""GET /v1/usage: what an application's calls came to."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from billing.models import DeckVersion
from calls import lifecycle, usage
from calls.models import Call, Party, Reason
from minivoice import clock
from telephony.engines.facts import Fact, Kind
from telephony.models import Trunk
from tests import factories
from tests.calls.steps import answer, dial, latest, place
from tests.conftest import Actor, refusal

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("nobody_dials", "engine")]

MAY = {"from": "2026-05-01", "to": "2026-06-01"}


def talk(actor: Actor, *, seconds: int, settled_at: datetime | None = None, **changes: Any) -> Call:
    """A call that was answered and over after so many seconds; settled when a test says so."""
    call = dial(actor, **changes)
    now = clock.now()
    answer(call, at=now)
    return over(call, now + timedelta(seconds=seconds), settled_at)


def busy(actor: Actor, settled_at: datetime) -> Call:
    """A call that nobody answered."""
    return over(dial(actor), clock.now(), settled_at, sip_code=486)


def over(call: Call, at: datetime, settled_at: datetime | None, **more: Any) -> Call:
    """Its channel ended at a moment, and was heard of at another."""
    ended = Fact(kind=Kind.ENDED, channel_id=str(latest(call).channel_id), at=at, **more)
    lifecycle.record(ended, now=settled_at or at)
    return call


def asked(actor: Actor, **query: str) -> Any:
    response = actor.client().get("/v1/usage", query)
    assert response.status_code == 200
    return response.json()


def summary(calls: int, seconds: int, cost: str) -> dict[str, Any]:
    return {"calls": calls, "billsec_seconds": seconds, "cost_amount": cost, "cost_currency": "USD"}


def test_sums_up_this_month_unless_told_otherwise(acme: Actor) -> None:
    first, following = usage.month_of(clock.now())
    talk(acme, seconds=61)  # an engine this late is the platform's loss: the hold paid for a minute
    talk(acme, seconds=5)
    place(acme)

    assert asked(acme) == {
        "application_id": acme.application.public_id,
        "from": clock.text(first),
        "to": clock.text(following),
        "summary": summary(2, 180, "1.20"),
    }


@pytest.mark.parametrize(
    ("now", "first", "following"),
    [
        ("2026-05-29T12:00:00Z", "2026-05-01T00:00:00Z", "2026-06-01T00:00:00Z"),
        ("2026-12-31T23:59:59Z", "2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z"),
        ("2026-03-01T00:30:00+01:00", "2026-02-01T00:00:00Z", "2026-03-01T00:00:00Z"),
    ],
)
def test_a_month_is_that_of_utc(now: str, first: str, following: str) -> None:
    moments = [datetime.fromisoformat(text) for text in (first, following)]
    assert list(usage.month_of(datetime.fromisoformat(now))) == moments


def test_counts_calls_from_the_first_moment_on_and_not_at_the_last(acme: Actor) -> None:
    for settled_at in ("2026-04-30T23:59:59.999Z", "2026-05-01T00:00:00Z", "2026-05-31T23:59:59Z", "2026-06-01T00:00Z"):
        talk(acme, seconds=5, settled_at=datetime.fromisoformat(settled_at))

    assert asked(acme, **MAY)["summary"] == summary(2, 120, "1.20")
    assert (
        asked(acme, **{"from": "2026-05-01T00:00:00.001Z", "to": "2026-06-01T02:00:00+02:00"})["summary"]["calls"] == 1
    )
    assert asked(acme, **{"from": "2020-01-01", "to": "2021-01-01"})["summary"] == summary(0, 0, "0.00")


def test_counts_what_failed_too_and_nothing_that_is_live(acme: Actor) -> None:
    busy(acme, datetime(2026, 5, 2, tzinfo=UTC))
    dial(acme)
    assert asked(acme, **MAY)["summary"] == summary(1, 0, "0.00")


def test_groups_by_day_destination_and_trunk(acme: Actor) -> None:
    carrier = Trunk.objects.get().public_id
    factories.RateFactory(version=DeckVersion.objects.get(), prefix="4420", price_per_minute=Decimal("1.2"))
    talk(acme, seconds=5, settled_at=datetime(2026, 5, 2, 23, 59, tzinfo=UTC))
    talk(acme, seconds=5, settled_at=datetime(2026, 5, 3, tzinfo=UTC))
    talk(acme, seconds=5, settled_at=datetime(2026, 5, 3, 1, tzinfo=UTC), to_number="+442071838750")
    never_dialled = place(acme)
    lifecycle.intend(
        call_id=never_dialled.pk,
        customer_id=acme.customer.pk,
        reason=Reason.CANCELED,
        by=Party.API,
        now=datetime(2026, 5, 4, tzinfo=UTC),
    )

    by_day, by_destination, by_trunk = (asked(acme, **MAY, group_by=name) for name in ("day", "destination", "trunk"))

    assert by_day["data"] == [
        {"day": "2026-05-02"} | summary(1, 60, "0.60"),
        {"day": "2026-05-03"} | summary(2, 120, "1.80"),
        {"day": "2026-05-04"} | summary(1, 0, "0.00"),
    ]
    assert by_destination["data"] == [
        {"destination": "1"} | summary(3, 120, "1.20"),
        {"destination": "4420"} | summary(1, 60, "1.20"),
    ]
    assert by_trunk["data"] == [
        {"trunk_id": carrier} | summary(3, 180, "2.40"),
        {"trunk_id": None} | summary(1, 0, "0.00"),
    ]
    for grouped in (by_day, by_destination, by_trunk):
        assert grouped["summary"] == asked(acme, **MAY)["summary"] == summary(4, 180, "2.40")


def test_counts_this_applications_calls_only(acme: Actor, globex: Actor) -> None:
    second = factories.ApplicationFactory(customer=acme.customer)
    sibling = Actor(acme.customer, second, factories.issue_key(second))
    talk(sibling, seconds=5)

    assert asked(sibling)["summary"]["calls"] == 1
    for other in (acme, globex):
        assert asked(other)["summary"] == summary(0, 0, "0.00")
        assert asked(other, group_by="day")["data"] == []


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ({"from": "May"}, "from"),
        ({"from": "2026-02-30"}, "from"),
        ({"to": "2026-06-01T00:00:00"}, "to"),
        ({"to": "0000-01-01"}, "to"),
        ({"from": "2026-06-01", "to": "2026-06-01"}, "from"),
        ({"from": "2026-06-02", "to": "2026-06-01"}, "from"),
        ({"from": "\x00"}, "from"),
        ({"group_by": "moon"}, "group_by"),
    ],
)
def test_refuses_a_period_or_group_it_does_not_understand(acme: Actor, query: dict[str, str], param: str) -> None:
    response = acme.client().get("/v1/usage", query)
    assert refusal(response) == (400, "invalid_request")
    assert response.json()["error"]["param"] == param


@pytest.mark.parametrize("group_by", ["", "day", "destination", "trunk"])
def test_asks_the_same_few_questions_however_many_calls_there_are(acme: Actor, group_by: str) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            asked(acme, **({"group_by": group_by} if group_by else {}))
        return len(captured)

    few = queries()
    for _ in range(3):
        talk(acme, seconds=5)
    assert queries() == few <= 3
