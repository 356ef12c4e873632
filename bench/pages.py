"""The pages that `lists` asks for, each with the bare SQL for its rows."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib import admin
from django.db.models import Model, QuerySet
from django.urls import reverse

from applications.models import Application
from bench.clients import Failed
from billing.models import Entry
from calls.models import Call
from minivoice import api, clock
from webhooks.models import WebhookEvent

DEEP = 10_000  # the page that is compared with the first; the last full one of a list that has fewer
OF_API, OF_CONSOLE = 20, 50  # rows of a page
_DEEP_OF_CONSOLE = 1_000  # the last page that the console has


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A page by its path, and the bare SQL for its rows, which `shows` finds on it by their `column`."""

    name: str
    path: str
    sql: str
    values: Sequence[Any]
    column: str
    shows: Callable[[str, Sequence[str]], bool]


def of_api(application: Application) -> list[Page]:
    """The lists of an application, each with its deep page, and its calls by filters."""
    calls = Call.objects.filter(application=application, parent=None).order_by("-pk")
    entries = Entry.objects.filter(customer_id=application.customer_id).order_by("-pk")
    return [
        *_by_key("calls", "/v1/calls", calls),
        *_filtered(calls),
        *_by_key("ledger", "/v1/ledger", entries),
        *_of_feed(application),
    ]


def of_console(application: Application) -> list[Page]:
    """The first page of each list that has rows, and calls as deep as they go, by filters and by a search."""
    calls, url = Call.objects.order_by("-pk"), _list_of(Call)
    last = min(_DEEP_OF_CONSOLE, calls.count() // OF_CONSOLE)
    if last < 2:
        raise Failed("the console's calls have no second page: give the benchmark more --listed")
    some = calls[OF_CONSOLE]
    own = calls.filter(customer=application.customer_id).order_by("-accepted_at", "-pk")
    return [
        *(_console(model._meta.label, _list_of(model), rows) for model, rows in _lists()),  # noqa: SLF001  public in all but name
        _console(f"calls.Call, page {last:,}", f"{url}?p={last}", calls[(last - 1) * OF_CONSOLE :]),
        _console("calls.Call, status", f"{url}?status__exact=failed", calls.filter(status="failed")),
        _console("calls.Call, customer", f"{url}?customer__id__exact={application.customer_id}", own),
        _console("calls.Call, search", f"{url}?q={some.public_id}", calls.filter(public_id=some.public_id)),
    ]


def _by_key(name: str, path: str, rows: QuerySet[Any]) -> list[Page]:
    """The first page and the deep one of a list that goes by its key."""
    number = _deep(name, rows)
    last = rows[(number - 1) * OF_API - 1].pk
    deep = f"{path}?limit={OF_API}&cursor={api.cursor(last)}"
    return [
        _api(name, f"{path}?limit={OF_API}", rows),
        _api(f"{name}, page {number:,}", deep, rows.filter(pk__lt=last)),
    ]


def _filtered(calls: QuerySet[Call]) -> list[Page]:
    """The first page of each of some filters of calls."""
    some = calls[calls.count() // 2]
    moment = clock.text(some.accepted_at)
    filters = {
        "status=failed": calls.filter(status="failed"),
        f"to=%2B{some.to_number[1:]}": calls.filter(to_number=some.to_number),
        f"created_before={moment}": calls.filter(accepted_at__lt=moment),
    }
    return [
        _api(f"calls, {query.partition('=')[0]}", f"/v1/calls?limit={OF_API}&{query}", rows)
        for query, rows in filters.items()
    ]


def _of_feed(application: Application) -> list[Page]:
    """The first page and the deep one of the feed."""
    rows = WebhookEvent.objects.filter(application=application).order_by("transaction", "pk")
    number = _deep("events", rows)
    last = rows[(number - 1) * OF_API - 1]
    places = {"events": (0, 0), f"events, page {number:,}": (last.transaction, last.pk)}
    return [
        Page(
            name=name,
            path=f"/v1/events?limit={OF_API}&after={api.cursor(*place)}",
            sql=_FEED,
            values=[application.pk, *place, OF_API],
            column="call_id",
            shows=_shows_calls,
        )
        for name, place in places.items()
    ]


def _deep(name: str, rows: QuerySet[Any]) -> int:
    """Return which page of a list is its deep one. Raises Failed when there is only one."""
    number = min(DEEP, rows.count() // OF_API)
    if number < 2:
        raise Failed(f"{name}: there is no second page: give the benchmark more --listed")
    return number


def _lists() -> list[tuple[type[Model], QuerySet[Any]]]:
    """The models that the console lists and that have rows, as it orders them."""
    found = []
    for model, page in admin.site._registry.items():  # noqa: SLF001  the one list of what the console lists
        ordering = page.ordering or model._meta.ordering or ()  # noqa: SLF001
        rows = model._default_manager.order_by(*ordering, "-pk")  # noqa: SLF001
        if rows.exists():
            found.append((model, rows))
    return found


def _list_of(model: type[Model]) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")  # noqa: SLF001


def _api(name: str, path: str, rows: QuerySet[Any]) -> Page:
    sql, values = rows[:OF_API].query.sql_with_params()
    return Page(name=name, path=path, sql=sql, values=values, column="public_id", shows=_shows_rows)


def _console(name: str, path: str, rows: QuerySet[Any]) -> Page:
    sql, values = rows[:OF_CONSOLE].query.sql_with_params()
    return Page(name=name, path=path, sql=sql, values=values, column="id", shows=_leads_to)


def _shows_rows(answer: str, ids: Sequence[str]) -> bool:
    return [item["id"] for item in _items(answer)] == ids


def _shows_calls(answer: str, ids: Sequence[str]) -> bool:
    """Events are known by their calls: those of `seed_volume` have no id in their body."""
    return [item["call"]["id"] for item in _items(answer)] == ids


def _leads_to(answer: str, ids: Sequence[str]) -> bool:
    return all(f"/{pk}/change/" in answer for pk in ids)


def _items(answer: str) -> Sequence[Mapping[str, Any]]:
    items: Sequence[Mapping[str, Any]] = json.loads(answer)["data"]
    return items


_FEED = """
SELECT * FROM webhooks_webhookevent WHERE application_id = %s AND (transaction, id) > (%s, %s)
ORDER BY transaction, id LIMIT %s
"""
