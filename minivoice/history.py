"""The history of a row: each change of it, by staff or by API, from what to what. django-simple-history keeps it."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

from minivoice import masking, money

_SHOWN = 50
_KINDS = {"+": "added", "-": "deleted"}


class Change(NamedTuple):
    """One change of a row: `lines` tell what it changed from what to what."""

    at: datetime
    by: str
    lines: list[str]


def changes(row: Any, *, hidden: Sequence[str] = ()) -> list[Change]:
    """Return the latest changes of `row`, newest first, without the fields named `hidden`."""
    versions = list(row.history.select_related("history_user").order_by("-history_id")[: _SHOWN + 1])
    told = [
        Change(version.history_date, _who(version), _lines(version, before, hidden))
        for version, before in zip(versions, [*versions[1:], None], strict=True)
    ]
    return [change for change in told[:_SHOWN] if change.lines]


def text(value: Any) -> str:
    """Return a value as a history tells it."""
    if value is None or value in ("", []):
        return "nothing"
    if isinstance(value, Decimal):
        return money.text(value)
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _who(version: Any) -> str:
    user = version.history_user
    return user.get_username() if user else "the customer's API, or the platform"


def _lines(version: Any, before: Any, hidden: Sequence[str]) -> list[str]:
    if before is None or version.history_type in _KINDS:
        return [_KINDS.get(version.history_type, "the oldest version that is kept")]
    fields = [field for field in version.tracked_fields if field.name not in hidden]
    values = [(field, getattr(before, field.attname), getattr(version, field.attname)) for field in fields]
    lines = [f"{field.verbose_name} from {text(old)} to {text(new)}" for field, old, new in values if old != new]
    return lines if masking.may_see() else [masking.mask(line) for line in lines]
