"""What an application's calls came to in a period: number, seconds, cost. Calls count when they are settled."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated, Any, NotRequired, TypedDict, cast

from django.db.models import Count, F, Sum
from django.db.models.functions import Coalesce, TruncDate

from applications.models import Application
from billing.models import Balance
from calls.models import Call
from minivoice import clock, money, schema

GROUPS = {
    "day": TruncDate("settled_at", tzinfo=UTC),
    "destination": F("rate_prefix"),
    "trunk": F("trunk__public_id"),
}


class SummaryObject(TypedDict):
    """Sums over calls. `billsec_seconds` are the seconds that were billed."""

    calls: int
    billsec_seconds: int
    cost_amount: schema.Amount
    cost_currency: str


class DayUsageObject(SummaryObject):
    """The calls settled on one UTC day."""

    day: Annotated[str, schema.Keywords({"format": "date"})]


class DestinationUsageObject(SummaryObject):
    """The calls to one destination: the prefix of the rate that priced them."""

    destination: str


class TrunkUsageObject(SummaryObject):
    """The calls over one trunk; null: none was reached."""

    trunk_id: schema.Id | None


Group = DayUsageObject | DestinationUsageObject | TrunkUsageObject
_Period = TypedDict("_Period", {"from": schema.Time, "to": schema.Time})


class UsageObject(_Period):
    """Usage of the application in `[from, to)`; `data` when it was asked for in groups."""

    application_id: schema.Id
    summary: SummaryObject
    data: NotRequired[list[Group]]


@dataclass(frozen=True, slots=True)
class Sums:
    """The calls of one group, or of all."""

    key: date | str | None
    calls: int
    seconds: int
    cost: Decimal


def month_of(now: datetime) -> tuple[datetime, datetime]:
    """Return when the UTC month of `now` begins and when the next one does."""
    first = now.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    year, month = divmod(first.year * 12 + first.month, 12)
    return first, first.replace(year=year, month=month + 1)


def report(*, application: Application, start: datetime, end: datetime, group_by: str = "") -> UsageObject:
    """Return the usage of `application` over calls settled in `[start, end)`, with `data` for a `group_by` of GROUPS.

    Raises Balance.DoesNotExist for a customer without an account.
    """
    currency = Balance.objects.get(customer_id=application.customer_id).currency
    groups = _read(application, start, end, group_by)
    total = Sums(
        key=None,
        calls=sum(group.calls for group in groups),
        seconds=sum(group.seconds for group in groups),
        cost=sum((group.cost for group in groups), Decimal(0)),
    )
    usage: UsageObject = {
        "application_id": application.public_id,
        "from": clock.text(start),
        "to": clock.text(end),
        "summary": _summary(total, currency),
    }
    if group_by:
        usage["data"] = [_group(group, currency, group_by) for group in groups]
    return usage


_SUMS = {
    "calls": Count("pk"),
    "seconds": Coalesce(Sum("billable_seconds"), 0),
    "cost": Coalesce(Sum("cost_amount"), Decimal(0)),
}


def _read(application: Application, start: datetime, end: datetime, group_by: str) -> list[Sums]:
    """Return the sums of each group in the order of the keys, or one over all."""
    calls = Call.objects.filter(application=application, settled_at__gte=start, settled_at__lt=end)
    if not group_by:
        totals: dict[str, Any] = calls.aggregate(**_SUMS)
        return [Sums(key=None, **totals)]
    groups = calls.values(key=GROUPS[group_by]).annotate(**_SUMS).order_by("key")
    return [Sums(**row) for row in cast("Iterable[dict[str, Any]]", groups)]


def _summary(sums: Sums, currency: str) -> SummaryObject:
    return {
        "calls": sums.calls,
        "billsec_seconds": sums.seconds,
        "cost_amount": money.text(sums.cost),
        "cost_currency": currency,
    }


def _group(sums: Sums, currency: str, group_by: str) -> Group:
    summary = _summary(sums, currency)
    match group_by:
        case "day":
            return {"day": str(sums.key), **summary}
        case "destination":
            return {"destination": str(sums.key), **summary}
        case _:
            return {"trunk_id": None if sums.key is None else str(sums.key), **summary}
