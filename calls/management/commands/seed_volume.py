"""`manage.py seed_volume`: millions of calls that never were, to try out how pages and questions fare with many."""

from time import monotonic
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from applications.models import Customer
from calls.seeding import volume
from minivoice import clock

_WIDTH = 30


class Command(BaseCommand):
    help = "Adds customers and many ended calls of theirs, with attempts, timelines, webhooks and money that add up."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--calls", type=int, default=10_000_000)
        parser.add_argument("--customers", type=int, default=1000)
        parser.add_argument("--days", type=int, default=settings.CALL_DAYS - 1, help="that the calls are spread over")
        parser.add_argument("--yes", action="store_true", help="also where there are customers already")

    def handle(self, *args: Any, **options: Any) -> None:
        if min(options["calls"], options["customers"], options["days"]) < 1:
            raise CommandError("--calls, --customers and --days are 1 or more")
        if not (options["yes"] or settings.EMBEDDED) and Customer.objects.exists():
            raise CommandError("there are customers here: calls that never were do not belong among theirs (or --yes)")
        started = monotonic()
        for done in volume.seed(
            calls=options["calls"], customers=options["customers"], days=options["days"], now=clock.now()
        ):
            self.show(done, monotonic() - started)
        self.stderr.write("")
        self.stdout.write(f"{options['calls']:,} calls in {monotonic() - started:.0f} s")

    def show(self, done: volume.Progress, seconds: float) -> None:
        """Draw the bar again."""
        share = done.calls / done.wanted
        bar = "#" * round(share * _WIDTH)
        pace = done.calls / seconds
        left = (done.wanted - done.calls) / pace
        self.stderr.write(
            f"\r[{bar:<{_WIDTH}}] {share:4.0%} {done.calls:,} calls, {pace:,.0f} a second, {left:.0f} s left ",
            ending="",
        )
