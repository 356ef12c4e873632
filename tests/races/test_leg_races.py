"""Legs at one moment with others, and with the end of the calls that dial them: no money is promised twice, and no call
ends before its legs.
"""

import json
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from random import Random

import pytest

from applications.models import Customer
from billing.models import Balance, Hold
from calls import dialing, legs, lifecycle
from calls.flow import store
from calls.models import FINAL, LIVE, Attempt, Call
from minivoice import clock, errors
from telephony import link
from telephony.engines.facts import Fact, Kind
from tests.calls.steps import FakeEngine, answer, latest, place
from tests.conftest import Actor, actor
from tests.races.auditor import auditor
from webhooks.models import WebhookEvent

pytestmark = pytest.mark.usefixtures("audited", "world", "nobody_dials", "calls_waiting")

HOLD = Decimal("0.60")  # of a minute, the caller's as well as the leg's


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> FakeEngine:
    """It takes every call."""
    engine = FakeEngine()
    monkeypatch.setattr(link, "adapter", lambda: engine)
    return engine


@pytest.mark.parametrize("k", [1, 8])
def test_funds_for_one_leg_less_than_are_wanted_are_one_leg_less(
    k: int, pool: ThreadPoolExecutor, engine: FakeEngine
) -> None:
    """What the calls themselves hold is nobody else's."""
    calls = talking(k, funds=HOLD * (k + k - 1))

    with auditor() as audits:
        done = Counter(pool.map(add, calls))

    assert done == Counter({"added": k - 1, "insufficient_balance": 1})
    balance = Balance.objects.get()
    assert balance.posted == balance.held == HOLD * (2 * k - 1)
    assert Hold.objects.filter(closed_at=None).count() == 2 * k - 1
    assert set(audits.broken) == {()}


@pytest.mark.parametrize("seed", range(2))
def test_a_leg_is_added_before_its_call_ends_or_not_at_all(
    seed: int, pool: ThreadPoolExecutor, engine: FakeEngine
) -> None:
    calls = talking(12, funds=Decimal(100))
    works: list[Callable[[], str]] = [lambda call=call: add(call) for call in calls]
    works += [lambda call=call: hear_the_end(call) for call in calls]
    works += [lambda: str(dialing.drain() and "dialled")] * 5
    Random(seed).shuffle(works)

    done = Counter(pool.map(lambda work: work(), works))
    assert done["added"] + done["FlowEnded"] == len(calls)
    assert not Call.objects.filter(LIVE, parent__status__in=FINAL).exists()
    list(pool.map(lambda _: legs.sweep(now=clock.now()), range(4)))
    for attempt in Attempt.objects.filter(call__parent__isnull=False).exclude(state="ended"):
        lifecycle.record(Fact(kind=Kind.ENDED, channel_id=attempt.channel, at=clock.now()), now=clock.now())

    assert not Call.objects.filter(LIVE).exists()
    assert Balance.objects.get().held == 0
    for call in calls:
        assert told(call) == list(call.legs.values_list("public_id", "status"))


def talking(count: int, *, funds: Decimal) -> list[Call]:
    """Calls of one customer that are up and follow instructions."""
    caller: Actor = actor("acme", funds=str(funds))
    Customer.objects.update(caller_id_policy="any", max_concurrent_calls=10_000, max_cps=10_000)
    calls = [place(caller) for _ in range(count)]
    assert dialing.drain() == count
    for call in calls:
        answer(call, at=clock.now())
    return calls


def add(call: Call) -> str:
    """Dial somebody for a call; return what came of it."""
    flow = store.load(call.pk)
    if flow is None:
        return "FlowEnded"
    try:
        legs.add(flow, to="+15551230002", caller_id="+15551230001", ring_seconds=30, now=clock.now())
    except store.FlowEnded:
        return "FlowEnded"
    except errors.ApiError as refusal:
        return refusal.code
    return "added"


def hear_the_end(call: Call) -> str:
    """Its callee hangs up, and its lane sees to its legs."""
    fact = Fact(kind=Kind.ENDED, channel_id=latest(call).channel, at=clock.now())
    lifecycle.record(fact, now=clock.now())
    legs.release(call.pk, now=clock.now())
    return "ended"


def told(call: Call) -> list[tuple[str, str]]:
    """What the one final event of a call says of its legs."""
    events = WebhookEvent.objects.filter(call_id=call.public_id, type__in=[f"call.{status}" for status in FINAL])
    [event] = events
    return [(leg["id"], leg["status"]) for leg in json.loads(bytes(event.body))["data"].get("legs", [])]
