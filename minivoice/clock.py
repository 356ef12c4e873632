"""The one clock. Doors read it once and pass the time on; nothing below them asks what time it is."""

from datetime import UTC, datetime
from typing import overload


def now() -> datetime:
    """Return the present moment, in UTC."""
    return datetime.now(UTC)


@overload
def text(moment: datetime) -> str: ...
@overload
def text(moment: datetime | None) -> str | None: ...
def text(moment: datetime | None) -> str | None:
    """Return `moment` as the API writes it: RFC 3339, UTC, milliseconds, `Z`; None stays None."""
    if moment is None:
        return None
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
