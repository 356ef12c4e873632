"""The world that calls are placed in: customers with key, money and number, one large deck, one trunk, an engine."""

import io
import time
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

from django.core.management import call_command
from django.db import connection

from applications import keys
from applications.models import ApiKey, Application, Customer
from billing.models import Balance, DeckVersion, RateDeck
from calls import audit
from minivoice import clock
from telephony.models import Engine, Number, Trunk

_REST_SECONDS = 0.5
_FIRST_PREFIX = 200_000  # rates are for 1200000, 1200001, ...: North American exchanges


def make(*, customers: int, rates: int, callers_file: Path) -> None:
    """Make the tables and the world; write a line `key number` for each customer to `callers_file`.

    Customers have the ids from 1 on, and each the application of its own id.
    """
    call_command("migrate", verbosity=0)
    now = clock.now()
    Engine.objects.create(name="none", url="http://127.0.0.1:1", seen_at=now + timedelta(days=1))
    Trunk.objects.create(name="Carrier", gateway_name="carrier", proxy="carrier.invalid")
    deck = RateDeck.objects.create(name="Standard", currency="USD")
    DeckVersion.objects.create(deck=deck, effective_from=now, state=DeckVersion.State.LIVE)
    replace_rates(rates)
    callers_file.write_text("".join(_customers(range(1, customers + 1), deck)))
    callers_file.chmod(0o600)
    settle()


def replace_rates(count: int) -> None:
    """Have the deck be of so many rates, and the table hold no others."""
    version_id = DeckVersion.objects.get().pk
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE billing_rate")
        cursor.copy_expert(_COPY_RATES, io.StringIO("".join(_rates(version_id, count))))
        cursor.execute("VACUUM ANALYZE billing_rate")


def number_called(rate: int) -> str:
    """Return a number that the rate of this index prices."""
    return f"+1{_FIRST_PREFIX + rate}5555"


def settle() -> None:
    """Have the planner know the tables as they are now; call it once more when calls of a warm-up are in them."""
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")


def empty() -> None:
    """Take all calls away, so that every round begins alike; write what is in memory to the disk."""
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE billing_entry DISABLE TRIGGER entry_not_truncated")
        cursor.execute("TRUNCATE calls_call, calls_usageday, webhooks_webhookevent CASCADE")
        cursor.execute("TRUNCATE billing_hold, billing_approval, billing_entry, billing_spendday")
        cursor.execute("UPDATE billing_balance SET held = 0, posted = 0")
        cursor.execute("VACUUM billing_balance")
        cursor.execute("CHECKPOINT")


def calls() -> int:
    """Return how many calls there are."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM calls_call")
        (count,) = cursor.fetchone()
    return int(count)


def calls_at_rest() -> int:
    """Return how many calls there are once none has come for half a second: wrk leaves without its last answers."""
    found = -1
    while found != (found := calls()):
        time.sleep(_REST_SECONDS)
    return found


def broken_promises() -> list[str]:
    """Return what the auditor finds broken."""
    return [finding.promise for finding in audit.run() if finding.violations]


def _rates(version_id: int, count: int) -> Iterator[str]:
    for prefix in range(_FIRST_PREFIX, _FIRST_PREFIX + count):
        yield f"{version_id}\t1{prefix}\tExchange {prefix}\t0.01{prefix % 97:02}\t0\t60\t60\t0\tf\n"


def _customers(ids: range, deck: RateDeck) -> Iterator[str]:
    """Insert the customers with all that is theirs; yield a line about each."""
    customers = [
        Customer(pk=pk, name=f"Customer {pk}", max_concurrent_calls=1_000_000, max_cps=1_000_000) for pk in ids
    ]
    Customer.objects.bulk_create(customers)
    credit = Decimal(1_000_000)  # on credit: money would need an entry each
    Balance.objects.bulk_create(
        Balance(customer=customer, deck=deck, currency="USD", credit_limit=credit, day_cap=None)
        for customer in customers
    )
    applications = [
        Application(pk=customer.pk, customer=customer, name="Dialler", webhook_url="http://127.0.0.1:1/events")
        for customer in customers
    ]
    Application.objects.bulk_create(applications)
    Number.objects.bulk_create(
        Number(customer=customer, number_e164=f"+1555{customer.pk:07}") for customer in customers
    )
    for application in applications:
        _, key = keys.issue(application=application, scopes=[ApiKey.Scope.CALLS])
        yield f"{key} +1555{application.pk:07}\n"


_COPY_RATES = """
COPY billing_rate (version_id, prefix, description, price_per_minute, connection_fee, initial_increment,
    subsequent_increment, minimum_charge, blocked) FROM STDIN
"""
