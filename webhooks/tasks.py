"""The door Celery comes in by."""

from celery import shared_task

from minivoice import nudge
from webhooks import pump


@shared_task(name=pump.TASK)
def deliver() -> None:
    """Deliver what is due."""
    nudge.woken(pump.TASK)
    pump.deliver()
