"""`manage.py top_up`: money that came in, posted once."""

from decimal import Decimal
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.forms import CharField, DecimalField

from billing import accounts
from billing.models import Balance
from minivoice import clock, money

AMOUNT = DecimalField(max_digits=15, decimal_places=6, min_value=Decimal("0.000001"))
REFERENCE = CharField(max_length=100)


class Command(BaseCommand):
    help = "Tops up a customer's balance. A reference is posted once, however often the command is given."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("customer", help="id of the customer, cust_…")
        parser.add_argument("amount", help="in the account's currency, such as 50.00")
        parser.add_argument("--reference", required=True, help="the bank's or card's own")

    def handle(self, *args: Any, **options: Any) -> None:
        amount = _clean("amount", AMOUNT, options["amount"])
        reference = _clean("reference", REFERENCE, options["reference"])
        try:
            balance = Balance.objects.get(customer__public_id=options["customer"])
            entry, is_new = accounts.top_up(
                customer=balance.customer, amount=amount, reference=reference, now=clock.now()
            )
        except Balance.DoesNotExist as error:
            raise CommandError(f"there is no customer {options['customer']} with an account") from error
        except accounts.ReferenceUsed as error:
            raise CommandError(f"{reference} was posted before, as {error.entry}: nothing is posted now") from error
        posted = f"{money.text(entry.amount)} {balance.currency} as {entry.public_id}"
        after = f"the balance after it: {money.text(entry.posted_after)}"
        self.stdout.write(f"{'posted' if is_new else 'posted before, and only once:'} {posted}, {after}")


def _clean(name: str, field: DecimalField | CharField, text: str) -> Any:
    try:
        return field.clean(text)
    except ValidationError as error:
        raise CommandError(f"{name}: {' '.join(error.messages)}") from error
