"""`manage.py erase_number`: takes a person's number out of everything that is kept."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from applications.models import Customer
from calls.erasing.erasure import Erasure, Found, Live
from minivoice import clock, inputs

_STEP = 20  # percent


class Command(BaseCommand):
    help = (
        "Replaces a telephone number by the word erased in calls, timelines, events and all else that is kept, and"
        " erases the recordings of its calls. Says what it would do; with --yes it does it."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("number", help="E.164, such as +15551230742")
        parser.add_argument("--customer", help="only in the rows of this customer, cust_…")
        parser.add_argument("--yes", action="store_true", help="do it")

    def handle(self, *args: Any, **options: Any) -> None:
        number, customer = options["number"], None
        if not inputs.is_e164(number):
            raise CommandError(f"{number} is not an E.164 number such as +15551230742")
        if options["customer"]:
            customer = Customer.objects.filter(public_id=options["customer"]).first()
            if customer is None:
                raise CommandError(f"there is no customer {options['customer']}")
        self.told: dict[str, int] = {}
        erasure = Erasure(number, customer, is_dry=not options["yes"], now=clock.now(), tell=self.tell)
        try:
            found = erasure.run()
        except Live as live:
            raise CommandError(f"calls with this number are up, and nothing was changed: {live}") from live
        self.report(found, is_dry=erasure.is_dry)

    def tell(self, table: str, percent: int) -> None:
        """Say how far a table is read, every now and then."""
        step = percent // _STEP
        if self.told.get(table) != step:
            self.told[table] = step
            self.stderr.write(f"{table}: {percent} % read")

    def report(self, found: Found, *, is_dry: bool) -> None:
        """Say what was found."""
        done = "would be rewritten" if is_dry else "rewritten"
        for table, rows in found.erased.items():
            self.stdout.write(f"{table}: {rows} {done}")
        if found.recordings:
            self.stdout.write(f"recordings: {found.recordings} {'would be erased' if is_dry else 'are being erased'}")
        if not found.erased and not found.recordings:
            self.stdout.write("nothing to erase")
        for table, rows in found.told.items():
            self.stdout.write(f"left as they are: {rows} {table} with the number")
        if is_dry:
            self.stdout.write("Nothing was changed. With --yes it is done, for good.")
