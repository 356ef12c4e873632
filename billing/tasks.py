"""Celery's doors to money: each body is one domain call."""

from celery import shared_task

from billing import notices
from minivoice import clock


@shared_task(name="billing.look")
def look() -> None:
    """Tell customers what they should know of their money."""
    notices.look(now=clock.now())


@shared_task(name="billing.mail")
def mail() -> None:
    """Send the mail that is due."""
    notices.send(now=clock.now())
