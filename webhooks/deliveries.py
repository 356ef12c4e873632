"""Deliveries as rows: which are due, who has them, what came of them."""

import logging
import random
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.db import connection, transaction

from minivoice import fields
from minivoice.prepared import Statement
from webhooks import health
from webhooks.models import WebhookEvent

logger = logging.getLogger(__name__)

RETRY_SECONDS = (5, 30, 120, 600, 1800, 7200, 21600, 43200, 86400, 86400)
LEASE_SECONDS = 30  # longer than any exchange
MAX_AT_ONE_ENDPOINT = 8

_JITTER = 0.2
_MAX_RETRY_AFTER_SECONDS = 3600
_GONE = 410
_CLAIMS_LOCK = 0x6D76_7768  # "mvwh": an advisory lock of ours
_ENDING_LOCK = 0x6D76_7765  # "mvwe": another


@dataclass(frozen=True, kw_only=True, slots=True)
class Claim:
    """A delivery that is ours until its lease runs out. `attempt` counts from 1."""

    row_id: int
    application_id: int
    attempt: int
    event_id: str
    delivery_id: str
    event: str
    body: bytes
    url: str
    secret: str | None = field(repr=False)  # None: it cannot be read
    previous_secret: str = field(default="", repr=False)  # signs too, while the secret is being replaced
    attempts_before_replay: int = 0  # the schedule counts from there


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """What came of one attempt. `error` is a word of the delivery log, empty after success."""

    claim: Claim
    started_at: datetime
    duration_ms: int
    http_status: int | None = None
    error: str = ""
    response: str = ""
    retry_after_seconds: float = 0.0


def claim(*, places: int, now: datetime) -> list[Claim]:
    """Take the oldest due deliveries, at most `places`, and no endpoint's ninth at one time."""
    with transaction.atomic(), connection.cursor() as cursor:
        # Two claims at once would pick the same rows, and count places the other has filled. Lock, then look.
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_CLAIMS_LOCK])
        _CLAIM.run(
            cursor,
            {
                "now": now,
                "leased_until": now + timedelta(seconds=LEASE_SECONDS),
                "places": places,
                "max_at_one_endpoint": MAX_AT_ONE_ENDPOINT,
            },
        )
        rows = cursor.fetchall()
    return [_claimed(row) for row in rows]


@contextmanager
def ending() -> Iterator[Callable[[], bool]]:
    """Give a function that asks whether this run may stop claiming: only if no other run has, and is still busy.

    The answer stands until the block is left. It is a lock of the database session, which a killed worker's goes with.
    """
    holds = False

    def may_end() -> bool:
        nonlocal holds
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_lock(%s)", [_ENDING_LOCK])
            holds = bool(cursor.fetchone()[0])
        return holds

    try:
        yield may_end
    finally:
        if holds:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s)", [_ENDING_LOCK])


def note(results: Sequence[Result], *, now: datetime) -> None:
    """Write down what came of these attempts, and when the failed ones are due again.

    A delivery that another worker has claimed meanwhile stays as it is: only the attempt is added to the log.
    The statement also tells the few endpoints whose health these answers change.
    """
    columns = zip(*[_row(result, now) for result in results], strict=True)
    with connection.cursor() as cursor:
        _NOTE.run(cursor, [*(list(column) for column in columns), now - health.PATIENCE])
        changes = cursor.fetchall()
    for application_id, url, sent_at, has_succeeded, is_gone in changes:
        news = health.News(
            application_id=application_id, url=url, sent_at=sent_at, has_succeeded=has_succeeded, is_gone=is_gone
        )
        health.hear(news, now=now)


def retry_delay(*, attempt: int, retry_after_seconds: float) -> float | None:
    """Return the seconds to wait after this failed attempt, or None after the last; 1 is the first of the schedule."""
    if attempt > len(RETRY_SECONDS):
        return None
    jitter = random.uniform(1.0, 1.0 + _JITTER)  # noqa: S311  spreads load, guards nothing
    return max(RETRY_SECONDS[attempt - 1] * jitter, retry_after_seconds)


def retry_after(value: str, now: datetime) -> float:
    """Return the seconds a `Retry-After` header (RFC 9110) asks for: an hour at most, 0 if it is silly."""
    if re.fullmatch(r"[0-9]+", value):
        seconds = float(value.lstrip("0")[:5] or 0)  # five digits are beyond the hour already
    else:
        try:
            moment = parsedate_to_datetime(value)
        except (ValueError, TypeError, OverflowError):
            return 0.0
        seconds = (moment.replace(tzinfo=moment.tzinfo or UTC) - now).total_seconds()
    return min(max(seconds, 0.0), _MAX_RETRY_AFTER_SECONDS)


def _claimed(row: tuple[Any, ...]) -> Claim:
    row_id, application_id, attempt, attempts_before_replay, event_id, delivery_id, event, body, url, *stored = row
    try:
        secret, previous_secret = map(_reveal, stored)
    except ImproperlyConfigured as error:
        logger.error("delivery %s cannot be signed: %s", delivery_id, error)  # noqa: TRY400  it says it all
        secret, previous_secret = None, ""
    return Claim(
        row_id=row_id,
        application_id=application_id,
        attempt=attempt,
        event_id=event_id,
        delivery_id=delivery_id,
        event=event,
        body=bytes(body),
        url=url,
        secret=secret,
        previous_secret=previous_secret,
        attempts_before_replay=attempts_before_replay,
    )


@lru_cache(maxsize=4096)
def _reveal(stored: str) -> str:
    """Decrypt a secret; a tenth of a millisecond, too long to do it for each event of a busy endpoint."""
    return fields.reveal(stored)


def _row(result: Result, now: datetime) -> tuple[object, ...]:
    """Return the result as `_NOTE` takes it."""
    status, next_attempt_at, delivered_at = _verdict(result, now)
    return (
        result.claim.row_id,
        result.claim.attempt,
        status,
        next_attempt_at,
        delivered_at,
        result.started_at,
        result.duration_ms,
        result.http_status,
        result.error,
        result.response,
        result.claim.application_id,
        result.claim.url,
        result.http_status == _GONE,
    )


def _verdict(result: Result, now: datetime) -> tuple[str, datetime | None, datetime | None]:
    """Return the delivery's status, its next attempt's time and its time of success."""
    if not result.error:
        return WebhookEvent.Status.DELIVERED.value, None, now
    attempt = result.claim.attempt - result.claim.attempts_before_replay
    delay = retry_delay(attempt=attempt, retry_after_seconds=result.retry_after_seconds)
    if result.http_status == _GONE or delay is None:
        return WebhookEvent.Status.EXHAUSTED.value, None, None
    return WebhookEvent.Status.PENDING.value, now + timedelta(seconds=delay), None


# `waiting` hops through the index from endpoint to endpoint: the backlog of a slow one costs one step.
# (It orders by the whole index, or the planner might read another, which also holds what was delivered; `enabled`
# has a limit, or the planner might read all applications.)
_CLAIM = Statement("""
    WITH RECURSIVE waiting AS (
        (SELECT application_id FROM webhooks_webhookevent WHERE status = 'pending'
            ORDER BY application_id, next_attempt_at LIMIT 1)
        UNION ALL
        SELECT (
            SELECT e.application_id FROM webhooks_webhookevent e
            WHERE e.status = 'pending' AND e.application_id > waiting.application_id
            ORDER BY e.application_id, e.next_attempt_at LIMIT 1
        )
        FROM waiting WHERE waiting.application_id IS NOT NULL
    ), due AS MATERIALIZED (
        SELECT oldest.id
        FROM waiting
        CROSS JOIN LATERAL (
            SELECT FROM applications_application a
            WHERE a.id = waiting.application_id AND a.webhook_disabled_at IS NULL AND NOT a.webhook_is_draining
            LIMIT 1
        ) enabled
        CROSS JOIN LATERAL (
            SELECT count(*) AS leases FROM webhooks_webhookevent e
            WHERE e.is_in_flight AND e.application_id = waiting.application_id AND e.next_attempt_at > %(now)s
        ) in_flight
        CROSS JOIN LATERAL (
            SELECT e.id, e.next_attempt_at FROM webhooks_webhookevent e
            WHERE e.status = 'pending' AND e.application_id = waiting.application_id
                AND e.next_attempt_at <= %(now)s
            ORDER BY e.next_attempt_at, e.id
            LIMIT greatest(%(max_at_one_endpoint)s - in_flight.leases, 0)
        ) oldest
        ORDER BY oldest.next_attempt_at, oldest.id
        LIMIT %(places)s
    ), locked AS MATERIALIZED (
        SELECT e.id FROM webhooks_webhookevent e
        WHERE e.id = ANY (ARRAY(SELECT id FROM due)) AND e.status = 'pending' AND e.next_attempt_at <= %(now)s
        FOR UPDATE SKIP LOCKED
    )
    UPDATE webhooks_webhookevent e
    SET attempts = e.attempts + 1, next_attempt_at = %(leased_until)s, is_in_flight = true
    FROM applications_application a
    WHERE e.id = ANY (ARRAY(SELECT id FROM locked)) AND a.id = e.application_id
    RETURNING e.id, a.id, e.attempts, e.attempts_before_replay, e.public_id, e.delivery_id, e.type, e.body, e.url,
        a.webhook_secret,
        CASE WHEN a.previous_secret_expires_at > %(now)s THEN a.previous_webhook_secret ELSE '' END
""")

_NOTE = Statement("""
    WITH seen AS (
        SELECT * FROM unnest(
            %s::bigint[], %s::smallint[], %s::text[], %s::timestamptz[], %s::timestamptz[],
            %s::timestamptz[], %s::integer[], %s::smallint[], %s::text[], %s::text[],
            %s::bigint[], %s::text[], %s::boolean[]
        ) AS seen (event_id, number, status, next_attempt_at, delivered_at,
            started_at, duration_ms, http_status, error, response, application_id, url, is_gone)
    ), noted AS (
        UPDATE webhooks_webhookevent e
        SET status = seen.status, next_attempt_at = seen.next_attempt_at, delivered_at = seen.delivered_at,
            error = seen.error, is_in_flight = false
        FROM seen
        WHERE e.id = seen.event_id AND e.attempts = seen.number AND e.is_in_flight
    ), logged AS (
        INSERT INTO webhooks_deliveryattempt
            (event_id, number, started_at, duration_ms, http_status, error, response)
        SELECT event_id, number, started_at, duration_ms, http_status, error, response FROM seen
        ON CONFLICT (event_id, number) DO NOTHING
    )
    SELECT a.id, a.webhook_url, min(seen.started_at), bool_or(seen.error = ''), bool_or(seen.is_gone)
    FROM seen
    JOIN applications_application a ON a.id = seen.application_id
    WHERE a.webhook_disabled_at IS NULL AND a.webhook_url = seen.url
        AND (a.webhook_saved_at IS NULL OR a.webhook_saved_at <= seen.started_at)
    GROUP BY a.id
    HAVING bool_or(seen.is_gone) OR CASE WHEN bool_or(seen.error = '') THEN a.webhook_failing_since IS NOT NULL
        ELSE a.webhook_failing_since IS NULL OR a.webhook_failing_since <= %s END
""")
