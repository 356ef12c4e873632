"""What ties a call to its legs: it wants them while its `Flow` row is there, and ends with the last of them.

So its final event can tell what each leg cost. All this needs the lock on the customer's balance row, which whoever
ends a call, or adds a leg to one, has: no leg is added meanwhile, and no other ends.
"""

from datetime import datetime
from typing import NamedTuple

from django.db import connection

from calls import timeline
from calls.models import FINAL, Call
from calls.reasons import Ending
from minivoice.prepared import Statement


class Legs(NamedTuple):
    """How many legs a call has had, and how many of them are up."""

    all: int
    live: int


def count(call: Call) -> Legs:
    """Count the legs of a call; a leg itself has none."""
    return Legs(0, 0) if call.parent_id is not None else _count(call.pk)


def are_live(call_id: int) -> bool:
    """Tell whether a call has legs that are up."""
    return _count(call_id).live > 0


def wait(call: Call, ending: Ending, *, now: datetime) -> None:
    """Keep how a call ended until its legs have ended too; the first ending stands. Its flow is gone already."""
    if call.hung_up_at is not None:
        return
    call.hung_up_at, call.intent, call.intent_by = ending.at, ending.reason, ending.by or ""
    call.sip_code, call.deadline_at, call.extend_at = ending.sip_code, None, None
    close_attempts(call, ending, now=now)
    timeline.add(call, "legs_awaited", at=now, reason=ending.reason)
    call.save(update_fields=["hung_up_at", "intent", "intent_by", "sip_code", "deadline_at", "extend_at", "events"])


def close_attempts(call: Call, ending: Ending, *, now: datetime) -> None:
    """End what is left of the attempts of a call that has ended."""
    with connection.cursor() as cursor:
        _CLOSE.run(cursor, [now, ending.sip_code, call.pk])


def _count(call_id: int) -> Legs:
    with connection.cursor() as cursor:
        _COUNT.run(cursor, [call_id])
        return Legs(*cursor.fetchone())


_CLOSE = Statement(
    "UPDATE calls_attempt SET state = 'ended', ended_at = %s, sip_code = %s WHERE call_id = %s AND state <> 'ended'"
)

_COUNT = Statement(f"""
SELECT count(*), count(*) FILTER (WHERE NOT status IN ({", ".join(f"'{status}'" for status in sorted(FINAL))}))
FROM calls_call WHERE parent_id = %s
""")  # noqa: S608  words of our own
