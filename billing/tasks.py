"""The door Celery comes in by."""

from celery import shared_task

from billing import notices
from minivoice import clock


@shared_task(name="billing.look")
def look() -> None:
    """Tell customers what they should know of their money."""
    notices.look(now=clock.now())
