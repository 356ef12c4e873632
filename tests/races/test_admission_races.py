"""Many creates at once: exactly as many are accepted as money and limits allow."""

import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection

from applications.models import Customer
from billing import ledger
from billing.models import Balance, Entry
from calls import dialing, lifecycle
from calls.models import Attempt, Call
from minivoice import clock
from telephony import link
from telephony.engines.facts import Fact, Kind
from tests import factories
from tests.calls.steps import FakeEngine
from tests.conftest import Actor, actor
from tests.races.conftest import THREADS

pytestmark = pytest.mark.usefixtures("audited", "world", "nobody_dials")


def caller(funds: str, **limits: int) -> Actor:
    """A customer with these limits; none in the way that are not named."""
    rich = actor("acme", funds=funds)
    wide = {"max_concurrent_calls": 10_000, "max_cps": 10_000, **limits}
    Customer.objects.filter(pk=rich.customer.pk).update(caller_id_policy="any", **wide)
    return rich


def create(rich: Actor) -> int:
    """Place a call over HTTP; return the status."""
    body = {"from": "+15551230001", "to": "+15551230002"}
    return rich.client().post("/v1/calls", body, format="json").status_code


def all_at_once(pool: ThreadPoolExecutor, work: Callable[[int], Any], times: int) -> Counter[Any]:
    return Counter(pool.map(work, range(times)))


@pytest.mark.usefixtures("calls_waiting")
def test_200_creates_with_funds_for_50_are_exactly_50(pool: ThreadPoolExecutor) -> None:
    rich = caller("30")

    statuses = all_at_once(pool, lambda _: create(rich), 200)

    assert statuses == {201: 50, 402: 150}
    assert Balance.objects.get(customer=rich.customer).held == 30
    assert Call.objects.count() == 50


@pytest.mark.usefixtures("calls_waiting")
def test_a_limit_of_20_calls_admits_exactly_20(pool: ThreadPoolExecutor) -> None:
    rich = caller("1000", max_concurrent_calls=20)

    assert all_at_once(pool, lambda _: create(rich), 60) == {201: 20, 429: 40}


@pytest.mark.usefixtures("calls_waiting")
def test_a_day_cap_admits_exactly_what_fits(pool: ThreadPoolExecutor) -> None:
    rich = caller("1000")
    Balance.objects.update(day_cap=Decimal("6.30"))

    assert all_at_once(pool, lambda _: create(rich), 30) == {201: 10, 403: 20}


@pytest.mark.usefixtures("calls_waiting")
def test_no_second_has_more_than_10_calls(pool: ThreadPoolExecutor) -> None:
    rich = caller("1000", max_cps=10)
    accepted = threading.Semaphore(0)
    enough, late = threading.Event(), clock.now() + timedelta(seconds=30)

    def keep_trying(_: int) -> None:
        while not enough.is_set() and clock.now() < late:
            if create(rich) == 201:
                accepted.release()

    trying = [pool.submit(keep_trying, number) for number in range(THREADS)]
    seen = [accepted.acquire(timeout=30) for _ in range(25)]
    enough.set()
    wait(trying)

    assert all(seen)
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT max(calls) FROM (SELECT count(*) OVER (ORDER BY accepted_at
                RANGE BETWEEN '999999 microseconds' PRECEDING AND CURRENT ROW) AS calls FROM calls_call) AS windows"""
        )
        assert cursor.fetchone() == (10,)


@pytest.mark.usefixtures("calls_waiting")
def test_creates_amid_top_ups_and_settlements_keep_the_books(
    pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    rich, engine = caller("12"), FakeEngine()
    sisters = [factories.ApplicationFactory(customer=rich.customer) for _ in range(4)]
    actors = [rich, *(Actor(rich.customer, sister, factories.issue_key(sister)) for sister in sisters)]
    monkeypatch.setattr(link, "adapter", lambda: engine)
    works: list[Callable[[int], Any]] = [
        lambda number: create(actors[number % len(actors)]),
        lambda number: bool(factories.top_up(rich.customer, "0.60")),
        live_and_die,
        lambda number: create(actors[-1]),
    ]

    done = all_at_once(pool, lambda number: works[number % len(works)](number), 100)

    assert set(done) <= {201, 402, True, None}
    assert done[True] == 25
    assert done[201] == Call.objects.count() >= 20


def live_and_die(number: int) -> None:
    """Dial what is due, and have every call that was taken be answered and end twice."""
    dialing.drain()
    now = clock.now()
    for channel_id in Attempt.objects.filter(state="taken").values_list("channel_id", flat=True)[:2]:
        for kind, at in [(Kind.ANSWERED, now), (Kind.ENDED, now + timedelta(seconds=number % 60)), (Kind.ENDED, now)]:
            lifecycle.record(Fact(kind=kind, channel_id=str(channel_id), at=at), now=clock.now())


def test_one_call_ended_from_all_sides_is_settled_once(
    pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    rich, engine, now = caller("100"), FakeEngine(), clock.now()
    monkeypatch.setattr(link, "adapter", lambda: engine)
    assert create(rich) == 201
    assert dialing.drain() == 1
    attempt = Attempt.objects.get()
    call = attempt.call
    lifecycle.record(Fact(kind=Kind.ANSWERED, channel_id=str(attempt.channel_id), at=now), now=now)
    later = now + timedelta(seconds=30)
    Call.objects.update(proven_at=later)  # seen until then, should its end go unheard
    ended = Fact(kind=Kind.ENDED, channel_id=str(attempt.channel_id), at=later)
    ways: list[Callable[[], Any]] = [
        lambda: lifecycle.record(ended, now=later),
        lambda: rich.client().post(f"/v1/calls/{call.public_id}/hangup"),
        lambda: lifecycle.lost(attempt_id=attempt.pk, customer_id=call.customer_id, now=later),
    ]

    list(pool.map(lambda number: ways[number % 3](), range(48)))

    call.refresh_from_db()
    assert call.is_final
    assert call.cost_amount == Decimal("0.60")
    assert Balance.objects.get(customer=rich.customer).posted == Decimal("99.40")


def test_two_dialers_never_claim_one_attempt(pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch) -> None:
    rich, engine = caller("100"), FakeEngine()
    monkeypatch.setattr(link, "adapter", lambda: engine)
    monkeypatch.setattr("minivoice.nudge.wake", lambda task: False)
    assert all_at_once(pool, lambda _: create(rich), 20) == {201: 20}

    dialed = sum(pool.map(lambda _: dialing.drain(), range(THREADS)))

    assert dialed == 20
    assert len({asked["channel_id"] for asked in engine.originated}) == len(engine.originated) == 20


def test_a_form_sent_twice_at_once_posts_once(pool: ThreadPoolExecutor) -> None:
    rich = caller(funds="1")

    def adjust(_: int) -> str:
        try:
            ledger.post(
                customer_id=rich.customer.pk,
                kind=Entry.Kind.ADJUSTMENT,
                amount=Decimal(5),
                key="console:one-form",
                note="goodwill",
                now=clock.now(),
            )
        except ledger.DuplicateEntry:
            return "told"
        return "posted"

    assert all_at_once(pool, adjust, THREADS) == {"posted": 1, "told": THREADS - 1}
    assert Balance.objects.get(customer=rich.customer).posted == 6
