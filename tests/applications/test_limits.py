"""Limits until a date: in force at once, and nothing afterwards, without anybody doing anything."""

from datetime import UTC, datetime, timedelta

import pytest

from applications import limits
from applications.limits import Limits
from applications.models import Customer

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
DAY = timedelta(days=1)


def acme() -> Customer:
    return Customer(name="acme", max_concurrent_calls=20, max_cps=5)


def test_a_customer_has_its_own_limits() -> None:
    assert limits.in_force(acme(), at=NOW) == Limits(20, 5)
    assert not limits.are_temporary(acme(), at=NOW)


@pytest.mark.parametrize(
    ("calls", "cps", "then"), [(50, None, Limits(50, 5)), (None, 9, Limits(20, 9)), (1, 1, Limits(1, 1))]
)
def test_others_take_their_place_up_to_a_moment(calls: int | None, cps: int | None, then: Limits) -> None:
    customer = acme()
    customer.temporary_concurrent_calls, customer.temporary_cps = calls, cps
    customer.temporary_until = NOW + DAY
    assert limits.in_force(customer, at=NOW) == then
    assert limits.in_force(customer, at=NOW + DAY - timedelta(microseconds=1)) == then
    assert limits.in_force(customer, at=NOW + DAY) == Limits(20, 5)


def test_they_are_given_and_ended_without_touching_anything_else(db: None) -> None:
    customer = acme()
    customer.save()
    Customer.objects.update(status=Customer.Status.SUSPENDED)
    limits.give(customer, concurrent_calls=50, cps=None, until=NOW + DAY)
    kept = Customer.objects.get()
    assert limits.in_force(kept, at=NOW) == Limits(50, 5)
    assert kept.status == Customer.Status.SUSPENDED
    assert limits.end(kept)
    assert limits.in_force(Customer.objects.get(), at=NOW) == Limits(20, 5)
    assert not limits.end(kept)
