"""The day cap, judged beside settlements."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import connection, transaction

from billing import ledger
from billing.rating import Price
from minivoice import clock
from tests.conftest import actor

pytestmark = pytest.mark.usefixtures("transactional_db", "world")


def test_a_settlement_that_was_waited_for_counts(pool: ThreadPoolExecutor) -> None:
    """Its charge was committed while the next create waited for the lock: it must be seen after that."""
    customer_id, now = actor("acme", funds="1000").customer.pk, clock.now()
    price = Price(Decimal(6), Decimal(0), 60, 60, Decimal(0))
    ledger.hold(customer_id=customer_id, key="settled", amount=Decimal(6), funded_seconds=60, now=now)

    def spent() -> Decimal:
        with transaction.atomic():
            return ledger.lock(customer_id=customer_id, now=now).spent_today

    with transaction.atomic():
        ledger.settle(key="settled", price=price, milliseconds=1000, now=now)
        waiting, ends_at = pool.submit(spent), clock.now() + timedelta(seconds=20)
        while not somebody_waits():
            assert clock.now() < ends_at

    assert waiting.result(20) == 6


def somebody_waits() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)")
        return bool(cursor.fetchone()[0])
