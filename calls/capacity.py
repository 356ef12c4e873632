"""How much a trunk carries, and what it may: its channels and its calls per second, counted from attempts."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db import connection

from telephony import routing
from telephony.provisioning import Load

_REFUSED = (401, 403, 407)
_LATELY = timedelta(hours=1)


def trunk_with_room(*, attempt_id: int, customer_id: int, number: str, trunk_id: int, now: datetime) -> int | None:
    """Return the first trunk that has room for a call now: the attempt's own, else the next; None when all are full.

    `number` is the dialled one. Needs the transaction that claims the attempt: the limited trunks among them stay
    locked until its end, so that no two claims count the same free channel. They are locked in the order of their ids.
    """
    with connection.cursor() as cursor:
        cursor.execute(_TRIED, [attempt_id])
        trunks = dict(cursor.fetchall())
        tried = trunks.keys() - {trunk_id}
        candidates = [trunk_id]
        if number.startswith("+"):  # a SIP URI is of one trunk
            routes = routing.outbound_trunks(
                customer_id=customer_id, number=number, without=[*tried, trunk_id], is_own=trunks[trunk_id]
            )
            candidates += [route.trunk_id for route in routes]
        full = _full(candidates, now)
    return next((candidate for candidate in candidates if candidate not in full), None)


def load(*, now: datetime) -> Load:
    """Return what calls know of trunks' health: channels in use, and credentials that were refused last."""
    with connection.cursor() as cursor:
        cursor.execute(_CHANNELS)
        channels = dict(cursor.fetchall())
        cursor.execute(_LAST, {"since": now - _LATELY})
        refusals = {trunk: (code, at) for trunk, code, at in cursor.fetchall() if code in _REFUSED}
    return Load(channels=channels, refusals=refusals)


def _full(candidates: Sequence[int], now: datetime) -> set[int]:
    """Lock those of the trunks that have limits; return those that have reached one."""
    with connection.cursor() as cursor:
        cursor.execute(_LOCK, [list(candidates)])
        limits = cursor.fetchall()
        # A statement of its own: one that had to wait for the lock would count what was there before it waited.
        cursor.execute(_COUNTS, {"trunks": [trunk for trunk, _, _ in limits], "since": now - timedelta(seconds=1)})
        counts = {trunk: (channels, lately) for trunk, channels, lately in cursor.fetchall()}
    return {
        trunk
        for trunk, max_channels, max_cps in limits
        if (max_channels is not None and counts[trunk][0] >= max_channels)
        or (max_cps is not None and counts[trunk][1] >= max_cps)
    }


_TRIED = """
SELECT trunk.id, trunk.customer_id IS NOT NULL
FROM calls_attempt AS attempt JOIN telephony_trunk AS trunk ON trunk.id = attempt.trunk_id
WHERE attempt.call_id = (SELECT call_id FROM calls_attempt WHERE id = %s)
"""
_LOCK = """
SELECT id, max_channels, max_cps FROM telephony_trunk
WHERE id = ANY(%s) AND (max_channels IS NOT NULL OR max_cps IS NOT NULL)
ORDER BY id FOR NO KEY UPDATE
"""
_COUNTS = """
SELECT trunk,
       (SELECT count(*) FROM calls_attempt
        WHERE trunk_id = trunk AND state IN ('claimed', 'taken', 'unclear')),
       (SELECT count(*) FROM calls_attempt WHERE trunk_id = trunk AND claimed_at > %(since)s)
FROM unnest(%(trunks)s::bigint[]) AS trunk
"""
_CHANNELS = """
SELECT attempt.trunk_id, count(*)
FROM calls_attempt AS attempt JOIN telephony_trunk AS trunk ON trunk.id = attempt.trunk_id
WHERE attempt.state IN ('claimed', 'taken', 'unclear') AND trunk.max_channels IS NOT NULL
GROUP BY attempt.trunk_id
"""
_LAST = """
SELECT trunk.id, last.sip_code, last.ended_at
FROM telephony_trunk AS trunk CROSS JOIN LATERAL (
    SELECT sip_code, ended_at FROM calls_attempt
    WHERE trunk_id = trunk.id AND claimed_at > %(since)s AND state = 'ended'
    ORDER BY claimed_at DESC LIMIT 1
) AS last
WHERE trunk.is_active
"""
