"""Lists, filters and searches of the console at 300,000 calls: few questions each, and none reads a table through.

What a question reads is counted in blocks, so that a walk through an index from end to end is found as well.
"""

import gc
import html
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from importlib import import_module
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from pytest_django.fixtures import Settings

from applications.models import Application, Customer
from billing.models import Entry, Hold, Rate
from calls.admin import calls
from calls.models import Call, CallEvent, Status
from calls.seeding import volume
from minivoice import clock, lists
from minivoice.prepared import Rows, Statement, Update
from tests.console.pages import OWN_MODELS, address
from tests.factories import DeckFactory, VersionFactory
from webhooks.models import WebhookEvent

CALLS = 300_000
RATES = 40_000  # of each version
MOST_BLOCKS = 2_000  # of 8 KiB that a page may read; the calls alone are some 20,000
MOST_QUERIES = 35


@pytest.fixture
def crowd(db: None, monkeypatch: pytest.MonkeyPatch, settings: Settings) -> Client:
    """A superuser's browser, and the calls, which end with the transaction of the test."""
    settings.TIMELINE_DAYS = settings.WEBHOOK_EVENT_DAYS = 45  # half as many rows are as good to find a scan by
    monkeypatch.setattr(volume, "BATCH", CALLS)
    monkeypatch.setattr(calls, "_MOST_NEWEST", 300)  # as much less as the calls are
    with indexes_made_at_once():
        for _ in volume.seed(calls=CALLS, customers=50, now=clock.now(), days=395):
            pass
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    browser = Client()
    browser.force_login(User.objects.create_superuser("root"))
    return browser


@contextmanager
def indexes_made_at_once() -> Iterator[None]:
    """Leave out the indexes of calls while they are written: made afterwards, they take a third of the time."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid) FROM pg_index"
            " WHERE indrelid = ANY('{calls_call, calls_attempt, billing_hold}'::regclass[])"
            " AND NOT indisunique"
        )
        indexes = cursor.fetchall()
        for name, _ in indexes:
            cursor.execute(f"DROP INDEX {name}")
    yield
    with connection.cursor() as cursor:
        for _, definition in indexes:
            cursor.execute(definition)


@pytest.mark.timeout(400)
def test_no_list_filter_or_search_reads_a_table_through(crowd: Client) -> None:
    assert Call.objects.count() == CALLS
    costs = {url: cost(crowd, url) for url in every_address(crowd)}

    assert len(costs) > 60
    dear = {url: found for url, found in costs.items() if found[0] > MOST_QUERIES or found[1] > MOST_BLOCKS}
    assert dear == {}
    assert {url: scans for url, (_, _, scans) in costs.items() if scans} == {}
    times_are_found_by_keys()
    assert {sql: scans for sql, scans in scans_of_what_is_planned_once() if scans} == {}


def test_rates_are_listed_and_searched_in_one_version_of_many(root: Client) -> None:
    deck = DeckFactory()
    with connection.cursor() as cursor:
        for years in range(5):
            at = clock.now() - timedelta(days=365 * years)
            cursor.execute(_RATES, [VersionFactory(deck=deck, effective_from=at).pk, RATES])
        cursor.execute("ANALYZE billing_rate")
    url = address(Rate, "changelist")
    terms = ("441", "%2B4412345", "4499999999", "Destination 44123", "nobody")
    urls = [url, f"{url}?blocked__exact=1", *(f"{url}?q={term}" for term in terms)]

    blocks = {url: cost(root, url, big=("billing_rate ",))[1:] for url in urls}
    assert {url: found for url, found in blocks.items() if found[0] > MOST_BLOCKS / 2 or found[1]} == {}


def every_address(browser: Client) -> Iterator[str]:
    """The home page, each list with each choice of each filter and each order, searches, and a row's page of each."""
    home = reverse("admin:index")
    yield home
    yield from map(
        html.unescape, re.findall(r'href="(/admin/[a-z]+/[a-z]+/\?[^"]+)"', browser.get(home).content.decode())
    )
    for model in OWN_MODELS:
        url = address(model, "changelist")
        yield url
        shown = browser.get(url).context["cl"]
        for spec in shown.filter_specs:
            chosen = (choice.get("query_string", "?") for choice in spec.choices(shown))
            yield from (url + query for query in chosen if query != "?")
        yield from (f"{url}?o=-{place}" for place, name in enumerate(shown.list_display) if name in shown.sortable_by)
        if any(field.name == "customer" for field in model._meta.fields) and model is not Customer:
            yield from (f"{url}?customer__id__exact={customer}" for customer in some_customers())
        row = model._default_manager.order_by("-pk").first()
        if row is not None:
            yield address(model, "change", row.pk)
    yield from two_filters(browser)
    yield from of_one_application()
    yield from searches()


def two_filters(browser: Client) -> Iterator[str]:
    """A status of calls with each other filter, and those that hardly any call has together."""
    url = address(Call, "changelist")
    _, _, since, reason = browser.get(url).context["cl"].filter_specs
    own = [f"customer__id__exact={customer}" for customer in some_customers()]
    for spec in (since, reason):
        chosen = [choice["query_string"][1:] for choice in spec.choices(browser.get(url).context["cl"])]
        for status in (Status.COMPLETED, Status.FAILED, Status.CANCELED, Status.QUEUED):
            yield from (f"{url}?status__exact={status}&{other}" for other in (*filter(None, chosen), *own))


def of_one_application() -> Iterator[str]:
    """Events of one application, of a kind and a state that it has none of, too."""
    url, application = address(WebhookEvent, "changelist"), Application.objects.order_by("pk")[0]
    for more in ("", "&type=call.completed", "&type=balance.low", "&status__exact=unaddressed"):
        yield f"{url}?application__id__exact={application.pk}{more}"


def some_customers() -> list[int]:
    """One with most calls, and one with few."""
    keys = list(Customer.objects.order_by("pk").values_list("pk", flat=True))
    return [keys[0], keys[-1]]


def searches() -> Iterator[str]:
    call, event, entry = (model.objects.order_by("pk").first() for model in (Call, WebhookEvent, Entry))  # type: ignore[attr-defined]
    own = Call.objects.filter(direction="outbound").order_by("pk")[0].from_number
    terms: dict[Any, list[Any]] = {
        Call: [call.public_id, call.provider_call_id, call.to_number, own, "+15550000000", "nobody"],
        WebhookEvent: [event.public_id, event.delivery_id, event.call_id, "nobody"],
        Entry: [entry.public_id, entry.call_id, "Customer 0", "Customer", "nobody"],
        Hold: [call.public_id, "nobody"],
    }
    for model, words in terms.items():
        yield from (f"{address(model, 'changelist')}?q={str(word).replace('+', '%2B')}" for word in words)
    everything = [word for words in terms.values() for word in words]
    yield from (f"/admin/search?q={str(word).replace('+', '%2B')}" for word in everything)


BIG = (
    "calls_call ",
    "calls_callevent",
    "calls_attempt",
    "webhooks_",
    "billing_entry",
    "billing_hold",
    "billing_spendday",
)


def cost(browser: Client, url: str, *, big: tuple[str, ...] = BIG) -> tuple[int, int, list[str]]:
    """Return how many questions a page asks, how many blocks they read, and the tables they read through."""
    with CaptureQueriesContext(connection) as captured:
        answer = browser.get(url)
    assert answer.status_code in {200, 302}, (url, answer.status_code)
    blocks, scans = 0, []
    with connection.cursor() as cursor:
        for query in captured.captured_queries:
            if query["sql"].lstrip().startswith(("SELECT", "WITH")):
                cursor.execute("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) " + query["sql"].replace("%", "%%"))
                plan = cursor.fetchone()[0][0]["Plan"]
                blocks += plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]
                scans += [f"{name}: {query['sql'][:300]}" for name in scanned(plan) if f"{name} ".startswith(big)]
    return len(captured), blocks, scans


def scanned(plan: dict[str, Any]) -> Iterator[str]:
    """The tables that a plan reads through."""
    if plan["Node Type"] == "Seq Scan":
        yield plan["Relation Name"]
    for inner in plan.get("Plans", ()):
        yield from scanned(inner)


_RATES = """
INSERT INTO billing_rate (version_id, prefix, description, price_per_minute, connection_fee, initial_increment,
                          subsequent_increment, minimum_charge, blocked)
SELECT %s, prefix, 'Destination ' || prefix, 0.01, 0, 60, 60, 0, false
FROM generate_series(440000000, 440000000 + %s - 1) AS number, LATERAL (SELECT number::text AS prefix) AS written
ORDER BY prefix
"""


def all_of(*kinds: type) -> list[Any]:
    """Every object of these kinds. By `type`, for what is lazy would come to life if it were asked what it is."""
    return [each for each in gc.get_objects() if type(each) in kinds]


def scans_of_what_is_planned_once() -> Iterator[tuple[str, list[str]]]:
    """Each statement that a connection plans once, thus without its values, and the large tables it reads through."""
    for door in ("calls.switchboard", "calls.tasks", "calls.views", "webhooks.tasks"):
        import_module(door)
    for each in all_of(Rows, Update):
        assert each._statement
    statements = {each.numbered for each in all_of(Statement)}
    assert len(statements) > 40
    with connection.cursor() as cursor:
        for sql in statements:
            cursor.execute(f"EXPLAIN (GENERIC_PLAN, FORMAT JSON) {sql}")
            yield sql, [name for name in scanned(cursor.fetchone()[0][0]["Plan"]) if f"{name} ".startswith(BIG)]


def times_are_found_by_keys() -> None:
    """The first row of a time is the right one, wherever that time is."""
    of: Callable[[int], Call] = lambda place: Call.objects.order_by("pk")[place]  # noqa: E731
    for place in (0, 1, CALLS // 2, CALLS - 1):
        call = of(place)
        assert lists.first_since(Call, "accepted_at", call.accepted_at) == call.pk
        assert lists.first_since(Call, "accepted_at", call.accepted_at - timedelta(microseconds=1)) == call.pk
    last = of(CALLS - 1)
    assert lists.first_since(Call, "accepted_at", last.accepted_at + timedelta(days=1)) == last.pk + 1
    CallEvent.objects.all().delete()
    assert lists.first_since(CallEvent, "at", last.accepted_at) == 1
