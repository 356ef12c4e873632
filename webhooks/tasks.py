"""The door Celery comes in by."""

from celery import shared_task

from minivoice import clock, nudge
from webhooks import health, pruning, pump


@shared_task(name=pump.TASK)
def deliver() -> None:
    """Deliver what is due."""
    nudge.woken(pump.TASK)
    pump.deliver()


@shared_task(name=health.DRAIN_TASK)
def drain() -> None:
    """End what disabled endpoints will not be sent."""
    nudge.woken(health.DRAIN_TASK)
    health.drain(now=clock.now())


@shared_task(name="webhooks.prune")
def prune() -> None:
    """Delete what is older than it is kept."""
    pruning.prune(now=clock.now())
