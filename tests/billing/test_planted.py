"""A test of the tests: each of these bugs, planted, is found by the model of the ledger, or by the books.

What only shows with many at once is planted in `tests/races/test_planted_races.py`.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from decimal import ROUND_HALF_EVEN
from typing import Any
from uuid import uuid4

import pytest
from django.db import IntegrityError, connection

from billing import ledger, rating
from calls import books, rollup
from minivoice import clock
from minivoice.prepared import Statement
from telephony import link
from tests.billing import model
from tests.calls.steps import FakeEngine, answer, dial, end
from tests.conftest import Actor

pytestmark = pytest.mark.django_db

Plant = Callable[[pytest.MonkeyPatch], None]


def in_sql(name: str, right: str, wrong: str) -> Plant:
    """Change a statement of the ledger."""

    def plant(monkeypatch: pytest.MonkeyPatch) -> None:
        statement = getattr(ledger, name)
        sql = statement.sql if isinstance(statement, Statement) else statement
        assert right in sql
        planted = sql.replace(right, wrong)
        monkeypatch.setattr(ledger, name, Statement(planted) if isinstance(statement, Statement) else planted)

    return plant


def instead(module: Any, name: str, wrong: Any) -> Plant:
    """Put something else in a name's place; a builtin's too."""
    return lambda monkeypatch: monkeypatch.setattr(module, name, wrong, raising=hasattr(module, name))


def around(module: Any, name: str, wrong: Callable[..., Any]) -> Plant:
    """Have `wrong` called with the right function and its arguments."""

    def plant(monkeypatch: pytest.MonkeyPatch) -> None:
        right = getattr(module, name)
        monkeypatch.setattr(module, name, lambda *args, **named: wrong(right, *args, **named))

    return plant


def without_the_last_step(price: rating.Price, seconds: int) -> int:
    beyond = max(0, seconds - price.initial_increment)
    return seconds and price.initial_increment + beyond // price.subsequent_increment * price.subsequent_increment


def silent_about_overrun(settle: Any, **named: Any) -> Any:
    settlement = settle(**named)
    return settlement and replace(settlement, overrun=0)


AVAILABLE = "posted + credit_limit - held >= %(amount)s"
FOUND_BY_THE_MODEL = {
    "a hold is settled as often as asked": in_sql("_CLOSE", "AND closed_at IS NULL", ""),
    "a hold is granted whatever there is": in_sql("_HOLD", AVAILABLE, "TRUE"),
    "what is held is forgotten when more is": in_sql("_HOLD", AVAILABLE, AVAILABLE.replace(" - held", "")),
    "credit is forgotten": in_sql("_HOLD", AVAILABLE, AVAILABLE.replace(" + credit_limit", "")),
    "a closed hold stays held": in_sql("_CLOSE", "held - closed.amount", "held"),
    "an extension is not held": in_sql("_EXTEND", "held = held + %(added)s", "held = held"),
    "an extension forgets the day cap": instead(
        ledger.Account, "room", property(lambda account: (account.available, "balance"))
    ),
    "a half is rounded to even": instead(rating, "ROUND_HALF_UP", ROUND_HALF_EVEN),
    "a step that has begun is not billed": instead(rating, "billed_seconds", without_the_last_step),
    "an engine's lateness is charged": instead(
        ledger, "min", lambda *values, **named: min(*values, **named) if named else values[0]
    ),
    "a day's spend is its last charge": in_sql("_SPEND", "billing_spendday.charged + ", ""),
    "an entry tells the balance before it": in_sql("_MOVE", "RETURNING posted", "RETURNING posted - %(amount)s"),
    "no key is a duplicate": around(
        ledger, "_post", lambda post, *, key, **named: post(key=f"{key} {uuid4()}", **named)
    ),
}
FOUND_BY_THE_BOOKS = {
    "talk is rounded down": instead(rating, "whole_seconds", lambda milliseconds: milliseconds // 1000),
    "an overrun is not noted": around(ledger, "settle", silent_about_overrun),
    "a call that was not answered keeps its hold": instead(ledger, "release", lambda **_: True),
    "usage is not counted": instead(rollup, "add", lambda *_, **__: None),
    "usage is counted twice": around(
        rollup, "add", lambda add, *args, **named: [add(*args, **named) for _ in range(2)]
    ),
}


@pytest.mark.parametrize("plant", FOUND_BY_THE_MODEL.values(), ids=FOUND_BY_THE_MODEL)
def test_the_model_finds(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch)
    with pytest.raises((AssertionError, IntegrityError, ledger.DuplicateEntry)):
        model.run(examples=300, steps=40, derandomize=True)  # ends with the first that is found


@pytest.mark.parametrize("plant", FOUND_BY_THE_BOOKS.values(), ids=FOUND_BY_THE_BOOKS)
def test_the_books_find(plant: Plant, monkeypatch: pytest.MonkeyPatch, acme: Actor, nobody_dials: None) -> None:
    monkeypatch.setattr(link, "adapter", FakeEngine)
    live_a_few_calls(acme)
    assert differences() == []
    plant(monkeypatch)
    live_a_few_calls(acme)
    assert differences() != []


def live_a_few_calls(acme: Actor) -> None:
    """One that talks, one that the engine ends too late, one that nobody answers."""
    for talk_seconds in (30.5, 60.5, None):
        call = dial(acme)
        now = clock.now()
        if talk_seconds:
            answer(call, at=now)
        end(call, at=now + timedelta(seconds=talk_seconds or 1))
        end(call, at=now + timedelta(seconds=90))


def differences() -> list[books.Difference]:
    with connection.cursor() as cursor:
        return books.differences(cursor)
