"""Replays: events that are sent again, on demand. Their bytes, id and sequence stay as they were.

Whatever became of it (`delivered`, `exhausted`, `unaddressed`, or `pending` until its next attempt), a replayed
delivery is due at once, at the present URL of its application, and its schedule starts over; its attempts are
numbered on. Left as they are: a delivery whose attempt is under way, one that was replayed a moment ago (a second
click), one without a place to go (no URL, or a disabled one), and one that has had its share of attempts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from django.db import connection, transaction
from django.db.models import Q

from applications.models import Application
from minivoice import errors, nudge
from webhooks.models import WebhookEvent

MOST_ATTEMPTS = 200  # a delivery is shown with all of them
BATCH = 1000  # rows of one transaction
MOST_BATCHES = 10  # of one request

_TWICE_SECONDS = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class Range:
    """What came of a range: how many deliveries are under way again, and the key to go on after, None at its end."""

    replayed: int
    last_seen: int | None


def replay(ids: Sequence[int], *, now: datetime) -> int:
    """Send these events (their rows' keys) again; return how many, which is all but those that are left as they are.

    For one transaction: give it a batch at most.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        asked_before = now - timedelta(seconds=_TWICE_SECONDS)
        cursor.execute(
            _REPLAY, {"ids": list(ids), "now": now, "asked_before": asked_before, "most_attempts": MOST_ATTEMPTS}
        )
        replayed: int = cursor.rowcount
        if replayed:
            transaction.on_commit(partial(nudge.wake, "webhooks.deliver"))
        return replayed


def replay_one(event: WebhookEvent, *, now: datetime) -> None:
    """Send an event again, and bring its row up to date. Raises InvalidRequest when that can never be."""
    _check(event.application)
    if event.attempts >= MOST_ATTEMPTS:
        raise errors.InvalidRequest(f"this delivery has had its {MOST_ATTEMPTS} attempts")
    replay([event.pk], now=now)
    event.refresh_from_db()


def replay_range(
    application: Application,
    *,
    status: str,
    since: datetime,
    until: datetime,
    after: int | None,
    asked_before: datetime | None = None,
    now: datetime,
) -> Range:
    """Send the events made in [since, until) again whose delivery has this status, oldest first, batch by batch.

    At most so many in one go: `after` is the key that the last go ended with, None to begin. Left out are those that
    were replayed at `asked_before` or later. Raises InvalidRequest when there is nowhere to send them, or no event of
    the application has that key.
    """
    _check(application)
    rows = WebhookEvent.objects.filter(application=application, status=status, created_at__lt=until)
    if asked_before is not None:
        rows = rows.filter(Q(replayed_at=None) | Q(replayed_at__lt=asked_before))
    place = (since, 0) if after is None else (_created_at(application, after), after)
    replayed = 0
    for _ in range(MOST_BATCHES):
        following = rows.filter(Q(created_at__gt=place[0]) | Q(pk__gt=place[1]), created_at__gte=place[0])
        batch = list(following.order_by("created_at", "pk").values_list("created_at", "pk")[:BATCH])
        replayed += replay([key for _, key in batch], now=now)
        if len(batch) < BATCH:
            return Range(replayed=replayed, last_seen=None)
        place = batch[-1]
    return Range(replayed=replayed, last_seen=place[1])


def _check(application: Application) -> None:
    if not application.webhook_url:
        raise errors.InvalidRequest("the application has no webhook_url", param="webhook_url")
    if application.webhook_disabled_at:
        raise errors.InvalidRequest("the webhook_url is disabled: saving it enables it", param="webhook_url")


def _created_at(application: Application, key: int) -> datetime:
    try:
        return WebhookEvent.objects.values_list("created_at", flat=True).get(application=application, pk=key)
    except WebhookEvent.DoesNotExist:
        raise errors.InvalidRequest("cursor is not one that a replay gave out", param="cursor") from None


# What somebody else is writing at this moment is passed over: it is being claimed, or replayed by a twin.
_REPLAY = """
    WITH taken AS MATERIALIZED (
        SELECT e.id FROM webhooks_webhookevent e
        WHERE e.id = ANY (%(ids)s::bigint[]) AND NOT e.is_in_flight AND e.attempts < %(most_attempts)s
            AND (e.replayed_at IS NULL OR e.replayed_at <= %(asked_before)s)
        FOR UPDATE SKIP LOCKED
    )
    UPDATE webhooks_webhookevent e
    SET status = 'pending', url = a.webhook_url, next_attempt_at = %(now)s, delivered_at = NULL, error = '',
        replayed_at = %(now)s, attempts_before_replay = e.attempts
    FROM applications_application a
    WHERE e.id = ANY (ARRAY(SELECT id FROM taken)) AND a.id = e.application_id
        AND a.webhook_url <> '' AND a.webhook_disabled_at IS NULL
"""
