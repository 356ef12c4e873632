"""Random calls: what they cost by the reference, on the calls, in the ledger, in the rollup and in the usage that
customers read agrees to the last digit. Hundreds in the everyday run, ten thousand with FAULTS=full.
"""

import os
import random
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fractions import Fraction

import pytest
from django.db import connection

from applications.models import Application, Customer
from billing.models import Balance, DeckVersion, Entry, Rate, SpendDay
from billing.rating import Price
from calls import books, dialing, lifecycle, rollup, usage
from calls.models import Attempt, Call, Party, Reason, UsageDay
from minivoice import money
from telephony.engines.facts import Fact, Kind
from telephony.models import Trunk
from tests import factories
from tests.billing import reference
from tests.calls.steps import place
from tests.conftest import Actor, actor

CALLS = 10_000 if os.environ.get("FAULTS") == "full" else 300
BATCH = 50
FUNDS = 100_000
NOON = datetime(2026, 5, 29, 12, tzinfo=UTC)


@dataclass(frozen=True)
class Expected:
    """A call as it must have been written down everywhere."""

    application: Application
    settled_at: datetime
    prefix: str
    trunk: Trunk | None
    seconds: int
    billed: int
    cost: Fraction


@pytest.mark.django_db(transaction=True)  # in one transaction, a balance row would grow a tail of versions
@pytest.mark.timeout(3600)
@pytest.mark.usefixtures("engine", "world")
def test_random_calls_agree_to_the_last_digit() -> None:
    dice = random.Random(20260529)
    actors = callers()
    expected = [told for _ in range(CALLS // BATCH) for told in live_and_die(dice, actors)]

    assert differences() == []
    assert len(expected) == Call.objects.count() == CALLS
    calls_and_ledger_say(expected)
    rollup_says(expected)
    for application in {told.application for told in expected}:
        usage_says(expected, application, dice)
    for customer_id in Balance.objects.values_list("pk", flat=True):
        for day in rollup.days(customer_id=customer_id):
            assert not rollup.rebuild(customer_id=customer_id, day=day, now=NOON)
    rollup_says(expected)


def callers() -> list[Actor]:
    """Two customers with two applications each, and a deck of unpleasant prices: +120, +121, ..."""
    version = DeckVersion.objects.get()
    for number, price in enumerate(reference.NASTY):
        factories.RateFactory(
            version=version,
            prefix=f"1{20 + number}",
            price_per_minute=price.per_minute,
            connection_fee=price.connection_fee,
            initial_increment=price.initial_increment,
            subsequent_increment=price.subsequent_increment,
            minimum_charge=price.minimum_charge,
        )
    first = [actor(name, funds=str(FUNDS)) for name in ("acme", "globex")]
    Customer.objects.update(caller_id_policy="any", max_concurrent_calls=10_000, max_cps=10_000)
    second = [factories.ApplicationFactory(customer=each.customer) for each in first]
    return first + [Actor(each.customer, each, factories.issue_key(each)) for each in second]


def live_and_die(dice: random.Random, actors: list[Actor]) -> list[Expected]:
    """Place calls and have each talk for a while, ring in vain, or be cancelled before it is dialled."""
    placed = [place(dice.choice(actors), to_number=f"+1{dice.randrange(20, 31)}5551234") for _ in range(BATCH)]
    cancelled = set(dice.sample(placed, 5))
    expected = [cancel(call, moment(dice)) for call in placed if call in cancelled]
    assert dialing.drain() == BATCH - len(cancelled)
    for attempt in Attempt.objects.filter(state="taken").select_related("call", "trunk"):
        talk = dice.choice([None, 0, 1, dice.randrange(90_000), 1000 * dice.randrange(90)])
        expected.append(end(attempt, talk, moment(dice)))
    return expected


def moment(dice: random.Random) -> datetime:
    """Some moment of six days, midnights among them."""
    return NOON + timedelta(hours=dice.randrange(144), microseconds=dice.choice([0, dice.randrange(3_600_000_000)]))


def cancel(call: Call, settled_at: datetime) -> Expected:
    lifecycle.intend(
        call_id=call.pk, customer_id=call.customer_id, reason=Reason.CANCELED, by=Party.API, now=settled_at
    )
    return Expected(call.application, settled_at, call.rate_prefix, None, 0, 0, Fraction(0))


def end(attempt: Attempt, talk_milliseconds: int | None, settled_at: datetime) -> Expected:
    """End a call that was answered for so long, or never. A hold pays for a minute; an overrun is ours."""
    channel_id, call = str(attempt.channel_id), attempt.call
    if talk_milliseconds is not None:
        lifecycle.record(Fact(kind=Kind.ANSWERED, channel_id=channel_id, at=NOON), now=NOON)
    at = NOON + timedelta(milliseconds=talk_milliseconds or 0)
    for _ in range(2):
        lifecycle.record(Fact(kind=Kind.ENDED, channel_id=channel_id, at=at, sip_code=486), now=settled_at)
    price = price_of(call)
    billed = reference.billed_seconds(price, talk_milliseconds or 0)
    held = reference.cost_of(price, reference.billed_seconds(price, 60_000))
    cost = min(reference.cost_of(price, billed), held)
    seconds = -(-(talk_milliseconds or 0) // 1000)
    return Expected(call.application, settled_at, call.rate_prefix, attempt.trunk, seconds, billed, cost)


def price_of(call: Call) -> Price:
    rate = Rate.objects.get(prefix=call.to_number[1:4])
    return Price(
        rate.price_per_minute,
        rate.connection_fee,
        rate.initial_increment,
        rate.subsequent_increment,
        rate.minimum_charge,
    )


def calls_and_ledger_say(expected: list[Expected]) -> None:
    charged = sorted(told.cost for told in expected if told.cost)
    assert sorted(Call.objects.filter(cost_amount__gt=0).values_list("cost_amount", flat=True)) == charged
    assert sorted(-amount for amount in Entry.objects.filter(kind="charge").values_list("amount", flat=True)) == charged
    posted: dict[int, Fraction] = defaultdict(lambda: Fraction(FUNDS))
    spent: dict[tuple[int, object], Fraction] = defaultdict(Fraction)
    for told in expected:
        posted[told.application.customer_id] -= told.cost
        if told.cost:
            spent[told.application.customer_id, told.settled_at.date()] += told.cost
    assert dict(Balance.objects.values_list("customer_id", "posted")) == posted
    assert set(Balance.objects.values_list("held", flat=True)) == {0}
    days = SpendDay.objects.values_list("customer_id", "day", "charged")
    assert {(customer_id, day): charged for customer_id, day, charged in days} == spent


def rollup_says(expected: list[Expected]) -> None:
    sums: dict[tuple[object, ...], list[Fraction | int]] = defaultdict(lambda: [0, 0, 0, Fraction(0)])
    for told in expected:
        row = sums[told.application.pk, told.settled_at.date(), told.prefix, told.trunk and told.trunk.pk]
        for index, value in enumerate((1, told.seconds, told.billed, told.cost)):
            row[index] += value
    rows = UsageDay.objects.values_list(
        *("application_id", "day", "rate_prefix", "trunk_id"),
        *("calls", "duration_seconds", "billable_seconds", "cost_amount"),
    )
    assert {tuple(row[:4]): list(row[4:]) for row in rows} == sums


def usage_says(expected: list[Expected], application: Application, dice: random.Random) -> None:
    """Ask for periods that begin and end at midnight, within a day, and in between."""
    midnight = NOON.replace(hour=0)
    edges = [midnight, midnight + timedelta(days=3), midnight + timedelta(days=9), *(moment(dice) for _ in range(12))]
    keys = {
        "": lambda told: None,
        "day": lambda told: str(told.settled_at.date()),
        "destination": lambda told: told.prefix,
        "trunk": lambda told: told.trunk and told.trunk.public_id,
    }
    for _ in range(40):
        start, end = sorted(dice.sample(edges, 2))
        group_by = dice.choice(list(keys))
        sums: dict[str | None, list[Fraction | int]] = defaultdict(lambda: [0, 0, Fraction(0)])
        for told in expected:
            if told.application == application and start <= told.settled_at < end:
                for key in {keys[group_by](told)} if group_by else set():
                    add(sums[key], told)
                add(sums["whole"], told)
        whole = sums.pop("whole", [0, 0, Fraction(0)])
        report = usage.report(application=application, start=start, end=end, group_by=group_by)
        assert figures(report["summary"]) == spelled(whole)
        name = {"trunk": "trunk_id"}.get(group_by, group_by)
        assert {row[name]: figures(row) for row in report.get("data", [])} == {
            key: spelled(values) for key, values in sums.items()
        }


def add(sums: list[Fraction | int], told: Expected) -> None:
    for index, value in enumerate((1, told.billed, told.cost)):
        sums[index] += value


def figures(row: object) -> tuple[int, int, str]:
    return row["calls"], row["billsec_seconds"], row["cost_amount"]


def spelled(sums: list[Fraction | int]) -> tuple[int, int, str]:
    calls, billed, cost = sums
    return int(calls), int(billed), money.text(reference.decimal(Fraction(cost)))


def differences() -> list[books.Difference]:
    with connection.cursor() as cursor:
        return books.differences(cursor)
