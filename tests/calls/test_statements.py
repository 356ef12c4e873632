"""Statements: lines that add up to the ledger to the last digit, as a table and on paper."""

import csv
import random
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from io import BytesIO, StringIO

import pytest
from django.db import connection

from applications.models import Application, Customer
from billing import ledger
from billing.models import Balance, Entry, Rate
from calls import papers, statements
from tests.factories import ApplicationFactory, CustomerFactory, RateFactory, open_account

pytestmark = pytest.mark.django_db(transaction=True)

MAY = date(2026, 5, 1)
START, END = datetime(2026, 5, 1, tzinfo=UTC), datetime(2026, 6, 1, tzinfo=UTC)
NOW = datetime(2026, 6, 3, 4, 5, 6, tzinfo=UTC)
CALLS = 10_000


@pytest.fixture
def customer() -> Customer:
    found: Customer = CustomerFactory(name="Müller & <Søn>")
    open_account(found)
    return found


def post(customer: Customer, amount: str, at: datetime, **more: str) -> Entry:
    kind = Entry.Kind(more.pop("kind", "top_up"))
    key = f"{kind}:{at.isoformat()}:{amount}"
    return ledger.post(customer_id=customer.pk, kind=kind, amount=Decimal(amount), key=key, now=at, **more)


def talk(application: Application, rate: Rate, count: int) -> None:
    """Calls with odd charges over all of May, their entries, and the balance after them, by SQL."""
    customer = application.customer
    values = {
        "customer": customer.pk,
        "application": application.pk,
        "version": rate.version_id,
        "count": count,
        "start": START,
    }
    with connection.cursor() as cursor:
        cursor.execute(_CALLS, values)
        cursor.execute(_ENTRIES, values)
        cursor.execute(
            """UPDATE billing_balance SET posted = (SELECT sum(amount) FROM billing_entry WHERE customer_id = %s)
               WHERE customer_id = %s""",
            [customer.pk, customer.pk],
        )


def read(customer: Customer) -> statements.Statement:
    return statements.read(customer, month=MAY, now=NOW)


def test_ten_thousand_calls_equal_the_ledger_to_the_last_digit(customer: Customer) -> None:
    post(customer, "1000.000001", START - timedelta(seconds=1))
    post(customer, "50", START, reference="BANK-7")
    post(customer, "-0.000007", END - timedelta(seconds=1), kind="adjustment", note="for our eyes only")
    rate = RateFactory(prefix="1555", description="US; test")
    RateFactory(version=rate.version, prefix="44", description="UK")
    talk(ApplicationFactory(customer=customer), rate, CALLS)
    post(customer, "70", END)
    statement = read(customer)
    posted = Balance.objects.get(customer=customer).posted
    assert statement.opening == Decimal("1000.000001")
    assert statement.closing == posted - 70
    assert statement.opening + statement.moved == statement.closing
    assert [(to.prefix, to.description) for to in statement.destinations] == [("1555", "US; test"), ("44", "UK")]
    assert sum(to.calls for to in statement.destinations) == CALLS
    charged = [Decimal(number) * Decimal("0.000123") + Decimal("0.01") for number in range(1, CALLS + 1)]
    assert [to.amount for to in statement.destinations] == [-sum(charged[1::2]), -sum(charged[0::2])]

    file = BytesIO()
    papers.write_csv(statement, file)
    rows = list(csv.DictReader(StringIO(file.getvalue().decode())))
    assert rows[0]["line"] == "opening balance"
    assert rows[-1]["line"] == "closing balance"
    assert sum(Decimal(row["amount"]) for row in rows[:-1]) == Decimal(rows[-1]["amount"]) == posted - 70
    assert "the sum of all 10,003 entries of the ledger before 2026-06-01 00:00:00 UTC" in rows[-1]["text"]
    assert "for our eyes only" not in file.getvalue().decode()


def test_a_statement_that_does_not_add_up_is_not_made(customer: Customer, monkeypatch: pytest.MonkeyPatch) -> None:
    post(customer, "50", START)
    without_the_line = statements._MOVEMENTS.replace("kind <> 'charge'", "kind = 'refund'")
    monkeypatch.setattr(statements, "_MOVEMENTS", without_the_line)
    with pytest.raises(statements.DoesNotAddUp, match="not closing 50"):
        read(customer)


def test_charges_of_calls_that_are_not_kept_any_longer_count(customer: Customer) -> None:
    post(customer, "-1.5", START, kind="charge", call_id="call_gone")
    (gone,) = read(customer).destinations
    assert (gone.calls, gone.seconds, gone.amount) == (1, None, Decimal("-1.5"))
    assert gone.description == "calls that are not kept any longer"


def test_a_refund_names_its_call(customer: Customer) -> None:
    post(customer, "1.5", START, kind="refund", call_id="call_x", note="noise on the line")
    (moved,) = read(customer).movements
    assert (moved.kind, moved.call_id, moved.amount) == ("Refund", "call_x", Decimal("1.5"))


def test_each_entry_is_in_one_month_and_each_month_opens_with_what_the_last_closed_with(customer: Customer) -> None:
    chance = random.Random(20260601)
    ends = [datetime(2026, month, 1, tzinfo=UTC) for month in (5, 6, 7, 8)]
    near = [timedelta(microseconds=chance.choice([-1, 0, 1, chance.randint(-(10**12), 10**12)])) for _ in range(600)]
    entries = [
        Entry(
            customer=customer,
            kind=kind,
            amount=Decimal(chance.randint(1, 10**9)).scaleb(-6) * (-1 if kind == "charge" else 1),
            posted_after=0,
            key=f"key:{number}",
            call_id=f"call_{number % 40}",
            created_at=chance.choice(ends) + away,
        )
        for number, away in enumerate(near)
        for kind in [chance.choice(["charge", "top_up", "refund", "adjustment"])]
    ]
    talk(ApplicationFactory(customer=customer), RateFactory(prefix="1555"), 40)  # calls of May, settled when they were
    Entry.objects.bulk_create(entries)
    months = [date(2026, month, 1) for month in (4, 5, 6, 7, 8)]
    made = [statements.read(customer, month=month, now=datetime(2027, 1, 1, tzinfo=UTC)) for month in months]

    assert [month.opening for month in made[1:]] == [month.closing for month in made[:-1]]
    assert made[-1].closing == sum(entry.amount for entry in Entry.objects.all())
    assert made[-1].entries == len(entries) + 40
    in_lines = [len(month.movements) + sum(to.calls for to in month.destinations) for month in made]
    assert (sum(in_lines), made[0].opening) == (len(entries) + 40, 0)
    for month, lines, day in zip(made, in_lines, months, strict=True):
        assert lines == Entry.objects.filter(created_at__year=2026, created_at__month=day.month).count()
        assert not month.is_provisional


@pytest.mark.parametrize(
    ("now", "until", "is_provisional"),
    [
        (START + timedelta(days=19, seconds=7), "2026-05-20 00:00:07 UTC", True),
        (END, "2026-06-01 00:00:00 UTC", True),
        (END + timedelta(minutes=59, seconds=59), "2026-06-01 00:00:00 UTC", True),
        (END + timedelta(hours=1), "2026-06-01 00:00:00 UTC", False),
    ],
)
def test_is_provisional_until_what_was_posted_in_the_month_is_there(
    customer: Customer, now: datetime, until: str, is_provisional: bool
) -> None:
    post(customer, "50", START)
    post(customer, "7", END)
    statement = statements.read(customer, month=MAY, now=now)
    file = BytesIO()
    papers.write_csv(statement, file)
    opening, *_, closing = csv.DictReader(StringIO(file.getvalue().decode()))

    assert statement.closing == 50
    assert f"before {until}" in statement.proof
    assert opening["text"] == statement.title
    if is_provisional:
        assert statement.title == f"Provisional statement of May 2026, until {until}"
        assert closing["line"] == "provisional balance"
        assert closing["date"].startswith(until[:10] + "T" + until[11:19])
        assert "Final from 2026-06-01 01:00:00 UTC" in closing["text"]
    else:
        assert statement.title == "Statement of May 2026"
        assert (closing["line"], closing["date"]) == ("closing balance", "2026-06-01")
        assert "rovisional" not in file.getvalue().decode()


@pytest.mark.parametrize("movements", [0, 120])
def test_paper_is_made_with_and_without_lines(customer: Customer, movements: int) -> None:
    for number in range(movements):
        post(customer, "1", START + timedelta(minutes=number), reference=f"<b>BANK & {number}")
    file = BytesIO()
    papers.write_pdf(read(customer), file)
    content = file.getvalue()
    assert content.startswith(b"%PDF-")
    assert content.rstrip().endswith(b"%%EOF")
    pages = content.count(b"/Type /Page\n") or content.count(b"/Type /Page ")
    assert pages == (1 if movements == 0 else 4)


_CALLS = """
INSERT INTO calls_call (public_id, customer_id, application_id, direction, from_number, to_number, status, metadata,
    answer_url, ring_seconds, max_duration_seconds, request_id, accepted_at, answered_at, ended_at, settled_at, intent,
    intent_by, end_reason, hangup_by, rate_version_id, rate_prefix, price_per_minute, connection_fee,
    initial_increment, subsequent_increment, minimum_charge, currency, funded_seconds, duration_seconds,
    billable_seconds, cost_amount, overrun_amount, events)
SELECT 'call_' || n, %(customer)s, %(application)s, 'outbound', '+15551230001', '+15559990001', 'completed', '{}',
    '', 60, 600, '', %(start)s, %(start)s, %(start)s, %(start)s, '', '', 'hangup', 'callee', %(version)s,
    CASE n %% 2 WHEN 0 THEN '1555' ELSE '44' END, 0.012, 0, 60, 60, 0, 'USD', 60, 61, 120, n * 0.000123 + 0.01, 0, 1
FROM generate_series(1, %(count)s) AS n
"""

_ENTRIES = """
INSERT INTO billing_entry (public_id, customer_id, kind, amount, posted_after, key, reference, call_id, note,
    created_at)
SELECT 'le_' || n, %(customer)s, 'charge', -(n * 0.000123 + 0.01), 0, 'charge:call_' || n, '', 'call_' || n, '',
    %(start)s::timestamptz + n * interval '4 minutes'
FROM generate_series(1, %(count)s) AS n
"""
