"""Figures read from the stores at the moment Prometheus asks, each at a cost that does not grow with the tables.

Each question goes by an index to what is live, due or recent: five minutes of calls through every application's
settled ones, a thousand of the newest rows by their key. PostgreSQL gives up on any after MOST_MILLISECONDS.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db import DatabaseError, connection, transaction
from redis import Redis
from redis.exceptions import RedisError

MOST_MILLISECONDS = 1000
UNREADABLE = (DatabaseError, RedisError, OSError)
_QUEUES = ("dial", "webhooks", "work")


@dataclass(frozen=True, slots=True)
class Figure:
    """A gauge: its name, what it says, the names of its labels, and how its lines (labels, then value) are read."""

    name: str
    help: str
    labels: Sequence[str]
    read: Callable[[], Iterable[Sequence[Any]]]


def readable(*, database: bool, redis: bool) -> Iterator[Figure]:
    """Give the figures whose store answers."""
    if database:
        for name, (told, labels, question) in _QUESTIONS.items():
            yield Figure(f"minivoice_{name}", told, labels, _asks(question))
    if redis:
        yield Figure("minivoice_queue_tasks", "Nudges that wait for a Celery worker", ["queue"], _queues)


def _asks(question: str) -> Callable[[], Iterable[Sequence[Any]]]:
    def read() -> list[Sequence[Any]]:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION READ ONLY")
            cursor.execute(f"SET LOCAL statement_timeout = {MOST_MILLISECONDS}")
            cursor.execute(question)
            return [row for row in cursor.fetchall() if row[-1] is not None]

    return read


def _queues() -> list[Sequence[Any]]:
    with Redis.from_url(settings.REDIS_URL, socket_timeout=1.0, socket_connect_timeout=1.0) as redis:
        return [(queue, redis.llen(queue)) for queue in _QUEUES]


# The calls of the last five minutes that have ended, through the index of each application's.
_ENDED = """
    FROM applications_application AS application
    CROSS JOIN LATERAL (
        SELECT id, status, end_reason FROM calls_call AS call
        WHERE call.application_id = application.id AND call.settled_at >= now() - interval '5 minutes'
    ) AS call
"""
_OF_ENDED = f"""
    SELECT line.kind, count(*) {_ENDED}
    JOIN calls_callevent AS line ON line.call_id = call.id
    WHERE call.end_reason IN ('out_of_funds', 'engine_lost', 'originate_failed')
        AND line.kind IN ('cut_early', 'channel_lost')
    GROUP BY line.kind
"""
_NEWEST_CALLS = """
    SELECT * FROM (SELECT accepted_at, dialing_at, ringing_at FROM calls_call ORDER BY id DESC LIMIT 1000) AS newest
    WHERE accepted_at >= now() - interval '5 minutes'
"""
_NEWEST_ATTEMPTS = """
    SELECT * FROM (SELECT due_at, claimed_at FROM calls_attempt ORDER BY id DESC LIMIT 1000) AS newest
    WHERE claimed_at >= now() - interval '5 minutes'
"""
_NEWEST_DELIVERIES = """
    SELECT event.created_at, event.delivered_at
    FROM (SELECT event_id, started_at FROM webhooks_deliveryattempt ORDER BY id DESC LIMIT 1000) AS newest
    JOIN webhooks_webhookevent AS event ON event.id = newest.event_id
    WHERE newest.started_at >= now() - interval '5 minutes' AND event.delivered_at IS NOT NULL
"""


def _quantiles(seconds: str, rows: str) -> str:
    """Return the question for the quantiles of an interval over some rows, in seconds."""
    return f"""
        SELECT quantile::text, value FROM (
            SELECT ARRAY[0.5, 0.95, 0.99] AS quantiles,
                percentile_cont(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (ORDER BY extract(epoch FROM {seconds})) AS values
            FROM ({rows}) AS row
        ) AS told, unnest(quantiles, values) AS line (quantile, value)
    """  # noqa: S608


_QUESTIONS: dict[str, tuple[str, list[str], str]] = {
    "calls_live": (
        "Calls that have not ended",
        ["direction", "status"],
        """SELECT direction, status, count(*) FROM calls_call
           WHERE NOT (status IN ('canceled', 'completed', 'failed')) GROUP BY direction, status""",
    ),
    "calls_ended_5m": (
        "Calls that ended within the last five minutes",
        ["status", "reason"],
        f"SELECT status, end_reason, count(*) {_ENDED} GROUP BY status, end_reason",
    ),
    "calls_refused_5m": (
        "Calls that were not accepted within the last five minutes",
        ["code"],
        """SELECT line.code, sum(line.count) FROM applications_customer AS customer
           CROSS JOIN LATERAL (
               SELECT code, count FROM calls_refusal AS refusal WHERE refusal.customer_id = customer.id
                   AND refusal.minute >= date_trunc('minute', now() - interval '5 minutes')
           ) AS line GROUP BY line.code""",
    ),
    "calls_mended_5m": (
        "Of those that ended: cut before their money was over, or ended because listings lacked them; expect none",
        ["kind"],
        _OF_ENDED,
    ),
    "dial_seconds": (
        "Seconds from create to the engine's word, of the newest thousand calls of five minutes",
        ["quantile"],
        _quantiles("dialing_at - accepted_at", _NEWEST_CALLS),
    ),
    "ring_seconds": (
        "Seconds from the engine's word to ringing, likewise",
        ["quantile"],
        _quantiles("ringing_at - dialing_at", _NEWEST_CALLS),
    ),
    "attempts_due": ("Attempts that wait to be dialled", [], "SELECT count(*) FROM calls_attempt WHERE state = 'due'"),
    "attempts_due_seconds": (
        "How long the longest of them has been due",
        [],
        """SELECT greatest(0, extract(epoch FROM now() - min(due_at))) FROM calls_attempt WHERE state = 'due'""",
    ),
    "attempts_swept_5m": (
        "Of the newest thousand attempts of five minutes, those that a sweep dialled: their nudge was lost",
        [],
        f"SELECT count(*) FROM ({_NEWEST_ATTEMPTS}) AS row WHERE claimed_at >= due_at + interval '2 seconds'",  # noqa: S608
    ),
    "webhooks_pending": (
        "Events that wait for delivery or a retry; counted up to 100,000",
        [],
        """SELECT count(*) FROM (SELECT FROM webhooks_webhookevent WHERE status = 'pending' LIMIT 100000) AS row""",
    ),
    "webhooks_due_seconds": (
        "How long the longest of them has been due",
        [],
        """SELECT greatest(0, extract(epoch FROM now() - min(oldest.next_attempt_at)))
           FROM applications_application AS application
           CROSS JOIN LATERAL (
               SELECT next_attempt_at FROM webhooks_webhookevent AS event
               WHERE event.status = 'pending' AND event.application_id = application.id
               ORDER BY next_attempt_at LIMIT 1
           ) AS oldest""",
    ),
    "webhook_delivery_seconds": (
        "Seconds from event to delivery, of the newest thousand attempts of five minutes",
        ["quantile"],
        _quantiles("delivered_at - created_at", _NEWEST_DELIVERIES),
    ),
    "engine_silence_seconds": (
        "How long ago the switchboard last proved its link to an engine",
        ["engine"],
        "SELECT name, extract(epoch FROM now() - seen_at) FROM telephony_engine",
    ),
    "audit_violations_1h": (
        "Rows that break a promise, as found by the last hour's looks at calls that were live or settled; expect none",
        [],
        """SELECT sum(violations_found) FROM (
               SELECT ran_at, violations_found FROM calls_auditrun WHERE NOT is_whole ORDER BY id DESC LIMIT 120
           ) AS look WHERE ran_at >= now() - interval '1 hour'""",
    ),
    "audit_age_seconds": (
        "How long ago the last of them was",
        [],
        "SELECT extract(epoch FROM now() - ran_at) FROM calls_auditrun WHERE NOT is_whole ORDER BY id DESC LIMIT 1",
    ),
    "audit_all_violations": (
        "Rows that break a promise, as found by the last nightly audit of everything; expect none",
        [],
        "SELECT violations_found FROM calls_auditrun WHERE is_whole ORDER BY id DESC LIMIT 1",
    ),
    "audit_all_age_seconds": (
        "How long ago that audit began",
        [],
        "SELECT extract(epoch FROM now() - ran_at) FROM calls_auditrun WHERE is_whole ORDER BY id DESC LIMIT 1",
    ),
    "books_differences": (
        "Violations of the promises about money that the last nightly comparison found",
        [],
        "SELECT differences_found FROM calls_reconciliation ORDER BY id DESC LIMIT 1",
    ),
    "books_age_seconds": (
        "How long ago that comparison ran",
        [],
        "SELECT extract(epoch FROM now() - ran_at) FROM calls_reconciliation ORDER BY id DESC LIMIT 1",
    ),
}
