"""What requests cost: as many queries for 25 rows as for one, and a bounded number of blocks for a page at any depth.

`ROWS=1000000` measures pages of a million.
"""

import os
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from billing.models import Entry, Rate
from calls.models import Call, CallEvent
from minivoice import api, clock
from tests import factories
from tests.api import doors
from tests.api.doors import Door
from tests.calls import steps
from tests.calls.recordings.tape import shown
from tests.conftest import Actor
from webhooks.models import DeliveryAttempt, WebhookEvent

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("nobody_dials", "names")]

MOST_QUERIES = 16
MOST_BLOCKS = 600  # of 8 KiB; each table has some 3,000
ROWS = int(os.environ.get("ROWS", "100_000"))  # a second apart from 2026-01-01 on
MIDDLE = f"{datetime(2026, 1, 1) + timedelta(seconds=ROWS // 2):%Y-%m-%dT%H:%M:%SZ}"  # noqa: DTZ001  the Z is written
FILTERS = {
    "list_calls": [
        "",
        "status=completed",
        "status=failed",
        "status=in_progress",
        "direction=outbound",
        "direction=inbound",
        "direction=inbound&status=completed",
        "from=%2B15551230001",
        "to=%2B15551230002",
        "to=%2B15551231234&status=failed",
        "from=%2B15551230001&to=%2B15551239999",
        f"created_after={MIDDLE}",
        f"created_before={MIDDLE}",
        f"created_before={MIDDLE}&status=failed",
        "created_before=2026-01-01T00:05:00Z",
        "parent_call_id={call_id}",
        "parent_call_id=call_20200101T000000.000000000",
    ],
    "list_ledger_entries": [
        "",
        "kind=charge",
        "kind=top_up",
        "kind=refund",
        f"created_after={MIDDLE}",
        f"created_before={MIDDLE}",
        f"created_before={MIDDLE}&kind=top_up",
        "created_before=2026-01-01T00:05:00Z",
        "created_before=2026-01-01T00:05:00Z&kind=charge",
    ],
    "list_deliveries": [
        "",
        "status=delivered",
        "status=exhausted",
        "status=pending",
        "event=call.created",
        "event=call.failed",
        "event=call.failed&status=exhausted",
        "event=call.failed&status=delivered",
        "event=call.created&status=exhausted",
        "call_id={call_id}",
        "call_id=call_20200101T000000.000000000",
        "call_id={call_id}&status=exhausted",
    ],
    "read_events": [""],
}
LISTED: dict[str, type[Call | Entry | WebhookEvent]] = {
    "list_calls": Call,
    "list_ledger_entries": Entry,
    "list_deliveries": WebhookEvent,
    "read_events": WebhookEvent,
}


@pytest.fixture
def mine(acme: Actor) -> dict[str, str]:
    return doors.own(acme)


# Queries


@pytest.mark.parametrize("door", doors.every(), ids=str)
def test_takes_as_many_queries_for_25_rows_as_for_one(door: Door, acme: Actor, mine: dict[str, str]) -> None:
    few = queries(door, acme, mine)
    for number in range(25):
        one_more(acme, mine, number)

    assert queries(door, acme, mine) == few
    assert few <= MOST_QUERIES


def queries(door: Door, actor: Actor, names: dict[str, str]) -> int:
    """Count those of a request that succeeds, and undo it."""
    with transaction.atomic(), CaptureQueriesContext(connection) as captured:
        response = door.knock(actor, names)
        transaction.set_rollback(True)
    assert response.status_code < 300, response.json()
    return len(captured)


def one_more(actor: Actor, names: dict[str, str], number: int) -> None:
    """Another of everything that a door might read one by one."""
    now = clock.now()
    beside = factories.ApplicationFactory(customer=actor.customer)
    factories.issue_key(beside)
    factories.issue_key(actor.application)
    trunk = factories.TrunkFactory(customer=actor.customer)
    factories.TrunkFactory()
    factories.NumberFactory(customer=actor.customer, application=beside, number_e164=f"+155512400{number:02d}")
    factories.RateFactory(version=Rate.objects.earliest("pk").version, prefix=f"1999{number:02d}")
    factories.top_up(actor.customer, "1")
    call, leg = steps.place(actor), steps.place(actor)
    Call.objects.filter(pk=call.pk).update(trunk=trunk)
    Call.objects.filter(pk=leg.pk).update(parent=call)
    event = WebhookEvent.objects.get(delivery_id=names["delivery_id"])
    DeliveryAttempt.objects.create(event=event, number=number + 1, started_at=now, duration_ms=5, response="ok")
    CallEvent.objects.create(call=Call.objects.get(public_id=names["call_id"]), at=now, kind="accepted", data={})
    shown(Call.objects.get(public_id=names["call_id"]))


# Pages


@pytest.fixture(scope="module", autouse=True)
def _swept(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """Dead rows and statistics outlive a rollback: other tests look at plans, too."""
    yield
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE calls_call, billing_entry, webhooks_webhookevent")


@pytest.fixture
def crowded(acme: Actor, mine: dict[str, str]) -> dict[str, str]:
    """Acme's calls, entries and events, 100,000 of each, every hundredth call and delivery failed."""
    fill(Call, Call.objects.get(public_id=mine["call_id"]), CALLS)
    fill(Entry, Entry.objects.get(customer=acme.customer), ENTRIES)
    fill(WebhookEvent, WebhookEvent.objects.get(delivery_id=mine["delivery_id"]), EVENTS)
    return mine


# What differs from row to row, by n from 0.
AT = "timestamptz '2026-01-01 00:00:00Z' + n * interval '1 second'"
CALLS = {
    "public_id": "'call_' || n",
    "provider_call_id": "gen_random_uuid()",
    "accepted_at": AT,
    "to_number": "'+1555123' || lpad((n % 5000)::text, 4, '0')",
    "status": "CASE WHEN n % 100 = 0 THEN 'failed' ELSE 'completed' END",
    "end_reason": "'hangup'",
    "ended_at": AT,
    "settled_at": AT,
    "deadline_at": "NULL",
    "cost_amount": "0.6",
}
ENTRIES = {
    "public_id": "'le_' || n",
    "created_at": AT,
    "key": "'charge:' || n",
    "call_id": "'call_' || n",
    "kind": "CASE WHEN n % 1000 = 0 THEN 'top_up' ELSE 'charge' END",
    "amount": "CASE WHEN n % 1000 = 0 THEN 600 ELSE -0.6 END",
}
EVENTS = {
    "public_id": "'evt_' || n",
    "delivery_id": "'whd_' || n",
    "call_id": "'call_' || n",
    "type": "CASE WHEN n % 100 < 2 THEN 'call.failed' ELSE 'call.created' END",
    "body": "'{}'",
    "created_at": AT,
    "status": "CASE WHEN n % 100 = 0 THEN 'exhausted' ELSE 'delivered' END",
    "next_attempt_at": "NULL",
    "delivered_at": "CASE WHEN n % 100 > 0 THEN " + AT + " END",
    "transaction": "1 + n / 1000",
}


def fill(model: Any, pattern: Any, different: dict[str, str], rows: int = ROWS) -> None:
    """Insert copies of a row, which keep its columns but those that are different; older than it, by their keys.

    Rows after it make room.
    """
    table = model._meta.db_table
    columns = [field.column for field in model._meta.concrete_fields if not field.primary_key]
    values = [different.get(column, f"pattern.{column}") for column in columns]
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")  # no look at foreign keys, row by row
        cursor.execute(f"DELETE FROM {table} WHERE id > {pattern.pk}")
        cursor.execute(f"UPDATE {table} SET id = id + {rows} WHERE id = {pattern.pk}")
        cursor.execute(
            f"INSERT INTO {table} (id, {', '.join(columns)}) SELECT {pattern.pk} + n, {', '.join(values)} "
            f"FROM generate_series(0, {rows} - 1) n, {table} pattern WHERE pattern.id = {pattern.pk + rows}"
        )
        cursor.execute("SET LOCAL session_replication_role = origin")
        cursor.execute(f"ANALYZE {table}")


@pytest.mark.timeout(180)
def test_page_1000_costs_what_page_1_costs(acme: Actor, crowded: dict[str, str]) -> None:
    dear = [
        (name, filtered, depth, blocks)
        for name, queries in FILTERS.items()
        for filtered in queries
        for depth, blocks in costs(acme, crowded, name, filtered)
        if blocks > MOST_BLOCKS
    ]

    assert dear == []


def costs(actor: Actor, names: dict[str, str], name: str, filtered: str) -> list[tuple[str, int]]:
    """Return the blocks that the first page reads, one in the middle and the last."""
    door = next(door for door in doors.every() if str(door) == name)
    path = f"{door.path}?{filtered.format(**names)}"
    first = LISTED[name]._default_manager.order_by("pk").first()
    assert first is not None
    if name == "read_events":
        rows = {"first": 0, "middle": ROWS // 2, "last": ROWS - 60}
        cursors = {depth: f"&after={api.cursor(1 + n // 1000, first.pk + n)}" for depth, n in rows.items()}
    else:
        cursors = {"first": "", "middle": cursor_at(first.pk + ROWS // 2), "last": cursor_at(first.pk + 60)}
    return [(depth, blocks_read(partial(actor.client().get, path + cursor))) for depth, cursor in cursors.items()]


def test_a_replay_reads_its_range_alone(acme: Actor, mine: dict[str, str]) -> None:
    fill(WebhookEvent, WebhookEvent.objects.get(delivery_id=mine["delivery_id"]), EVENTS, rows=40_000)
    body = {"from": "2026-01-01T05:00:00Z", "to": "2026-01-01T05:20:00Z", "status": "exhausted"}

    blocks = blocks_read(partial(acme.client().post, "/v1/webhooks/replay", body, format="json"))

    assert WebhookEvent.objects.filter(replayed_at__isnull=False).count() == 12
    assert blocks <= 50


def cursor_at(key: int) -> str:
    return f"&cursor={api.cursor(key)}"


def blocks_read(ask: Callable[[], Any]) -> int:
    """Return the blocks that all queries of a request touch, in memory or not."""
    with CaptureQueriesContext(connection) as captured:
        assert ask().status_code == 200
    selects = [query["sql"] for query in captured if query["sql"].lstrip().startswith("SELECT")]
    blocks = 0
    with connection.cursor() as cursor:
        for sql in selects:
            cursor.execute("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) " + sql.replace("%", "%%"))
            top = cursor.fetchone()[0][0]["Plan"]
            blocks += top["Shared Hit Blocks"] + top["Shared Read Blocks"]
    return blocks
