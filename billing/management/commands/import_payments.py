"""`manage.py import_payments`: top-ups from a bank's or card's file."""

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from billing import accounts, payments, sheets
from minivoice import clock, money


class Command(BaseCommand):
    help = (
        "Posts the payments of a CSV or XLSX file (customer, amount, currency, reference, date) as top-ups. While any "
        "line is wrong nothing is posted. A reference is posted once: the same file again, or the rest of one that was "
        "interrupted, does no harm."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument("--dry-run", action="store_true", help="check the file, say what would be posted")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            found = payments.read(options["file"])
        except payments.Unfit as error:
            raise CommandError("\n".join([*error.problems, str(error)])) from error
        except (sheets.Unreadable, OSError) as error:
            raise CommandError(str(error)) from error
        posted = 0
        for payment in found:
            is_new = payment.posted is None
            if not options["dry_run"]:
                is_new = self._post(payment)
            posted += is_new
            amount = f"{money.text(payment.amount)} {payment.balance.currency}"
            said = "top-up" if is_new else "posted before"
            self.stdout.write(f"line {payment.line}: {payment.balance.customer.public_id} {amount} {said}")
        done = "would be posted (dry run)" if options["dry_run"] else "posted"
        self.stdout.write(f"{posted} {done}, {len(found) - posted} were posted before")

    def _post(self, payment: payments.Payment) -> bool:
        try:
            return payments.post(payment, now=clock.now())
        except accounts.ReferenceUsed as error:
            raise CommandError(f"line {payment.line}: {error}; the lines before it are posted") from error
