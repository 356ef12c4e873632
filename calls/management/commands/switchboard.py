"""`manage.py switchboard`: hear the engine, run flows, sweep."""

import asyncio
import signal
from typing import Any

from django.core.management.base import BaseCommand

from calls.leadership import Turn
from calls.switchboard import Switchboard


class Command(BaseCommand):
    help = "Owns the telephone engine's events, runs call flows, and sweeps calls; a second one is the standby."

    def handle(self, *args: Any, **options: Any) -> None:
        asyncio.run(_serve())


async def _serve() -> None:
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    turn = Turn()
    if not await turn.take(stopping):
        return
    try:
        await Switchboard().run(stopping)
    finally:
        await turn.let_go()
