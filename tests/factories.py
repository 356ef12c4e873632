"""The cast: `acme` the customer, `globex` the stranger, and what they own. Money only comes from the ledger."""

from decimal import Decimal
from typing import Any
from uuid import uuid4

import factory
from factory.django import DjangoModelFactory

from applications import keys
from applications.models import ApiKey, Application, Customer
from billing import ledger
from billing.models import Balance, DeckVersion, Entry, Rate, RateDeck
from minivoice import clock
from telephony.models import Engine, Number, Trunk


class CustomerFactory(DjangoModelFactory[Customer]):
    class Meta:
        model = Customer

    name = "acme"
    max_concurrent_calls = 100
    max_cps = 100


class ApplicationFactory(DjangoModelFactory[Application]):
    class Meta:
        model = Application

    customer = factory.SubFactory(CustomerFactory)
    name = "Front desk"


class DeckFactory(DjangoModelFactory[RateDeck]):
    class Meta:
        model = RateDeck
        django_get_or_create = ("name",)

    name = "Standard"
    currency = "USD"


class VersionFactory(DjangoModelFactory[DeckVersion]):
    class Meta:
        model = DeckVersion

    deck = factory.SubFactory(DeckFactory)
    effective_from = factory.LazyFunction(clock.now)
    state = DeckVersion.State.LIVE


class RateFactory(DjangoModelFactory[Rate]):
    class Meta:
        model = Rate

    version = factory.SubFactory(VersionFactory)
    prefix = "1"
    price_per_minute = Decimal("0.60")
    initial_increment = 60
    subsequent_increment = 60


class TrunkFactory(DjangoModelFactory[Trunk]):
    class Meta:
        model = Trunk

    name = "Carrier"
    gateway_name = factory.Sequence(lambda number: f"carrier-{number}")
    proxy = "carrier.example"


class NumberFactory(DjangoModelFactory[Number]):
    class Meta:
        model = Number

    customer = factory.SubFactory(CustomerFactory)
    number_e164 = "+15551230001"


class EngineFactory(DjangoModelFactory[Engine]):
    class Meta:
        model = Engine

    name = "engine"
    url = "http://127.0.0.1:1/ari"
    user = "minivoice"
    password = "engine-password"
    seen_at = factory.LazyFunction(clock.now)


def open_account(customer: Customer, *, funds: str = "0", **limits: Any) -> Balance:
    """Give a customer a balance in the standard deck's currency, with `funds` topped up."""
    limits.setdefault("day_cap", None)
    balance = Balance.objects.create(customer=customer, deck=DeckFactory(), currency="USD", **limits)
    if Decimal(funds):
        top_up(customer, funds)
    return balance


def top_up(customer: Customer, amount: str) -> Entry:
    """Add money by the ledger."""
    return ledger.post(
        customer_id=customer.pk,
        kind=Entry.Kind.TOP_UP,
        amount=Decimal(amount),
        key=f"test:{uuid4()}",
        now=clock.now(),
    )


def issue_key(application: Application, *scopes: str) -> str:
    """Return the text of a new key, with both scopes unless told otherwise."""
    key, text = keys.issue(application=application, scopes=scopes or ApiKey.Scope.values)
    ApiKey.objects.filter(pk=key.pk).update(last_used_at=clock.now())  # or its first request would write, too
    return text
