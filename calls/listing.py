"""The calls of an application, as its lists narrow them down: every page of every filter is bounded work."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db.models import QuerySet, Value
from django.db.models.functions import Coalesce

from applications.models import Application
from calls.models import Call

_COLUMNS = {"status": "status", "direction": "direction", "from": "from_number", "to": "to_number"}
_NONE = Value(2**63 - 1)


def calls(*, application: Application, wanted: Mapping[str, Any]) -> QuerySet[Call]:
    """Return the calls of `application` that have what is `wanted`: the filters of `GET /v1/calls` by their names.

    Legs of transfers and bridges are left out unless asked for by their parent.
    """
    rows = Call.objects.filter(application=application)
    parent = wanted.get("parent_call_id")
    rows = rows.filter(parent=None) if parent is None else rows.filter(parent__public_id=parent)
    rows = rows.filter(**{column: wanted[name] for name, column in _COLUMNS.items() if name in wanted})
    if "created_after" in wanted:
        rows = rows.filter(pk__gte=_first_since(application, wanted["created_after"]))
    if "created_before" in wanted:
        rows = rows.filter(pk__lt=_first_since(application, wanted["created_before"]))
    return rows


def _first_since(application: Application, moment: datetime) -> Coalesce:
    """The key of the customer's first call since `moment`: a customer's calls get their keys in the order of their
    times, for both are given under its balance's lock. A range of keys is read off the list's own index.
    """
    since = Call.objects.filter(customer_id=application.customer_id, accepted_at__gte=moment).order_by("accepted_at")
    return Coalesce(since.values("pk")[:1], _NONE)
