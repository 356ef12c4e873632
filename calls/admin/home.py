"""The console's first page: how things stand now, today's money, and charts of a day and a month.

The figures ask what is live, the newest calls by their key, and one index for each customer or application: none
grows with the table of calls. The charts are asked for once a minute by a process. An open page asks for its figures
every five seconds with a signed token, for a session would cost as many queries again as they do: two. The token says
who asks; what they may see is read with the figures, each time.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, TypedDict

from django.conf import settings
from django.http import HttpRequest, JsonResponse
from django.urls import reverse
from django.utils.http import urlencode

from billing.models import SpendDay
from calls.admin import charts, questions
from calls.admin.questions import SEES_CALLS, SEES_MONEY
from calls.models import Call
from minivoice import clock, console, open_page
from telephony.models import Engine, Trunk
from webhooks.models import WebhookEvent

_QUESTION = "calls.admin.home"


class Figure(TypedDict):
    """One figure: what it reads, the page of the rows behind it, the parts of its note, each with a page or none.

    `needs` is the permission to follow `url`.
    """

    text: str
    url: str
    note: list[tuple[str, str]]
    needs: str


def dashboard(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Add what the page shows of what its reader may see; the theme calls this."""
    user: Any = request.user
    now = clock.now()
    sees, found = questions.live(staff_id=user.pk, now=now)
    if SEES_CALLS in sees:
        context |= {"live": _open_to(user, _live(found, now)), "hours": _hours(now), "days": _days(now)}
    if SEES_MONEY in sees:
        context |= {"charged": _open_to(user, _charged(now)), "charges": _charges(now)}
    if user.has_perm("billing.view_balance"):
        context["low"] = _low()
    token = open_page.token(user.pk, question=_QUESTION)
    context["figures_url"] = reverse("figures", args=[token]) if sees else ""
    return {**context, "title": "Home", "second_factor": settings.REQUIRE_SECOND_FACTOR}


def figures(request: HttpRequest, token: str) -> JsonResponse:
    """Tell an open page its figures as they are now, by their names."""
    try:
        staff_id = open_page.reader(token, question=_QUESTION)
    except open_page.Stranger:
        return JsonResponse({}, status=403)
    now = clock.now()
    sees, found = questions.live(staff_id=staff_id, now=now)
    if not sees:
        return JsonResponse({}, status=403)
    told = {**(_live(found, now) if SEES_CALLS in sees else {}), **(_charged(now) if SEES_MONEY in sees else {})}
    return JsonResponse(told, headers={"Cache-Control": "no-store"})


def _live(found: Mapping[str, Any], now: datetime) -> dict[str, Figure]:
    """Return how things stand, each figure with the page of the rows behind it."""
    attempts, answered = found["ended"], found["answered"]
    minute, hour = ({"accepted_at__gte": (now - age).isoformat()} for age in (timedelta(minutes=1), timedelta(hours=1)))
    failed = {"status__exact": "failed", **hour}
    reasons = [
        (f"{reason.replace('_', ' ')} {count}", _rows(Call, {**failed, "end_reason__exact": reason}))
        for reason, count in found["reasons"]
    ]
    up, down, unknown = (found["trunks"].get(state, 0) for state in ("up", "down", "pending"))
    return {
        "calls_up": _figure(found["up"], Call, {"up": "yes"}, f"{found['talking']} talking"),
        "calls_per_second": _figure(f"{found['lately'] / 60:.1f}", Call, minute, "accepted, over the last minute"),
        "answer_rate": _figure(
            f"{answered / attempts:.0%}" if attempts else "–",  # noqa: RUF001  a dash, as in print
            Call,
            {"up": "no", **hour},
            f"of {attempts} ended, of the last hour's",
        ),
        "failures": _figure(found["failed"], Call, failed, reasons or "none in the last hour"),
        "webhooks": _figure(
            found["waiting"], WebhookEvent, {"status__exact": "pending"}, "events that wait for delivery or a retry"
        ),
        "trunks": _figure(
            f"{up} up, {down} down", Trunk, {"is_active__exact": 1}, f"{unknown} not heard of yet" if unknown else ""
        ),
        "engine": _figure(
            "up" if found["engine"] else "away",
            Engine,
            {},
            "calls can be placed" if found["engine"] else "new calls are refused until it is heard again",
        ),
    }


def _charged(now: datetime) -> dict[str, Figure]:
    """Return what was charged today and this month, by currency."""
    found = questions.charged(today=now.date())
    today = ", ".join(console.amount(charged, currency) for currency, charged, _ in found if charged)
    month = ", ".join(console.amount(charged, currency) for currency, _, charged in found if charged)
    since = {"day__gte": f"{now:%Y-%m}-01"}
    return {
        "charged_today": _figure(
            today or "nothing yet", SpendDay, {"day__gte": f"{now:%Y-%m-%d}"}, "since midnight UTC"
        ),
        "charged_this_month": _figure(month or "nothing yet", SpendDay, since, f"since {since['day__gte']}"),
    }


def _low() -> list[dict[str, Any]]:
    """Return the customers that are about to run dry: under their mark, or with nothing left."""
    return [
        {
            "name": name,
            "available": console.amount(available, currency),
            "url": reverse("admin:applications_customer_change", args=[pk]),
        }
        for pk, name, available, currency in questions.low()
    ]


def _hours(now: datetime) -> dict[str, Any]:
    """Return the chart of the last 24 hours: calls by hour, answered or not."""
    since = now.replace(minute=0, second=0, microsecond=0) - timedelta(hours=23)
    counts = {hour: (answered, rest) for hour, answered, rest in questions.calls_by_hour(since=since)}
    hours = [since + timedelta(hours=number) for number in range(24)]
    return charts.chart(
        [f"{hour:%H}:00" for hour in hours],
        {
            "answered": [counts.get(hour, (0, 0))[0] for hour in hours],
            "not answered": [counts.get(hour, (0, 0))[1] for hour in hours],
        },
    )


def _days(now: datetime) -> dict[str, Any]:
    """Return the chart of the last 30 days: calls by the day on which they were settled."""
    first = now.date() - timedelta(days=29)
    counts = dict(questions.calls_by_day(first=first))
    days = [first + timedelta(days=number) for number in range(30)]
    return charts.chart([f"{day:%m-%d}" for day in days], {"calls": [int(counts.get(day, 0)) for day in days]})


def _charges(now: datetime) -> dict[str, Any]:
    """Return the chart of the last 30 days: what was charged by day, one line a currency."""
    first = now.date() - timedelta(days=29)
    days = [first + timedelta(days=number) for number in range(30)]
    lines: dict[str, list[Decimal]] = {}
    for day, currency, charged in questions.charges_by_day(first=first):
        lines.setdefault(currency, [Decimal(0)] * 30)[(day - first).days] = charged
    drawn = {name: list(map(float, line)) for name, line in lines.items()}
    return charts.chart([f"{day:%m-%d}" for day in days], drawn, is_line=True)


def _figure(text: object, model: Any, filters: Mapping[str, str | int], note: str | list[tuple[str, str]]) -> Figure:
    """Return a figure; the parts of a note that have rows of their own come with their pages."""
    parts = [(note, "")] if isinstance(note, str) else note
    return {"text": str(text), "url": _rows(model, filters), "note": parts, "needs": _name(model, ".view_")}


def _rows(model: Any, filters: Mapping[str, str | int]) -> str:
    """Return the address of a list."""
    page = reverse(f"admin:{_name(model, '_')}_changelist")
    return f"{page}?{urlencode(filters)}" if filters else page


def _name(model: Any, joined: str) -> str:
    return f"{model._meta.app_label}{joined}{model._meta.model_name}"  # noqa: SLF001  public


def _open_to(user: Any, figures: dict[str, Figure]) -> dict[str, Figure]:
    """Return figures without the links that `user` may not follow; who sees calls may follow those of notes."""
    return {
        name: figure if user.has_perm(figure["needs"]) else {**figure, "url": ""} for name, figure in figures.items()
    }
