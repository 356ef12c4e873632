"""A test of the tests: bugs that only show with many at once, planted, are found by many at once.

Bugs that one at a time shows are planted in `tests/billing/test_planted.py`.
"""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from billing import ledger
from calls import audit
from minivoice.prepared import Statement
from tests.conftest import Actor
from tests.races.test_admission_races import caller, create

pytestmark = pytest.mark.usefixtures("transactional_db", "world", "nobody_dials", "calls_waiting")

ROUNDS = 5  # a race may go well by luck, not five times; each is another customer's, whose limit is not yet reached


def unlocked(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "FOR UPDATE" in ledger._LOCK.sql
    monkeypatch.setattr(ledger, "_LOCK", Statement(ledger._LOCK.sql.replace("FOR UPDATE", "")))


def most_at_once(pool: ThreadPoolExecutor, rich: Actor) -> int:
    """How many of 48 calls are accepted."""
    return Counter(pool.map(lambda _: create(rich), range(48)))[201]


def test_finds_admission_that_does_not_lock(pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch) -> None:
    unlocked(monkeypatch)

    accepted = [most_at_once(pool, caller("1000", max_concurrent_calls=5)) for _ in range(ROUNDS)]

    assert max(accepted) > 5


def test_finds_a_hold_that_is_decided_by_what_was_read_before(
    pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    unlocked(monkeypatch)
    statement = ledger._HOLD.sql.replace("posted + credit_limit - held >= %(amount)s", "TRUE")
    assert statement != ledger._HOLD.sql
    monkeypatch.setattr(ledger, "_HOLD", Statement(statement))

    accepted = [most_at_once(pool, caller("3")) for _ in range(ROUNDS)]

    assert max(accepted) > 5
    assert "nothing is granted below zero" in {finding.promise for finding in audit.run() if finding.violations}
