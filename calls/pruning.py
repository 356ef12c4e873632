"""Calls, lines of their timelines and refusals that are older than they are kept, deleted batch by batch.

A call goes with all that hangs on it: its attempts, holds, recordings whose audio is erased. What it cost stays, in the
ledger and in the sums by day.
"""

import logging
from datetime import UTC, datetime, time, timedelta
from time import monotonic
from typing import NamedTuple

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Q

from billing import ledger
from calls.models import Call, KeptSince, Recording
from minivoice import pruning

logger = logging.getLogger(__name__)

_CALLS = 500  # a batch
_ROWS = 5000
_HAS_AUDIO = Q(state__in=[Recording.State.STARTED, Recording.State.COMPLETED]) | Q(due_at__isnull=False)


class Pruned(NamedTuple):
    """How many rows are gone."""

    calls: int
    lines: int
    refusals: int


def prune(*, now: datetime, run_seconds: float = 40.0, batch: int | None = None) -> Pruned:
    """Delete old calls, lines of timelines and refusals; return how many. What `run_seconds` leave is the next run's.

    A live call is kept with its timeline, and a call that has audio until that is erased. Calls that were settled on
    one UTC day go together, so that what a day's calls add up to can be told as long as they are there.
    """
    started = monotonic()
    ends_at = started + run_seconds
    today = datetime.combine(now.astimezone(UTC).date(), time(), UTC)
    settled_from = _keep(KeptSince.Kind.CALLS, today - timedelta(days=settings.CALL_DAYS - 1))
    size = batch or _CALLS
    calls = pruning.walk(lambda last_id: _delete_calls(last_id, settled_from, size), batch=size, ends_at=ends_at)
    lines_from = _keep(KeptSince.Kind.TIMELINE, now - timedelta(days=settings.TIMELINE_DAYS))
    size = batch or _ROWS
    lines = pruning.walk_table(_LINES, kept_from=lines_from, batch=size, ends_at=ends_at)
    refusals = pruning.walk_table(_REFUSALS, kept_from=lines_from, batch=size, ends_at=ends_at)
    gone = Pruned(calls, lines, refusals)
    logger.info("pruned %d calls, %d lines of timelines, %d refusals in %.1f s", *gone, monotonic() - started)
    return gone


def _keep(kind: KeptSince.Kind, since: datetime) -> datetime:
    """Write down since when rows of `kind` are kept, before an older one goes; return it."""
    with connection.cursor() as cursor:
        cursor.execute(_KEEP, [kind, since])
    return since


def _delete_calls(last_id: int, settled_from: datetime, size: int) -> pruning.Batch:
    with transaction.atomic():
        rows = Call.objects.filter(pk__gt=last_id).order_by("pk").values_list("pk", "accepted_at", "settled_at")[:size]
        oldest = list(rows)
        doomed = {pk for pk, _, settled_at in oldest if settled_at and settled_at < settled_from}
        doomed -= set(Recording.objects.filter(_HAS_AUDIO, call__in=doomed).values_list("call", flat=True))
        _spare_parents(doomed)
        _delete(doomed)
    old = sum(accepted_at < settled_from for _, accepted_at, _ in oldest)
    return pruning.Batch(oldest[-1][0] if oldest else None, old, len(doomed))


def _spare_parents(doomed: set[int]) -> None:
    """Leave out calls of which a leg stays."""
    legs = Call.objects.filter(parent__in=doomed).order_by("-pk")  # a leg's own before the leg
    for leg, parent in legs.values_list("pk", "parent"):
        if leg not in doomed:
            doomed.discard(parent)


def _delete(doomed: set[int]) -> None:
    calls = Call.objects.filter(pk__in=doomed)
    list(calls.select_for_update().order_by("pk").values_list("pk"))  # before their recordings, as everywhere
    ledger.forget(keys=list(calls.values_list("public_id", flat=True)))
    Recording.objects.filter(call__in=doomed).delete()
    Call.objects.filter(parent__in=doomed).update(parent=None)  # they go too
    calls.delete()


_KEEP = """
INSERT INTO calls_keptsince AS kept (kind, since) VALUES (%s, %s)
ON CONFLICT (kind) DO UPDATE SET since = GREATEST(kept.since, EXCLUDED.since)
"""

_LINES = """
    WITH oldest AS MATERIALIZED (
        SELECT id, at FROM calls_callevent WHERE id > %(last_id)s ORDER BY id LIMIT %(batch)s
    ), gone AS (
        DELETE FROM calls_callevent AS line USING oldest
        WHERE line.id = oldest.id AND line.at < %(kept_from)s
          AND NOT EXISTS (SELECT FROM calls_call WHERE id = line.call_id AND ended_at IS NULL)
        RETURNING line.id
    )
    SELECT (SELECT max(id) FROM oldest), (SELECT count(*) FROM oldest WHERE at < %(kept_from)s),
        (SELECT count(*) FROM gone)
"""

_REFUSALS = """
    WITH oldest AS MATERIALIZED (
        SELECT id, minute FROM calls_refusal WHERE id > %(last_id)s ORDER BY id LIMIT %(batch)s
    ), gone AS (
        DELETE FROM calls_refusal AS line USING oldest
        WHERE line.id = oldest.id AND line.minute < %(kept_from)s
        RETURNING line.id
    )
    SELECT (SELECT max(id) FROM oldest), (SELECT count(*) FROM oldest WHERE minute < %(kept_from)s),
        (SELECT count(*) FROM gone)
"""
