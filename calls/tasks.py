"""Celery's doors to calls: each body is one domain call."""

from celery import shared_task

from calls import books, dialing, idempotency
from minivoice import clock, nudge


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


@shared_task(name="calls.reconcile", acks_late=False, time_limit=3600)
def reconcile() -> None:
    """Compare the books. It may take long, so it is acknowledged at once: one that is killed is tomorrow's again."""
    books.reconcile(now=clock.now())
