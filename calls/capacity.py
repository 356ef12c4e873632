"""How much a trunk carries, and what it may: its channels and its calls per second, counted from attempts."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection

from telephony import routing
from telephony.provisioning import Load

_LATELY = timedelta(hours=1)
_DOUBTED_FOR = timedelta(minutes=1)
_NEWEST = 100
_MOST_LOOKED_AT = 5_000


@dataclass(frozen=True, slots=True)
class Hour:
    """Calls up on a trunk, and the last hour's calls out over it: how many were answered, the others by SIP code."""

    calls_up: int
    answered: int
    failures: Sequence[tuple[int | None, int]]  # most frequent first

    @property
    def attempts(self) -> int:
        """How many are over, or were answered."""
        return self.answered + sum(count for _, count in self.failures)


def trunk_with_room(
    *, attempt_id: int, customer_id: int, number: str, trunk_id: int, may_change: bool, now: datetime
) -> int | None:
    """Return the first trunk that has room for a call now: the attempt's own, else the next; None when all are full.

    `number` is the dialled one, `may_change` whether another trunk than its own will do. Needs the transaction that
    claims the attempt: the limited trunks among them stay locked until its end, so that no two claims count the same
    free channel. They are locked in the order of their ids.
    """
    with connection.cursor() as cursor:
        cursor.execute(_TRIED, [attempt_id])
        trunks = dict(cursor.fetchall())
        tried = trunks.keys() - {trunk_id}
        candidates = [trunk_id]
        if may_change and number.startswith("+"):  # a SIP URI is of one trunk
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
        cursor.execute(_REFUSALS, {"since": now - _LATELY, "doubted_since": now - _DOUBTED_FOR, "newest": _NEWEST})
        refusals = {trunk: (code, at) for trunk, code, at in cursor.fetchall()}
    return Load(channels=channels, refusals=refusals)


def last_hour(*, trunk_id: int, now: datetime) -> Hour:
    """Return what came of the calls out over a trunk in the last hour, or of the newest thousands of them."""
    with connection.cursor() as cursor:
        cursor.execute(_UP, [trunk_id])
        (calls_up,) = cursor.fetchone()
        cursor.execute(_HOUR, {"trunk": trunk_id, "since": now - _LATELY, "most": _MOST_LOOKED_AT})
        outcomes = cursor.fetchall()
    failures = [(code, count) for is_answered, code, count in outcomes if not is_answered]
    answered = sum(count for is_answered, _, count in outcomes if is_answered)
    return Hour(calls_up=calls_up, answered=answered, failures=failures)


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
_UP = "SELECT count(*) FROM calls_attempt WHERE trunk_id = %s AND state IN ('claimed', 'taken', 'unclear')"
# A call takes no trunk twice: one that was answered was answered over the trunk that it then had.
_HOUR = """
SELECT is_answered, CASE WHEN NOT is_answered THEN sip_code END AS code, count(*)
FROM (
    SELECT state, attempt.sip_code, call.answered_at IS NOT NULL AND call.trunk_id = attempt.trunk_id AS is_answered
    FROM (
        SELECT call_id, trunk_id, state, sip_code FROM calls_attempt
        WHERE trunk_id = %(trunk)s AND claimed_at > %(since)s ORDER BY claimed_at DESC LIMIT %(most)s
    ) AS attempt JOIN calls_call AS call ON call.id = attempt.call_id
    WHERE call.direction = 'outbound'
) AS lately
WHERE is_answered OR state = 'ended'
GROUP BY is_answered, code ORDER BY count(*) DESC, code
"""
_CHANNELS = """
SELECT attempt.trunk_id, count(*)
FROM calls_attempt AS attempt JOIN telephony_trunk AS trunk ON trunk.id = attempt.trunk_id
WHERE attempt.state IN ('claimed', 'taken', 'unclear') AND trunk.max_channels IS NOT NULL
GROUP BY attempt.trunk_id
"""
# Carriers answer a wrong password 403, and as often a number or caller id that they bar, which is one customer's doing:
# nobody else's calls may leave the trunk for that. So it counts for credentials that no answered call has proved, and
# not for long: the next call finds out anew.
_REFUSALS = """
SELECT trunk.id, last.sip_code, last.ended_at
FROM telephony_trunk AS trunk CROSS JOIN LATERAL (
    SELECT sip_code, ended_at FROM calls_attempt
    WHERE trunk_id = trunk.id AND claimed_at > %(since)s AND state = 'ended'
    ORDER BY claimed_at DESC LIMIT 1
) AS last
WHERE trunk.is_active AND (
    last.sip_code IN (401, 407)
    OR last.sip_code = 403 AND trunk.username > '' AND last.ended_at > %(doubted_since)s AND NOT EXISTS (
        SELECT FROM (
            SELECT call_id FROM calls_attempt
            WHERE trunk_id = trunk.id AND claimed_at > %(since)s ORDER BY claimed_at DESC LIMIT %(newest)s
        ) AS lately JOIN calls_call AS call ON call.id = lately.call_id
        WHERE call.direction = 'outbound' AND call.answered_at IS NOT NULL AND call.trunk_id = trunk.id
    )
)
"""
