"""Celery's doors to calls: each body is one domain call."""

from celery import shared_task

from calls import dialing
from minivoice import nudge


@shared_task(name="calls.dial")
def dial() -> None:
    """Dial whatever is due."""
    nudge.woken("calls.dial")
    dialing.drain()
