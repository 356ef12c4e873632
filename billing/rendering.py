"""Money as JSON: what the API answers."""

from typing import TypedDict

from billing import rating
from billing.models import Balance, DeckVersion, Entry
from billing.rates import Quote
from minivoice import clock, schema
from minivoice.money import text


class BalanceObject(TypedDict):
    """What the customer has: `available` = `posted` + `credit_limit` - `held`."""

    posted: schema.Amount
    held: schema.Amount
    available: schema.Amount
    credit_limit: schema.Amount
    currency: str


class EntryObject(TypedDict):
    """One movement of money. `amount` is signed, `posted_after` the balance after it, `call_id` what was charged."""

    id: schema.Id
    kind: str
    amount: schema.Amount
    posted_after: schema.Amount
    currency: str
    call_id: schema.Id | None
    reference: str | None
    created_at: schema.Time


class RateObject(TypedDict):
    """The rate that prices a call: the prefix that matched, and its figures; increments are in seconds."""

    prefix: str
    description: str
    price_per_minute: schema.Amount
    connection_fee: schema.Amount
    minimum_charge: schema.Amount
    initial_increment: int
    subsequent_increment: int
    blocked: bool


class RateLookupObject(RateObject):
    """The price of a call to `to`, and where it stands: in the price list in force.

    `hold` is set aside when the call is accepted; it pays for `funded_seconds` of talk.
    """

    to: schema.E164
    version_id: int
    effective_from: schema.Time
    currency: str
    hold: schema.Amount
    funded_seconds: int


def balance(row: Balance) -> BalanceObject:
    """Return the balance object."""
    return {
        "posted": text(row.posted),
        "held": text(row.held),
        "available": text(row.posted + row.credit_limit - row.held),
        "credit_limit": text(row.credit_limit),
        "currency": row.currency,
    }


def entry(row: Entry, *, currency: str) -> EntryObject:
    """Return a ledger entry; who of our staff made it, and what they noted, stays inside."""
    return {
        "id": row.public_id,
        "kind": row.kind,
        "amount": text(row.amount),
        "posted_after": text(row.posted_after),
        "currency": currency,
        "call_id": row.call_id or None,
        "reference": row.reference or None,
        "created_at": clock.text(row.created_at),
    }


def rate(quote: Quote) -> RateObject:
    """Return the rate object."""
    return {
        "prefix": quote.prefix,
        "description": quote.description,
        "price_per_minute": text(quote.price.per_minute),
        "connection_fee": text(quote.price.connection_fee),
        "minimum_charge": text(quote.price.minimum_charge),
        "initial_increment": quote.price.initial_increment,
        "subsequent_increment": quote.price.subsequent_increment,
        "blocked": quote.blocked,
    }


def rate_lookup(number: str, quote: Quote, version: DeckVersion, *, hold_seconds: int) -> RateLookupObject:
    """Return what `quote` says of calls to `number`; the first hold pays for `hold_seconds` at least."""
    funded_seconds = rating.billed_seconds(quote.price, hold_seconds)
    return {
        **rate(quote),
        "to": number,
        "version_id": version.pk,
        "effective_from": clock.text(version.effective_from),
        "currency": quote.currency,
        "hold": text(rating.charge(quote.price, funded_seconds).amount),
        "funded_seconds": funded_seconds,
    }
