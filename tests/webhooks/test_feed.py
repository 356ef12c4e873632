"""The feed: every event, in an order that passes over none; a slow committer's neither."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import connection, transaction
from django.db.migrations.executor import MigrationExecutor
from rest_framework.test import APIClient

from applications.models import Application, Customer
from minivoice import api
from tests import factories
from tests.conftest import refusal
from tests.journeys.stage import until
from tests.webhooks.conftest import Publish
from webhooks.models import WebhookEvent

pytestmark = pytest.mark.django_db(transaction=True)

NOW = datetime(2026, 5, 29, 12, 0, tzinfo=UTC)


@pytest.fixture
def client(application: Application) -> APIClient:
    return APIClient(headers={"Authorization": f"Bearer {factories.issue_key(application)}"})


@pytest.fixture
def slow() -> Iterator[Any]:
    """A second connection, whose transaction stays open until it is told to commit."""
    other = connection.copy()
    other.set_autocommit(False)
    yield other
    other.close()


def read(client: APIClient, **query: Any) -> tuple[list[str], str]:
    """Return the ids of a page, and its cursor, once nobody but this test has a transaction open that was begun before.

    The feed waits for those of the whole server: of a platform that other tests run on it, and of its own ANALYZE.
    """
    before = strangers()
    until(lambda: not before & strangers(), seconds=20, what="transactions that are not this test's are over")
    response = client.get("/v1/events", query)
    assert response.status_code == 200, response.json()
    page = response.json()
    assert page["count"] == len(page["data"])
    return [event["id"] for event in page["data"]], page["next_cursor"]


def strangers() -> set[int]:
    """Return the transactions that are open and have a number, but for those of this test process."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT backend_xid::text::bigint FROM pg_stat_activity "
            "WHERE backend_xid IS NOT NULL AND (datname <> current_database() OR backend_type <> 'client backend')"
        )
        return {number for (number,) in cursor.fetchall()}


def write_slowly(slow: Any, pattern: WebhookEvent) -> str:
    """Write an event of the same application over the slow connection, and leave it uncommitted."""
    event_id = "evt_20260529T120000.999999999"
    with slow.cursor() as cursor:
        cursor.execute(
            "INSERT INTO webhooks_webhookevent (public_id, delivery_id, application_id, type, call_id, body, "
            "created_at, url, status, attempts, is_in_flight) "
            "SELECT %s, %s, application_id, type, '', convert_to(%s, 'UTF8'), created_at, '', 'unaddressed', 0, false "
            "FROM webhooks_webhookevent WHERE id = %s",
            [event_id, event_id.replace("evt", "whd"), json.dumps({"id": event_id}), pattern.pk],
        )
    return event_id


def test_shows_every_event_as_its_bytes_tell_it(client: APIClient, publish: Publish, application: Application) -> None:
    delivered = publish(now=NOW)
    WebhookEvent.objects.filter(pk=delivered.pk).update(status="delivered", next_attempt_at=None)
    application.webhook_url = ""
    application.save()
    unaddressed = publish(now=NOW)

    read(client)
    data = client.get("/v1/events").json()["data"]

    assert data == [json.loads(bytes(event.body)) for event in (delivered, unaddressed)]
    assert data[0]["call"]["metadata"] == {"name": "Zoë"}


def test_pages_follow_one_another_and_an_empty_one_tells_where_to_go_on(client: APIClient, publish: Publish) -> None:
    nothing, start = read(client)
    with transaction.atomic():
        together = [publish(now=NOW).public_id for _ in range(3)]
    later = [publish(now=NOW).public_id for _ in range(2)]

    first, cursor = read(client, after=start, limit=2)
    second, cursor = read(client, after=cursor, limit=2)
    third, cursor = read(client, after=cursor, limit=2)
    empty, end = read(client, after=cursor)
    newest = publish(now=NOW).public_id

    assert nothing == []
    assert first + second + third == together + later
    assert (empty, end) == ([], cursor)
    assert read(client, after=end)[0] == [newest]


def test_a_slow_committers_event_is_never_passed_over(client: APIClient, publish: Publish, slow: Any) -> None:
    before = publish(now=NOW)
    overtaken = write_slowly(slow, before)
    quick = publish(now=NOW).public_id  # a later key, committed first

    meanwhile, cursor = read(client)
    slow.commit()
    afterwards, _ = read(client, after=cursor)

    assert meanwhile == [before.public_id]
    assert afterwards == [overtaken, quick]


def test_goes_by_transaction_where_keys_were_given_in_another_order(
    client: APIClient, publish: Publish, slow: Any
) -> None:
    """The transaction that begins first writes its event last: keys alone would lead a reader past one of both."""
    before = publish(now=NOW)
    with slow.cursor() as cursor:
        cursor.execute("SELECT pg_current_xact_id()")
    quick = publish(now=NOW).public_id
    late = write_slowly(slow, before)

    meanwhile, place = read(client)
    slow.commit()

    assert meanwhile == [before.public_id]
    assert read(client, after=place)[0] == [late, quick]


def test_what_is_rolled_back_holds_nothing_up_and_is_never_shown(
    client: APIClient, publish: Publish, slow: Any
) -> None:
    before = publish(now=NOW)
    write_slowly(slow, before)
    quick = publish(now=NOW).public_id
    slow.rollback()

    assert read(client)[0] == [before.public_id, quick]


def test_shows_nothing_of_another_application(client: APIClient, publish: Publish, acme: Customer) -> None:
    beside = Application.objects.create(customer=acme, name="beside")
    stranger = Application.objects.create(customer=Customer.objects.create(name="globex"), name="globex's")
    for other in (beside, stranger):
        publish(other, now=NOW)
    own = publish(now=NOW).public_id
    theirs = APIClient(headers={"Authorization": f"Bearer {factories.issue_key(stranger)}"})
    _, their_cursor = read(theirs)

    assert read(client)[0] == [own]
    assert read(client, after=their_cursor)[0] == [own]


@pytest.mark.parametrize("after", ["", "x", "MQ", "MS4tMQ", "MS4yLjM", "9" * 100])
def test_refuses_a_cursor_that_it_never_gave_out(client: APIClient, after: str) -> None:
    response = client.get("/v1/events", {"after": after})

    assert refusal(response) == (400, "invalid_request")
    assert response.json()["error"]["param"] == "after"


def test_rows_from_before_the_feed_are_in_it_and_their_table_is_not_rewritten(
    client: APIClient, publish: Publish
) -> None:
    events = [publish(now=NOW).public_id for _ in range(3)]
    latest = MigrationExecutor(connection).loader.graph.leaf_nodes("webhooks")
    MigrationExecutor(connection).migrate([("webhooks", "0001_initial")])
    try:
        before = table_file()
        MigrationExecutor(connection).migrate([("webhooks", "0002_replays_and_feed")])
        after = table_file()
    finally:
        MigrationExecutor(connection).migrate(latest)

    assert after == before
    assert WebhookEvent.objects.values("transaction").distinct().count() == 1
    newest = publish(now=NOW).public_id
    assert read(client)[0] == [*events, newest]


def test_begins_anew_where_transactions_count_anew_after_a_restore(client: APIClient, publish: Publish) -> None:
    """As docs/operations.md has it restored: the rows of before belong to no transaction."""
    events = [publish(now=NOW).public_id for _ in range(2)]
    WebhookEvent.objects.update(transaction=0)
    newest = publish(now=NOW).public_id

    found, following = read(client, after=api.cursor(10**12, 7))

    assert found == [*events, newest]
    assert read(client, after=following)[0] == []


def table_file() -> int:
    """Return the number of the file that holds the events' table: a rewritten table has another."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_relation_filenode('webhooks_webhookevent')")
        number: int = cursor.fetchone()[0]
    return number
