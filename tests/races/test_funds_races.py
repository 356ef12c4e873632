"""Funds for k calls are k calls, whoever asks and whatever else moves the money, and the books agree all the while."""

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal
from random import Random
from typing import Any

import pytest

from applications.models import Customer
from billing.models import Balance
from calls import dialing, lifecycle
from calls.models import Attempt, Call
from minivoice import clock
from telephony import link
from telephony.engines.facts import Fact, Kind
from tests import factories
from tests.calls.steps import FakeEngine
from tests.conftest import Actor, actor
from tests.races.auditor import auditor

pytestmark = pytest.mark.usefixtures("audited", "world", "nobody_dials", "calls_waiting")

CREATES = 500
APPLICATIONS = 20


@pytest.mark.parametrize("k", [1, 7, 50])
def test_500_creates_amid_top_ups_and_settlements_are_exactly_k(
    k: int, pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every call costs its whole hold of a minute, so what is charged and what is held add up to the funds."""
    engine = FakeEngine()
    monkeypatch.setattr(link, "adapter", lambda: engine)
    top_ups = (k + 1) // 2
    actors = callers(funds=str(Decimal("0.60") * (k - top_ups)))
    owner = actors[0].customer
    works: list[Callable[[], Any]] = [lambda: factories.top_up(owner, "0.60") and "topped up"] * top_ups
    works += [live_and_die] * 40
    works += [lambda each=actors[number % APPLICATIONS]: create(each) for number in range(CREATES // 2)]
    Random(k).shuffle(works)
    afterwards: list[Callable[[], Any]] = [
        lambda each=actors[number % APPLICATIONS]: create(each) for number in range(CREATES // 2)
    ]
    afterwards[::10] = [lambda work=work: (live_and_die(), work())[1] for work in afterwards[::10]]

    with auditor() as audits:
        done = Counter(pool.map(lambda work: work(), works))
        done += Counter(pool.map(lambda work: work(), afterwards))  # all the funds are there by now

    assert done == {201: k, 402: CREATES - k, "topped up": top_ups, "lived and died": 40}
    assert Call.objects.count() == k
    balance = Balance.objects.get(customer=owner)
    assert balance.posted == balance.held
    assert set(audits.broken) == {()}
    # Ten a second is what it tries; a loaded machine leaves it fewer, and never stops it.
    assert audits.a_second > 2
    assert audits.longest_gap_seconds < 3


def callers(*, funds: str) -> list[Actor]:
    """One customer without limits, with many applications."""
    rich = actor("acme", funds=funds)
    Customer.objects.update(caller_id_policy="any", max_concurrent_calls=10_000, max_cps=10_000)
    sisters = [factories.ApplicationFactory(customer=rich.customer) for _ in range(APPLICATIONS - 1)]
    return [rich, *(Actor(rich.customer, sister, factories.issue_key(sister)) for sister in sisters)]


def create(caller: Actor) -> int:
    body = {"from": "+15551230001", "to": "+15551230002"}
    return caller.client().post("/v1/calls", body, format="json").status_code


def live_and_die() -> str:
    """Dial what is due, and have calls that were taken be answered and end, each end told twice."""
    dialing.drain()
    now = clock.now()
    later = now + timedelta(seconds=30)
    for channel_id in Attempt.objects.filter(state="taken").values_list("channel_id", flat=True)[:2]:
        for kind, at in [(Kind.ANSWERED, now), (Kind.ENDED, later), (Kind.ENDED, later)]:
            lifecycle.record(Fact(kind=kind, channel_id=str(channel_id), at=at), now=clock.now())
    return "lived and died"
