"""The movements of a customer's money, as its list narrows them down: every page of every filter is bounded work."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django.db.models import QuerySet, Value
from django.db.models.functions import Coalesce

from billing.models import Entry

_COLUMNS = {"kind": "kind", "created_after": "created_at__gte", "created_before": "created_at__lt"}
_LAG = timedelta(hours=1)  # an entry's time is read before its key is given: never by so much
_NONE, _ALL = Value(0), Value(2**63 - 1)


def entries(*, customer_id: int, wanted: Mapping[str, Any]) -> QuerySet[Entry]:
    """Return the entries of a customer that have what is `wanted`: the filters of `GET /v1/ledger` by their names."""
    own = Entry.objects.filter(customer_id=customer_id)
    rows = own.filter(**{_COLUMNS[name]: value for name, value in wanted.items()})
    # Pages go by key, and a range of times is no range of keys: one that holds it is read off the list's own index.
    if "created_after" in wanted:
        rows = rows.filter(pk__gt=_last_before(own, wanted["created_after"] - _LAG))
    if "created_before" in wanted:
        rows = rows.filter(pk__lt=_first_since(own, wanted["created_before"] + _LAG))
    return rows


def _last_before(own: QuerySet[Entry], moment: datetime) -> Coalesce:
    return Coalesce(own.filter(created_at__lt=moment).order_by("-created_at").values("pk")[:1], _NONE)


def _first_since(own: QuerySet[Entry], moment: datetime) -> Coalesce:
    return Coalesce(own.filter(created_at__gte=moment).order_by("created_at").values("pk")[:1], _ALL)
