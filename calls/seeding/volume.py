"""Customers and millions of calls that never were, consistent with one another: the books reconcile.

Written by `INSERT … SELECT`, in batches of one transaction each, with every index in place, as old and as complete as
retention would have left them. For trying out pages and plans; never for a platform with customers.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import uuid4

from django.conf import settings
from django.db import connection, transaction

from applications.models import Application, Customer
from billing import ledger
from billing.models import Balance, DeckVersion, Entry, Rate, RateDeck
from telephony.models import Number, Trunk

BATCH = 25_000
_SQL = (Path(__file__).parent / "batch.sql").read_text()
_FUNDS = Decimal(100_000_000)  # nobody runs dry

# prefix, description, price per minute, increments; the first is what calls to our own numbers cost
_DESTINATIONS = [
    ("1555", "own numbers", "0.004", 60, 60),
    ("1555", "United States, test", "0.012", 60, 60),
    ("4420", "United Kingdom, London", "0.018", 30, 6),
    ("4930", "Germany, Berlin", "0.0215", 1, 1),
    ("3314", "France, Paris", "0.019", 60, 1),
    ("9122", "India, Mumbai", "0.055", 60, 60),
]
# share of all, status, end reason, who hung up, SIP code, cause
_ENDS = [
    (0.40, "completed", "hangup", "callee", None, 16),
    (0.22, "completed", "hangup", "api", None, 16),
    (0.10, "failed", "busy", "", 486, 17),
    (0.13, "failed", "no_answer", "", 480, 19),
    (0.06, "failed", "rejected", "", 603, 21),
    (0.04, "failed", "invalid_number", "", 404, 1),
    (0.03, "failed", "unreachable", "", 503, 34),
    (0.02, "canceled", "canceled", "api", 487, 127),
]


@dataclass(frozen=True, slots=True)
class Progress:
    """How many calls are there of how many."""

    calls: int
    wanted: int


def seed(*, calls: int, customers: int, now: datetime, days: int) -> Iterator[Progress]:
    """Make so many customers, and so many calls of theirs over the last `days` days; yield after each batch.

    What a batch has made stays when a later one fails. Needs no open transaction.
    """
    run = uuid4().hex[:6]
    with connection.cursor() as cursor:
        values = _cast(cursor, run=run, customers=customers, now=now, days=days)
        start = now - timedelta(days=days)
        step_us = timedelta(days=days) // timedelta(microseconds=1) // calls
        values |= {"start": start, "step_us": step_us, "customers": customers, **_kept(now)}
        for first in range(0, calls, BATCH):
            last = min(first + BATCH, calls) - 1
            with transaction.atomic():
                _fast(cursor)
                cursor.execute(_TAKE_IDS, {"count": last - first + 1})
                cursor.execute(_SQL, {**values, "first": first, "last": last, "ids": cursor.fetchone()[0]})
            yield Progress(last + 1, calls)
        cursor.execute("ANALYZE")


def _cast(cursor: Any, *, run: str, customers: int, now: datetime, days: int) -> dict[str, Any]:
    """Make customers with money, applications, numbers, trunks and prices; return what calls need to know of them."""
    begun_at = now - timedelta(days=days, hours=1)
    deck = RateDeck.objects.create(name=f"Volume {run}", currency="USD")
    version = DeckVersion.objects.create(deck=deck, effective_from=begun_at, state=DeckVersion.State.LIVE)
    Rate.objects.bulk_create(_rate(version, row) for row in _DESTINATIONS[1:])
    trunks = [
        Trunk.objects.create(name=f"Carrier {n} {run}", gateway_name=f"volume-{n}-{run}", proxy="carrier.invalid")
        for n in range(3)
    ]
    Trunk.objects.filter(pk__in=[trunk.pk for trunk in trunks]).update(is_active=False)  # nothing is dialled over them
    cursor.execute(_TABLES)
    for place in range(customers):
        cursor.execute(
            "INSERT INTO seed_customer VALUES (%s, %s, %s, %s)", [place, *_customer(place, run, deck, begun_at)]
        )
    rows = [(place, *row) for place, row in enumerate(_DESTINATIONS)]
    cursor.executemany("INSERT INTO seed_destination VALUES (%s, %s, %s, %s, %s, %s)", rows)
    at_least = 0.0
    for share, *end in _ENDS:
        cursor.execute("INSERT INTO seed_end VALUES (%s, %s, %s, %s, %s, %s, %s)", [at_least, at_least + share, *end])
        at_least = round(at_least + share, 6)
    return {"version": version.pk, "trunks": [trunk.pk for trunk in trunks]}


def _rate(version: DeckVersion, row: tuple[Any, ...]) -> Rate:
    prefix, description, price, initial, subsequent = row
    return Rate(
        version=version,
        prefix=prefix,
        description=description,
        price_per_minute=Decimal(price),
        initial_increment=initial,
        subsequent_increment=subsequent,
    )


def _customer(place: int, run: str, deck: RateDeck, now: datetime) -> tuple[int, int, str]:
    customer = Customer.objects.create(
        name=f"Customer {place} {run}", contact_email=f"ops@customer-{place}.example", max_concurrent_calls=100
    )
    Balance.objects.create(customer=customer, deck=deck, currency="USD", day_cap=None)
    ledger.post(
        customer_id=customer.pk, kind=Entry.Kind.TOP_UP, amount=_FUNDS, key=f"volume:{customer.public_id}", now=now
    )
    application = Application.objects.create(customer=customer, name=f"Application {place}")
    number = f"+1556{customer.pk % 10_000_000:07}"
    Number.objects.create(customer=customer, application=application, number_e164=number)
    return customer.pk, application.pk, number


def _kept(now: datetime) -> dict[str, datetime]:
    """Return since when retention would have left what."""
    days = {
        "timeline_from": settings.TIMELINE_DAYS,
        "events_from": settings.WEBHOOK_EVENT_DAYS,
        "attempts_from": settings.WEBHOOK_ATTEMPT_DAYS,
    }
    return {name: now - timedelta(days=kept) for name, kept in days.items()}


def _fast(cursor: Any) -> None:
    """Leave out the look at each foreign key, where the database lets us: what is referred to is there."""
    cursor.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")
    if cursor.fetchone()[0]:
        cursor.execute("SET LOCAL session_replication_role = replica")


_TAKE_IDS = """
    SELECT setval(sequence, nextval(sequence) - 1 + %(count)s) - %(count)s
    FROM pg_get_serial_sequence('calls_call', 'id') AS sequence
"""

_TABLES = """
    DROP TABLE IF EXISTS seed_customer, seed_destination, seed_end;
    CREATE TEMP TABLE seed_customer (place int PRIMARY KEY, customer_id bigint, application_id bigint, number text);
    CREATE TEMP TABLE seed_destination (
        place int PRIMARY KEY, prefix text, description text, price numeric, initial int, subsequent int);
    CREATE TEMP TABLE seed_end (
        at_least float8, below float8, status text, end_reason text, hangup_by text, sip_code int, cause int);
"""
