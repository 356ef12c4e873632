"""What came of a gather: told when it ends, and by the end of its call when nobody else could."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import connection

from calls import telling, timeline
from calls.models import Call
from minivoice.prepared import Statement

EVENT = "call.gathered"


def outcome(params: Mapping[str, Any], *, digits: str, status: str, timed_out: bool = False) -> dict[str, Any]:
    """Return what `call.gathered` says of a gather with these parameters; digits of a sensitive one are left out."""
    return {
        "digits": None if params["sensitive"] else digits,
        "status": status,
        "timed_out": timed_out,
        **{name: params[name] for name in ("min_digits", "max_digits", "timeout_seconds", "finish_on_key")},
    }


def close(call: Call, *, now: datetime) -> None:
    """Delete the flow of a call that ends. A gather that still ran in it is told of: its digits died with a process.
    A conference that ends with the call is over.

    Needs the transaction of the end, and the call's row locked.
    """
    with connection.cursor() as cursor:
        _CLOSE.run(cursor, [call.pk])
        found = cursor.fetchone()
    if found is None or found[0] is None:
        return
    params, gathers = json.loads(found[0]), found[1]
    data = outcome(params, digits="", status="hangup")
    telling.publish(call, EVENT, data, now=now, occurrence=gathers + 1)
    timeline.add(call, "gathered", at=now, **data)


# The parameters of the action that ran when it was a gather; none where other instructions have not begun yet. And the
# conference that the call was in is over when it ends with this call.
_CLOSE = Statement("""
WITH gone AS (
    DELETE FROM calls_flow WHERE call_id = %s
    RETURNING CASE WHEN running = generation AND actions -> position::int ->> 0 = 'gather'
        THEN actions -> position::int -> 1 END AS params, gathers, CASE WHEN is_host THEN conference_id END AS left_id
), ended AS (
    UPDATE calls_conference SET is_over = true WHERE id = (SELECT left_id FROM gone)
)
SELECT params, gathers FROM gone
""")
