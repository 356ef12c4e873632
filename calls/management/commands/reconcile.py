"""`manage.py reconcile`: what in the books disagrees, customer by customer; exit status 1 when anything does."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from calls import books
from minivoice import clock


class Command(BaseCommand):
    help = "Compares balances, entries, holds, charges and usage, and keeps the result. Repairs nothing."

    def handle(self, *args: Any, **options: Any) -> None:
        differences = books.reconcile(now=clock.now())
        for customer in dict.fromkeys(difference.customer for difference in differences):
            self.stdout.write(customer or "no customer")
            for difference in differences:
                if difference.customer == customer:
                    self.stdout.write(
                        f"  {difference.promise}: {difference.subject}: {difference.stated}, not {difference.found}"
                    )
        if differences:
            raise CommandError(f"{len(differences)} differences")
        self.stdout.write("The books agree.")
