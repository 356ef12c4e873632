"""`manage.py switchboard`: hear the engine, run flows, sweep."""

import asyncio
import signal
from typing import Any

from django.core.management.base import BaseCommand

from calls.switchboard import Switchboard, Turn


class Command(BaseCommand):
    help = "Owns the telephone engine's events, runs call flows, and sweeps calls; a second one waits its turn."

    def handle(self, *args: Any, **options: Any) -> None:
        asyncio.run(_serve())


async def _serve() -> None:
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    turn = Turn()
    if not await turn.take(stopping):
        return
    board = Switchboard()
    serving = asyncio.create_task(board.run())
    ends = {serving, asyncio.create_task(stopping.wait()), asyncio.create_task(turn.keep())}
    await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    board.stop()
    await serving
