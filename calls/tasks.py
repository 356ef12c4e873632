"""Celery's doors to calls: each body is one domain call."""

from celery import shared_task

from calls import audit, books, dialing, idempotency, jobs, pruning
from calls.recordings import collecting, orphans, retention
from calls.recordings.progress import COLLECT_TASK
from minivoice import clock, nudge

__all__ = ["jobs"]  # known to the workers that do them


@shared_task(name="calls.dial")
def dial() -> None:
    """Dial whatever is due."""
    nudge.woken("calls.dial")
    dialing.drain()


@shared_task(name="calls.tidy")
def tidy() -> None:
    """Forget idempotency keys that are older than a day."""
    while idempotency.forget(now=clock.now()):
        pass


@shared_task(name="calls.prune")
def prune() -> None:
    """Delete what is older than it is kept."""
    pruning.prune(now=clock.now())


@shared_task(name="calls.audit")
def look() -> None:
    """Audit what was live or settled since the last look."""
    audit.look(now=clock.now())


@shared_task(name="calls.audit_all", acks_late=False, time_limit=3600)
def look_at_all() -> None:
    """Audit everything. It may take long, as `reconcile` may."""
    audit.look_at_all(now=clock.now())


@shared_task(name="calls.reconcile", acks_late=False, time_limit=3600)
def reconcile() -> None:
    """Compare the books. It may take long, so it is acknowledged at once: one that is killed is tomorrow's again."""
    books.reconcile(now=clock.now())


@shared_task(name=COLLECT_TASK, acks_late=False, time_limit=900)
def collect_recordings() -> None:
    """Fetch and erase what is due. A long recording takes its time, so it is acknowledged at once: the row is due."""
    nudge.woken(COLLECT_TASK)
    collecting.drain()


@shared_task(name="calls.tidy_recordings", acks_late=False, time_limit=900)
def tidy_recordings() -> None:
    """Find what a process left behind that died."""
    orphans.tidy(now=clock.now())


@shared_task(name="calls.expire_recordings")
def expire_recordings() -> None:
    """Take recordings away that are older than they are kept."""
    while retention.expire(now=clock.now()):
        pass
