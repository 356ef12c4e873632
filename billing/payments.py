"""Payments that came in by a bank's or card's file: checked as a whole, then posted one by one, each once."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

from billing import accounts, sheets
from billing.models import Balance, Entry

COLUMNS = ("customer", "amount", "currency", "reference", "date")
_AMOUNT = re.compile(r"[0-9]{1,9}(\.[0-9]{1,6})?")
_REFERENCE_CHARACTERS = 100


class Unfit(Exception):
    """Lines of the file are wrong, or it is no such file; `problems` has a sentence for each, with its line."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = problems
        super().__init__(f"{len(problems)} problems: nothing is posted")


@dataclass(frozen=True, slots=True)
class Payment:
    """A line of the file. `posted` is the entry of its reference, when there is one already."""

    line: int
    balance: Balance
    amount: Decimal
    reference: str
    paid_on: date
    posted: Entry | None


def read(path: Path) -> list[Payment]:
    """Return the payments of a CSV or XLSX file with COLUMNS: a customer's id, its account's currency, an ISO date.

    Changes nothing. Raises Unfit with everything that is wrong, sheets.Unreadable and OSError.
    """
    payments: list[Payment] = []
    problems: list[str] = []
    lines: dict[tuple[str, str], int] = {}
    for line, given in _lines(path):
        try:
            payment = _payment(line, given)
        except ValueError as error:
            problems.append(f"line {line}: {error}")
            continue
        payments.append(payment)
        first = lines.setdefault((given["customer"], payment.reference), line)
        if first != line:
            problems.append(f"line {line}: reference {payment.reference} is on line {first} already")
    if problems:
        raise Unfit(problems)
    return payments


def post(payment: Payment, *, now: datetime) -> bool:
    """Top up the customer by a payment, once for its reference; False when that was posted before.

    Raises accounts.ReferenceUsed when it was posted meanwhile, with another amount.
    """
    _, is_new = accounts.top_up(
        customer=payment.balance.customer,
        amount=payment.amount,
        reference=payment.reference,
        note=f"paid on {payment.paid_on}, by manage.py import_payments",
        now=now,
    )
    return is_new


def _lines(path: Path) -> Iterator[tuple[int, Mapping[str, str]]]:
    with sheets.open_table(path) as table:
        names = [name.lower() for name in table.columns]
        if missing := [column for column in COLUMNS if column not in names]:
            raise Unfit([f"there is no column {', '.join(missing)}; the columns are: {', '.join(COLUMNS)}"])
        for row in table.rows:
            cells = [*row.cells, *("" for _ in names)]
            yield row.line, dict(zip(names, cells, strict=False))


def _payment(line: int, given: Mapping[str, str]) -> Payment:
    amount, reference = given["amount"], given["reference"]
    if not _AMOUNT.fullmatch(amount) or not Decimal(amount):
        raise ValueError(f"amount {amount!r} is not an amount above 0 such as 50.00")
    if not reference or len(reference) > _REFERENCE_CHARACTERS or not reference.isprintable():
        raise ValueError(f"reference {reference!r} is empty, too long, or does not print")
    balance = _balance(given["customer"], given["currency"].upper())
    posted = Entry.objects.filter(customer=balance.customer_id, reference=reference).first()
    if posted is not None and (posted.kind, posted.amount) != (Entry.Kind.TOP_UP, Decimal(amount)):
        raise ValueError(f"reference {reference} was posted before as {posted}, a {posted.get_kind_display()}")
    return Payment(line, balance, Decimal(amount), reference, _day(given["date"]), posted)


def _balance(public_id: str, currency: str) -> Balance:
    balance = Balance.objects.select_related("customer").filter(customer__public_id=public_id).first()
    if balance is None:
        raise ValueError(f"there is no customer {public_id!r} with an account")
    if balance.currency != currency:
        raise ValueError(f"the account of {public_id} is in {balance.currency}, not in {currency!r}")
    return balance


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text.removesuffix(" 00:00:00"))  # as a workbook's dates come
    except ValueError:
        raise ValueError(f"date {text!r} is not a day such as 2026-05-29") from None
