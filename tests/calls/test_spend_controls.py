"""What a customer may spend on what: safe from the start, and the shapes that toll fraud has."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from applications import destinations
from applications.models import Customer
from billing import ledger
from billing.models import Balance, Entry, Hold, Rate
from calls.models import Call
from minivoice import errors
from tests import factories
from tests.calls.steps import FakeEngine, answer, dial, end, place, within_a_day
from tests.conftest import Actor

pytestmark = pytest.mark.django_db

ANY_CALLER = {"from_number": "+15551230001"}
SATELLITES = ["+870773123456", "+881612345678", "+88213300655", "+883510001234567"]
PREMIUM = ["+97912345678", "+19005551234", "+449098790879", "+33899123456", "+39892123"]


@pytest.fixture
def world_deck(acme: Actor) -> Actor:
    """A deck that prices the whole world: nothing is refused for want of a rate."""
    version = Rate.objects.get().version
    for prefix in "23456789":
        factories.RateFactory(version=version, prefix=prefix)
    return acme


def refusal(actor: Actor, to_number: str) -> errors.ApiError:
    with pytest.raises(errors.ApiError) as refused:
        place(actor, to_number=to_number)
    return refused.value


@pytest.mark.parametrize("number", [*SATELLITES, *PREMIUM])
def test_a_new_customer_calls_no_satellite_and_no_premium_rate(world_deck: Actor, number: str) -> None:
    assert refusal(world_deck, number).code == "destination_blocked"
    assert not Hold.objects.exists()


@pytest.mark.parametrize("number", [*SATELLITES, *PREMIUM])
def test_staff_can_open_what_is_blocked_at_first(world_deck: Actor, number: str) -> None:
    Customer.objects.update(blocked_prefixes=[], premium_rate_allowed=True)

    assert place(world_deck, to_number=number).status == "queued"


def test_a_new_account_has_a_day_cap() -> None:
    account = Balance.objects.create(customer=factories.CustomerFactory(), deck=factories.DeckFactory(), currency="USD")

    assert account.day_cap == 100


@pytest.mark.parametrize(
    ("countries", "number", "allowed"),
    [
        (["US"], "+15551230002", True),  # a test range, of no country in any plan: that of its code
        (["US"], "+18765551234", False),  # Jamaica shares the code
        (["JM"], "+18765551234", True),
        (["JM"], "+12125551234", False),
        (["GB"], "+447700900123", True),
        (["GB", "FR"], "+33142685300", True),
        (["GB", "FR"], "+4930123456", False),
        (["GB"], "+881612345678", False),
        ([], "+4930123456", True),
    ],
)
def test_calls_go_to_the_listed_countries_only(
    world_deck: Actor, countries: list[str], number: str, allowed: bool
) -> None:
    Customer.objects.update(allowed_countries=countries)

    if allowed:
        assert place(world_deck, to_number=number).status == "queued"
    else:
        assert refusal(world_deck, number).code == "destination_blocked"
        assert not Hold.objects.exists()


def test_messages_name_the_control(world_deck: Actor) -> None:
    Customer.objects.update(allowed_countries=["GB", "US"], blocked_prefixes=["4477"])
    Rate.objects.filter(prefix="1").update(blocked=True)

    said = [refusal(world_deck, number).message for number in ("+4930123456", "+447700900123", "+15551230002")]

    assert said == [
        "calls are allowed to these countries only: GB, US",
        "calls to numbers that begin with +4477 are blocked",
        "the rate deck blocks numbers that begin with +1",
    ]
    assert refusal(world_deck, "+449098790879").message == "calls to premium-rate numbers are blocked"


def test_the_highest_price_is_the_rates_own_and_no_less(acme: Actor) -> None:
    Balance.objects.update(highest_price_per_minute=Decimal("0.6"))
    assert place(acme).status == "queued"

    Balance.objects.update(highest_price_per_minute=Decimal("0.599999"))
    refused = refusal(acme, "+15551230002")
    assert refused.code == "spend_control_exceeded"
    assert refused.message.startswith("the highest price per minute is 0.599999 USD, this call's is 0.60 USD")


def test_calls_every_three_seconds_never_lose_more_than_the_cap(acme: Actor, engine: FakeEngine) -> None:
    """A night of calls at 2.7 s apart, each answered and kept up for its minute: the classic of a stolen key."""
    Balance.objects.update(day_cap=Decimal(3))
    refusals = 0
    for _ in range(8):
        try:
            call = dial(acme)
        except errors.SpendControlExceeded:
            refusals += 1
            continue
        started_at = within_a_day(seconds=59)
        answer(call, at=started_at)
        end(call, at=started_at + timedelta(seconds=59))

    charged = -sum(entry.amount for entry in Entry.objects.filter(kind="charge"))
    assert (charged, refusals) == (3, 3)


def test_of_568_calls_at_once_the_cap_lets_no_more_through_than_it_pays(acme: Actor) -> None:
    Customer.objects.update(max_concurrent_calls=1000, max_cps=1000)
    Balance.objects.update(day_cap=Decimal("6.10"))

    codes = [outcome(acme) for _ in range(568)]

    assert (codes.count(""), codes.count("spend_control_exceeded")) == (10, 558)
    assert Balance.objects.get().held == Decimal("6.00")


def outcome(actor: Actor) -> str:
    """Place a call; return the code that refuses it, '' for none."""
    try:
        place(actor)
    except errors.ApiError as error:
        return error.code
    return ""


def test_the_cap_frees_up_at_midnight(acme: Actor, settings: Any) -> None:
    Balance.objects.update(day_cap=Decimal(1))
    late = datetime(2026, 5, 29, 23, 59, tzinfo=UTC)
    ledger.hold(customer_id=acme.customer.pk, key="night", amount=Decimal(1), funded_seconds=60, now=late)
    price = Call(price_per_minute=1, connection_fee=0, initial_increment=60, subsequent_increment=60, minimum_charge=0)
    ledger.settle(key="night", price=price.price, milliseconds=1000, now=late)

    before, after = (
        ledger.lock(customer_id=acme.customer.pk, now=late + timedelta(minutes=minutes)).spent_today
        for minutes in (0, 2)
    )
    assert (before, after) == (1, 0)


def test_premium_rate_is_what_the_full_classification_says() -> None:
    """Over an example of every kind of number of every country."""
    import phonenumbers

    kinds = phonenumbers.PhoneNumberType
    examples = [
        number
        for region in phonenumbers.SUPPORTED_REGIONS
        for kind in kinds.values()
        if (number := phonenumbers.example_number_for_type(region, kind))
    ]
    assert len(examples) > 1000
    for number in examples:
        text = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
        assert destinations.is_premium_rate(text) == (phonenumbers.number_type(number) == kinds.PREMIUM_RATE), text
