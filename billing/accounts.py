"""Accounts: a customer with its money and its first way in, and what comes in by hand."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import uuid4

from django.db import transaction

from applications import keys
from applications.models import ApiKey, Application, Customer
from billing import ledger
from billing.models import Balance, Entry, RateDeck


class NoDeck(Exception):
    """Not one rate deck, or more than one, is meant; the message says which there are."""


class ReferenceUsed(Exception):
    """The reference is that of another entry, which is `entry`."""

    def __init__(self, entry: Entry) -> None:
        self.entry = entry
        super().__init__(f"this reference is that of {entry}")


@dataclass(frozen=True, slots=True)
class Opened:
    """A new customer, its first application, and the text of its first key, which is kept nowhere."""

    customer: Customer
    application: Application
    balance: Balance
    key: str


def open_with_key(*, name: str, email: str = "", deck: RateDeck) -> Opened:
    """Make a customer with an account at zero on `deck`, an application of its name, and a key with every scope.

    Raises ValidationError, having made nothing, when name or e-mail are not fit.
    """
    customer = Customer(name=name, contact_email=email)
    customer.full_clean()
    with transaction.atomic():
        customer.save()
        balance = Balance.objects.create(customer=customer, deck=deck, currency=deck.currency)
        application = Application.objects.create(customer=customer, name=name)
        _, text = keys.issue(application=application, scopes=ApiKey.Scope.values)
    return Opened(customer, application, balance, text)


def find_deck(*, name: str = "", currency: str = "") -> RateDeck:
    """Return the one rate deck of this name and currency, either of which may be left open. Raises NoDeck."""
    wanted = {"name": name, "currency": currency}
    decks = list(RateDeck.objects.filter(**{field: value for field, value in wanted.items() if value}).order_by("name"))
    if len(decks) == 1:
        return decks[0]
    if decks:
        raise NoDeck(f"say which rate deck: {', '.join(map(str, decks))}")
    every = ", ".join(map(str, RateDeck.objects.order_by("name"))) or "none yet: make one in the console"
    raise NoDeck(f"there is no such rate deck; there are: {every}")


def top_up(
    *, customer: Customer, amount: Decimal, reference: str, now: datetime, note: str = "by manage.py top_up"
) -> tuple[Entry, bool]:
    """Post `amount` (more than 0, in the account's currency) under the payer's `reference`, which counts once.

    Returns the entry, and whether it is new: the same again finds the first. Raises ReferenceUsed when that one was
    of another amount, Balance.DoesNotExist when the customer has no account.
    """
    try:
        entry = ledger.post(
            customer_id=customer.pk,
            kind=Entry.Kind.TOP_UP,
            amount=amount,
            key=f"top_up:{uuid4()}",
            reference=reference,
            note=note,
            now=now,
        )
    except ledger.DuplicateEntry as error:
        entry = Entry.objects.get(customer=customer, reference=reference)
        if entry.amount != amount:
            raise ReferenceUsed(entry) from error
        return entry, False
    return entry, True
