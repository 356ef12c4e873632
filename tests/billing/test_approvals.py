"""Money moved by hand above the threshold: posted when a second person says so, once, and never by who asked."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from threading import Barrier
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, connection, transaction

from applications.models import Customer
from billing import approvals, ledger, refunds
from billing.models import Approval, Balance, Entry
from tests.factories import CustomerFactory, open_account

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)


@pytest.fixture(autouse=True)
def thresholds(settings: Any) -> None:
    settings.APPROVAL_THRESHOLD = {"": Decimal(100), "USD": Decimal(50)}


@pytest.fixture
def customer(db: None) -> Customer:
    found: Customer = CustomerFactory()
    open_account(found, funds="10")
    return found


@pytest.fixture
def clerk(db: None) -> User:
    return User.objects.create_user("clerk", is_staff=True)


@pytest.fixture
def manager(db: None) -> User:
    return User.objects.create_user("manager", is_staff=True)


def post(customer: Customer, by: User, amount: str, **more: Any) -> Entry | Approval:
    values = {"kind": Entry.Kind.ADJUSTMENT, "key": f"key:{amount}", "note": "goodwill", "now": NOW, **more}
    return approvals.post(customer_id=customer.pk, amount=Decimal(amount), staff_id=by.pk, **values)


def posted(customer: Customer) -> Decimal:
    return Balance.objects.get(customer=customer).posted


@pytest.mark.parametrize(
    ("amount", "kind"), [("50", Entry), ("-50", Entry), ("50.000001", Approval), ("-51", Approval)]
)
def test_what_is_above_the_threshold_waits(customer: Customer, clerk: User, amount: str, kind: type) -> None:
    row = post(customer, clerk, amount)
    assert type(row) is kind
    assert posted(customer) == (Decimal(10) + Decimal(amount) if kind is Entry else Decimal(10))


def test_pieces_below_the_threshold_count_together(customer: Customer, clerk: User, manager: User) -> None:
    found = [type(post(customer, clerk, "9.99", key=f"piece:{piece}")) for piece in range(7)]
    assert found == [Entry] * 5 + [Approval] * 2
    assert posted(customer) == Decimal("59.95")
    assert isinstance(post(customer, clerk, "-0.06"), Approval)
    assert isinstance(post(customer, clerk, "-0.05"), Entry)
    other = CustomerFactory()
    open_account(other)
    assert isinstance(post(other, clerk, "50", key="another customer's"), Entry)
    assert isinstance(post(customer, manager, "50", key="another person's"), Entry)


def test_what_counts_together_is_of_24_hours_and_not_what_somebody_approved(
    customer: Customer, clerk: User, manager: User
) -> None:
    approval = post(customer, clerk, "70")
    assert isinstance(approval, Approval)
    approvals.approve(approval, by_id=manager.pk, why="yes", now=NOW)
    assert isinstance(post(customer, clerk, "50"), Entry)
    day = timedelta(hours=24)
    assert isinstance(post(customer, clerk, "1", now=NOW + day - timedelta(seconds=1)), Approval)
    assert isinstance(post(customer, clerk, "2", now=NOW + day), Entry)


def test_each_currency_has_its_own_threshold_or_the_common_one_or_none(settings: Any) -> None:
    assert [approvals.threshold(currency) for currency in ("USD", "EUR")] == [50, 100]
    settings.APPROVAL_THRESHOLD = {"USD": Decimal(50)}
    assert approvals.threshold("EUR") == 0


def test_a_second_person_has_it_posted_in_the_name_of_who_asked(customer: Customer, clerk: User, manager: User) -> None:
    approval = post(customer, clerk, "70", kind=Entry.Kind.TOP_UP, reference="BANK-1")
    assert isinstance(approval, Approval)
    entry = approvals.approve(approval, by_id=manager.pk, why="seen on the statement", now=NOW).entry
    assert entry is not None
    approval.refresh_from_db()
    assert posted(customer) == 80
    assert (entry.staff, entry.reference, entry.note, entry.kind) == (clerk, "BANK-1", "goodwill", "top_up")
    assert (approval.state, approval.entry, approval.decided_by) == ("approved", entry, manager)


def test_who_asked_never_approves(customer: Customer, clerk: User) -> None:
    approval = post(customer, clerk, "70")
    assert isinstance(approval, Approval)
    with pytest.raises(approvals.NotPossible, match="who asked"):
        approvals.approve(approval, by_id=clerk.pk, why="me", now=NOW)
    assert posted(customer) == 10
    approval.refresh_from_db()
    assert approval.state == "waiting"


def test_the_database_itself_refuses_an_approval_by_who_asked(customer: Customer, clerk: User) -> None:
    approval = post(customer, clerk, "70")
    entry = Entry.objects.latest("id")
    with pytest.raises(IntegrityError, match="approval_by_a_second_person"), transaction.atomic():
        Approval.objects.filter(pk=approval.pk).update(state="approved", decided_by=clerk, decided_at=NOW, entry=entry)


def test_what_was_decided_is_not_decided_again(customer: Customer, clerk: User, manager: User) -> None:
    approved, rejected = post(customer, clerk, "70"), post(customer, clerk, "80")
    assert isinstance(approved, Approval)
    assert isinstance(rejected, Approval)
    approvals.approve(approved, by_id=manager.pk, why="yes", now=NOW)
    approvals.reject(rejected, by_id=manager.pk, why="no", now=NOW)
    for approval in (approved, rejected):
        with pytest.raises(approvals.NotPossible, match="decided before"):
            approvals.approve(approval, by_id=manager.pk, why="again", now=NOW)
        with pytest.raises(approvals.NotPossible, match="decided before"):
            approvals.reject(approval, by_id=manager.pk, why="again", now=NOW)
    assert posted(customer) == 80


def test_a_form_sent_twice_asks_once_also_after_the_decision(customer: Customer, clerk: User, manager: User) -> None:
    approval = post(customer, clerk, "70")
    assert isinstance(approval, Approval)
    with pytest.raises(ledger.DuplicateEntry):
        post(customer, clerk, "70")
    approvals.approve(approval, by_id=manager.pk, why="yes", now=NOW)
    with pytest.raises(ledger.DuplicateEntry):
        post(customer, clerk, "70")
    assert posted(customer) == 80


def test_a_reference_that_waits_is_not_used_again(customer: Customer, clerk: User, manager: User) -> None:
    approval = post(customer, clerk, "70", reference="BANK-1")
    assert isinstance(approval, Approval)
    with pytest.raises(ledger.DuplicateEntry):
        post(customer, clerk, "20", reference="BANK-1")
    approvals.reject(approval, by_id=manager.pk, why="another customer's", now=NOW)
    assert isinstance(post(customer, clerk, "20", reference="BANK-1"), Entry)


def test_a_refund_that_waits_counts_as_given_back(customer: Customer, clerk: User, manager: User) -> None:
    ledger.post(
        customer_id=customer.pk, kind=Entry.Kind.CHARGE, amount=Decimal(-90), key="charge:c", call_id="c", now=NOW
    )
    refund = {"customer_id": customer.pk, "call_id": "c", "staff_id": clerk.pk, "note": "noise", "now": NOW}
    approval = refunds.refund(amount=Decimal(60), key="refund:1", **refund)
    assert isinstance(approval, Approval)
    assert refunds.refundable("c") == 30
    assert refunds.refund(amount=Decimal(60), key="refund:1", **refund) == approval
    with pytest.raises(refunds.TooMuch):
        refunds.refund(amount=Decimal(31), key="refund:2", **refund)
    approvals.approve(approval, by_id=manager.pk, why="yes", now=NOW)
    assert (refunds.refundable("c"), posted(customer)) == (30, -20)


@pytest.fixture
def race() -> Iterator[Any]:
    """Runs two functions at one time, each on a connection of its own; returns what each came to."""
    barrier = Barrier(2, timeout=10)

    def run(function: Any) -> Any:
        try:
            barrier.wait()
            return function()
        except approvals.NotPossible as refusal:
            return refusal
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        yield lambda *functions: list(pool.map(run, functions))


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("other", ["approve", "reject"])
def test_two_who_decide_at_one_time_decide_once(race: Any, other: str) -> None:
    customer = CustomerFactory()
    open_account(customer, funds="10")
    clerk, one, two = (User.objects.create_user(name) for name in ("clerk", "one", "two"))
    for round_number in range(5):
        before = posted(customer)
        approval = post(customer, clerk, "70", key=f"round:{round_number}")
        assert isinstance(approval, Approval)
        found = race(
            partial(approvals.approve, approval, by_id=one.pk, why="one", now=NOW),
            partial(getattr(approvals, other), approval, by_id=two.pk, why="two", now=NOW),
        )
        approval.refresh_from_db()
        assert len([outcome for outcome in found if isinstance(outcome, approvals.NotPossible)]) == 1
        assert posted(customer) == before + (70 if approval.state == "approved" else 0)
        assert Entry.objects.filter(key=approval.key).count() == (approval.state == "approved")
