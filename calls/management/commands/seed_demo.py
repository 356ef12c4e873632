"""`manage.py seed_demo`: what `make run` shows a newcomer. Safe to run again: it adds only what is missing."""

import csv
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import environ
from django.contrib.auth.models import User
from django.core.management.base import BaseCommand
from django.db import transaction

from applications import keys
from applications.models import ApiKey, Application, Customer
from billing import ledger
from billing.models import Balance, DeckVersion, Entry, Rate, RateDeck
from minivoice import clock
from telephony.models import Engine, Number, Trunk

RATES = Path(__file__).resolve().parent.parent.parent / "demo" / "rates.csv"
FUNDS = Decimal(100)
NUMBER = "+15551230001"  # the caller of the documentation's own curl

env = environ.Env()


class Command(BaseCommand):
    help = "Adds the demo: a customer with money, a rate deck, a simulated trunk, a number, two applications, staff."

    @transaction.atomic
    def handle(self, *args: Any, **options: Any) -> None:
        _engine()
        customer = _customer()
        application = _applications(customer)
        user, _ = User.objects.get_or_create(
            username="admin", defaults={"is_staff": True, "is_superuser": True, "email": "admin@example.com"}
        )
        password = env.str("CONSOLE_PASSWORD")
        if not user.check_password(password):
            user.set_password(password)
            user.save()
        self.stdout.write(
            json.dumps(
                {
                    "api_key": env.str("DEMO_API_KEY"),
                    "application_id": application.public_id,
                    "customer_id": customer.public_id,
                    "console_user": user.username,
                    "console_password": password,
                }
            )
        )


def _engine() -> None:
    """The engine's address and password, and where its carrier listens, may change between runs."""
    Engine.objects.update_or_create(
        name="simulated",
        defaults={
            "url": env.str("ENGINE_URL"),
            "user": env.str("ENGINE_USER"),
            "password": env.str("ENGINE_PASSWORD"),
            "seen_at": None,
        },
    )
    trunk, _ = Trunk.objects.get_or_create(
        customer=None, gateway_name="simulated", defaults={"name": "Simulated network", "proxy": _proxy()}
    )
    if trunk.proxy != _proxy():
        trunk.proxy = _proxy()
        trunk.save(update_fields=["proxy", "updated_at"])


def _proxy() -> str:
    return str(env.str("DEMO_CARRIER", default="127.0.0.1:5060"))  # the simulated network asks nobody where it is


def _customer() -> Customer:
    customer, _ = Customer.objects.get_or_create(
        name="acme", defaults={"contact_email": "ops@acme.example", "max_cps": 10}
    )
    _, is_new = Balance.objects.get_or_create(customer=customer, defaults={"deck": _deck(), "currency": "USD"})
    if is_new:
        ledger.post(
            customer_id=customer.pk,
            kind=Entry.Kind.TOP_UP,
            amount=FUNDS,
            key=f"demo:{customer.public_id}",
            note="demo funds",
            now=clock.now(),
        )
    return customer


def _deck() -> RateDeck:
    deck, is_new = RateDeck.objects.get_or_create(name="Standard", defaults={"currency": "USD"})
    if is_new:
        version = DeckVersion.objects.create(deck=deck, effective_from=clock.now(), state=DeckVersion.State.LIVE)
        with RATES.open(newline="") as file:
            Rate.objects.bulk_create(Rate(version=version, **_rate(row)) for row in csv.DictReader(file))
    return deck


def _rate(row: dict[str, str]) -> dict[str, Any]:
    initial, subsequent = row["increments"].split("/")
    return {
        "prefix": row["prefix"],
        "description": row["description"],
        "price_per_minute": Decimal(row["price_per_minute"]),
        "connection_fee": Decimal(row["connection_fee"]),
        "initial_increment": int(initial),
        "subsequent_increment": int(subsequent),
        "blocked": row["blocked"] == "yes",
    }


def _applications(customer: Customer) -> Application:
    """The playground's application, with the key that `make run` prints, and an empty one beside it."""
    playground, _ = Application.objects.update_or_create(
        customer=customer,
        name="Playground",
        defaults={
            "answer_url": f"{env.str('PLAYGROUND_URL')}/answer",
            "webhook_url": f"{env.str('PLAYGROUND_URL')}/webhooks",
            "webhook_secret": env.str("PLAYGROUND_SECRET"),
        },
    )
    Application.objects.get_or_create(customer=customer, name="Empty")
    Number.objects.get_or_create(number_e164=NUMBER, defaults={"customer": customer, "application": playground})
    text = env.str("DEMO_API_KEY")
    if not ApiKey.objects.filter(digest=keys.digest(text)).exists():
        keys.keep(text, application=playground, scopes=ApiKey.Scope.values)
    return playground
