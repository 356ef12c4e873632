"""`manage.py suspend`: shuts a customer out, or lets it in again."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from applications import customers
from applications.models import Customer
from calls import suspension
from minivoice import clock


class Command(BaseCommand):
    help = "Has the API refuse a customer's keys; live calls go on, unless --hang-up. With --lift it is let in again."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("customer", help="id of the customer, cust_…")
        what = parser.add_mutually_exclusive_group()
        what.add_argument("--lift", action="store_true", help="end the suspension")
        what.add_argument("--hang-up", action="store_true", help="hang up the customer's live calls, too")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            customer = Customer.objects.get(public_id=options["customer"])
        except Customer.DoesNotExist as error:
            raise CommandError(f"there is no customer {options['customer']}") from error
        if options["lift"]:
            said = "active again" if customers.lift(customer) else "active: it was not suspended"
            self.stdout.write(f"{customer} is {said}")
            return
        said = "suspended" if suspension.suspend(customer, now=clock.now()) else "suspended already"
        if options["hang_up"]:
            ended = suspension.hang_up_all(customer, now=clock.now())
            self.stdout.write(f"{customer} is {said}; calls being hung up: {ended}")
            return
        self.stdout.write(f"{customer} is {said}; calls still up: {suspension.live_calls(customer).count()}")
