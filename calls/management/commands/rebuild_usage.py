"""`manage.py rebuild_usage`: the daily rollup of usage, made again from the calls."""

from datetime import date
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from billing.models import Balance
from calls import rollup
from minivoice import clock


class Command(BaseCommand):
    help = "Makes usage by day again from the calls, a customer's day at a time, and says which were different."

    def add_arguments(self, parser: CommandParser) -> None:
        which = parser.add_mutually_exclusive_group(required=True)
        which.add_argument("--day", type=date.fromisoformat, help="a UTC day, as 2026-05-29")
        which.add_argument("--all", action="store_true", help="every day there is")

    def handle(self, *args: Any, **options: Any) -> None:
        rebuilt = different = 0
        for customer_id, public_id in Balance.objects.order_by("pk").values_list("pk", "customer__public_id"):
            for day in [options["day"]] if options["day"] else rollup.days(customer_id=customer_id):
                rebuilt += 1
                if rollup.rebuild(customer_id=customer_id, day=day, now=clock.now()):
                    different += 1
                    self.stdout.write(f"{public_id} {day} was different")
        self.stdout.write(f"{rebuilt} days of customers rebuilt, {different} were different")
