"""`manage.py suspend`: shuts a customer out, or lets it in again."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from applications import customers
from applications.models import Customer
from calls.models import LIVE, Call


class Command(BaseCommand):
    help = "Has the API refuse a customer's keys; live calls go on. With --lift it is let in again."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("customer", help="id of the customer, cust_…")
        parser.add_argument("--lift", action="store_true", help="end the suspension")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            customer = Customer.objects.get(public_id=options["customer"])
        except Customer.DoesNotExist as error:
            raise CommandError(f"there is no customer {options['customer']}") from error
        if options["lift"]:
            said = "active again" if customers.lift(customer) else "active: it was not suspended"
            self.stdout.write(f"{customer} is {said}")
            return
        said = "suspended" if customers.suspend(customer) else "suspended already"
        live = Call.objects.filter(LIVE, customer=customer).count()
        self.stdout.write(f"{customer} is {said}; calls still up: {live}")
