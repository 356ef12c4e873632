"""`manage.py switchboard`: hear the engine, run flows, sweep."""

import asyncio
import logging
import signal
import threading
from typing import Any

from django.core.management.base import BaseCommand

from calls.leadership import Turn
from calls.switchboard import Switchboard
from minivoice import lease

logger = logging.getLogger(__name__)

_STOP_SECONDS = 8.0  # for all that is under way or queued; after ten a supervisor kills


class Command(BaseCommand):
    help = "Owns the telephone engine's events, runs call flows, and sweeps calls; a second one is the standby."

    def handle(self, *args: Any, **options: Any) -> None:
        asyncio.run(_serve())


async def _serve() -> None:
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, _stop, stopping)
    turn = Turn()
    if await turn.take(stopping):
        try:
            await Switchboard().run(stopping)
        finally:
            await turn.let_go()
    lease.leave()


def _stop(stopping: asyncio.Event) -> None:
    """Stop in good order, or after some seconds in any: a thread can wait for long, and nobody waits for it."""
    if not stopping.is_set():
        stopping.set()
        deadline = threading.Timer(_STOP_SECONDS, _leave_late)
        deadline.daemon = True
        deadline.start()


def _leave_late() -> None:
    logger.warning("not all that was queued was done in time: its calls go on from their rows")
    lease.leave()
