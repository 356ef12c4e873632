"""`manage.py simulator`: the simulated telephone network."""

import asyncio
import os
import signal
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from telephony.simulator.server import Simulator


class Command(BaseCommand):
    """Run the network until it is told to stop."""

    help = "Runs a simulated telephone network that speaks ARI. ENGINE_USER and ENGINE_PASSWORD guard it."
    requires_system_checks = []
    requires_migrations_checks = False

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take where to listen, and the trunks it should not know."""
        parser.add_argument("--host", default="127.0.0.1")
        parser.add_argument("--port", type=int, default=8088)
        parser.add_argument("--refuse", nargs="*", default=[], metavar="TRUNK", help="trunks that do not exist")
        parser.add_argument(
            "--silent", nargs="*", default=[], metavar="TRUNK", help="trunks whose carrier is not there"
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        """Run it."""
        user, password = os.environ.get("ENGINE_USER"), os.environ.get("ENGINE_PASSWORD")
        if not user or not password:
            raise CommandError("set ENGINE_USER and ENGINE_PASSWORD")
        host, port = options["host"], options["port"]
        trunks = {"refused_trunks": options["refuse"], "silent_trunks": options["silent"]}
        try:
            asyncio.run(_serve(host=host, port=port, user=user, password=password, **trunks))
        except OSError as error:
            raise CommandError(f"cannot listen on {host}:{port}: {error.strerror}") from error


async def _serve(*, host: str, port: int, **known: Any) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    simulator = Simulator(**known)
    await simulator.start(host=host, port=port)
    await stopping.wait()
    await simulator.stop()
