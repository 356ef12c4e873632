"""`manage.py create_customer`: a customer that can begin."""

from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser

from billing import accounts


class Command(BaseCommand):
    help = "Makes a customer with an account at zero, an application, and a key with every scope, shown this once."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name")
        parser.add_argument("--deck", default="", help="name of the rate deck; not needed when there is only one")
        parser.add_argument("--currency", default="", help="currency of the rate deck, such as USD")
        parser.add_argument("--email", default="", help="whom to tell when something is wrong")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            deck = accounts.find_deck(name=options["deck"], currency=options["currency"].upper())
            opened = accounts.open_with_key(name=options["name"], email=options["email"], deck=deck)
        except accounts.NoDeck as error:
            raise CommandError(str(error)) from error
        except ValidationError as error:
            wrong = [f"{field}: {' '.join(said)}" for field, said in error.message_dict.items()]
            raise CommandError(" ".join(wrong)) from error
        self.stdout.write(f"customer     {opened.customer.public_id}")
        self.stdout.write(f"application  {opened.application.public_id}")
        self.stdout.write(f"rate deck    {opened.balance.deck}")
        self.stdout.write(f"API key      {opened.key}")
        self.stdout.write("The key is not shown again. The account is at zero: see top_up.")
