"""Celery's doors to calls: each body is one domain call."""

from celery import shared_task

from calls import dialing, idempotency
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
