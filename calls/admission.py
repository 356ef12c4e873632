"""May this call be made? Facts read under the customer's lock, then checks in their documented order.

Each check is a function from facts to a verdict: None, or the error that refuses. Nothing here keeps a counter: live
calls and the last second's calls are rows, so nothing can leak or drift.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.db import connection

from applications import destinations, limits
from applications.models import Customer
from billing import ledger, rates, rating
from billing.rating import Price
from minivoice import clock, errors, money
from minivoice.prepared import Statement
from telephony import link, routing

# As carriers read the user of a SIP URI: with its + or what is dialled for it, or with neither. What follows fifteen
# digits they leave out.
_PUBLIC = re.compile(r"(?:\+|0011|011|00)?([1-9][0-9]{6,14})[0-9]*")
_SEPARATORS = str.maketrans("", "", "._-")
INBOUND_PREFIX = "inbound"  # what stands for the rate's prefix where a number's own rate applies


@dataclass(frozen=True, slots=True)
class Facts:
    """All that the checks look at."""

    engine_is_up: bool
    customer: Customer
    caller_id: str
    caller_id_is_own: bool
    number: str
    is_suspended: bool
    quote: rates.Quote | None
    routes: Sequence[routing.Route]
    account: ledger.Account
    hold: Decimal
    funded_seconds: int
    live_calls: int
    calls_in_last_second: int
    accepted_at: datetime

    @property
    def allowed(self) -> limits.Limits:
        """How many calls the customer may have at this moment."""
        return limits.in_force(self.customer, at=self.accepted_at)


Check = Callable[[Facts], errors.ApiError | None]


def read(
    *,
    customer: Customer,
    caller_id: str,
    to: str,
    max_duration_seconds: int,
    trunk_id: int | None = None,
    now: datetime,
) -> Facts:
    """Lock the customer's balance and read the facts about a call from `caller_id` to `to`, over one trunk or any.

    Needs a transaction: facts hold as long as the lock is kept. Counts are read in a statement after the lock, or
    READ COMMITTED would show rows as they were before it was granted; the database's clock dates the call, for the
    door's `now` may lie before calls that were accepted while this one waited.
    """
    quote = rates.quote(customer_id=customer.pk, number=to, now=now)
    routes = routing.outbound_trunks(customer_id=customer.pk, number=to, only=trunk_id)
    account = ledger.lock(customer_id=customer.pk, now=now)
    return _facts(customer, caller_id, to, account, quote, max_duration_seconds, routes=routes, now=now)


def read_inbound(
    *, customer: Customer, caller_id: str, to: str, price: Price, max_duration_seconds: int, now: datetime
) -> Facts:
    """Lock the customer's balance and read the facts about a call that came in for its number `to`.

    It is rated by `price`, the number's own. Needs a transaction, as `read`.
    """
    account = ledger.lock(customer_id=customer.pk, now=now)
    quote = rates.Quote(0, INBOUND_PREFIX, "", blocked=False, currency=account.currency, price=price)
    return _facts(customer, caller_id, to, account, quote, max_duration_seconds, routes=(), now=now)


def hold(facts: Facts, *, key: str) -> bool:
    """Set aside what the call `key` was admitted with; return False when it is not available after all."""
    return ledger.hold(
        customer_id=facts.customer.pk,
        key=key,
        amount=facts.hold,
        funded_seconds=facts.funded_seconds,
        now=facts.accepted_at,
    )


def promise(facts: Facts) -> dict[str, Any]:
    """Return what a call is promised, for its columns: rate, price and funded seconds. Raises RateNotFound."""
    quote = facts.quote
    if quote is None:
        raise errors.RateNotFound
    return {
        "rate_version_id": quote.version_id,
        "rate_prefix": quote.prefix,
        "price_per_minute": quote.price.per_minute,
        "connection_fee": quote.price.connection_fee,
        "initial_increment": quote.price.initial_increment,
        "subsequent_increment": quote.price.subsequent_increment,
        "minimum_charge": quote.price.minimum_charge,
        "currency": quote.currency,
        "funded_seconds": facts.funded_seconds,
    }


def line(facts: Facts) -> dict[str, Any]:
    """Return what the timeline says of an accepted call: what was held of what, at which rate, beside which calls."""
    quote = facts.quote
    if quote is None:
        raise errors.RateNotFound
    return {
        "hold": money.text(facts.hold),
        "funded_seconds": facts.funded_seconds,
        "available": money.text(facts.account.available),
        "rate": {
            "prefix": quote.prefix,
            "description": quote.description,
            "price_per_minute": money.text(quote.price.per_minute),
            "increments": f"{quote.price.initial_increment}/{quote.price.subsequent_increment}",
        },
        "live_calls": facts.live_calls + 1,
        "max_concurrent_calls": facts.allowed.concurrent_calls,
    }


def _facts(
    customer: Customer,
    caller_id: str,
    to: str,
    account: ledger.Account,
    quote: rates.Quote | None,
    max_duration_seconds: int,
    *,
    routes: Sequence[routing.Route],
    now: datetime,
) -> Facts:
    funded, amount = _hold(quote, max_duration_seconds)
    with connection.cursor() as cursor:
        _FACTS.run(cursor, {"customer": customer.pk, "caller_id": caller_id, "alive_since": link.alive_since(now=now)})
        engine_is_up, accepted_at, live_calls, calls_in_last_second, caller_id_is_own, is_suspended = cursor.fetchone()
    return Facts(
        engine_is_up=engine_is_up,
        customer=customer,
        caller_id=caller_id,
        caller_id_is_own=caller_id_is_own or caller_id in customer.verified_caller_ids,
        number=to,
        is_suspended=is_suspended,
        quote=quote,
        routes=routes,
        account=account,
        hold=amount,
        funded_seconds=funded,
        live_calls=live_calls,
        calls_in_last_second=calls_in_last_second,
        accepted_at=accepted_at,
    )


def verdicts(facts: Facts) -> list[tuple[str, errors.ApiError | None]]:
    """Return each check's name and verdict, in their order: the first refusal is the one that a create answers."""
    return [(check.__name__, check(facts)) for check in CHECKS]


def refusal(facts: Facts) -> errors.ApiError | None:
    """Return the first check's refusal, or None when the call may be made."""
    return next((verdict for check in CHECKS if (verdict := check(facts))), None)


def leg_refusal(facts: Facts) -> errors.ApiError | None:
    """Return the first refusal of a leg, or None when it may be dialled. Its call counts for calls per second."""
    return next((verdict for check in CHECKS if check is not calls_per_second and (verdict := check(facts))), None)


def inbound_refusal(facts: Facts) -> errors.ApiError | None:
    """Return the first refusal of a call that came in, or None when it may ring."""
    return next((verdict for check in INBOUND_CHECKS if (verdict := check(facts))), None)


def engine(facts: Facts) -> errors.ApiError | None:
    """No call is accepted that nobody can dial."""
    if facts.engine_is_up:
        return None
    return errors.Unavailable("the telephone engine is not reachable, try again shortly", retry_after_seconds=5)


def account(facts: Facts) -> errors.ApiError | None:
    """A suspended customer places no calls: none slips in behind the suspension that hangs up those that are live."""
    return errors.AccountSuspended() if facts.is_suspended else None


def caller_id(facts: Facts) -> errors.ApiError | None:
    """Calls over platform trunks show one of the customer's numbers, unless its policy allows any."""
    if facts.customer.caller_id_policy == Customer.CallerIdPolicy.ANY or facts.caller_id_is_own:
        return None
    if facts.routes and facts.routes[0].is_own:
        return None
    return errors.CallerIdNotAllowed(param="from")


def country(facts: Facts) -> errors.ApiError | None:
    """The number is of a country that the customer may call, where some are listed."""
    allowed = facts.customer.allowed_countries
    number = _public_number(facts)
    if not allowed or not number or destinations.is_in(number, allowed):
        return None
    return errors.DestinationBlocked(f"calls are allowed to these countries only: {', '.join(allowed)}", param="to")


def blocked_prefix(facts: Facts) -> errors.ApiError | None:
    """The number begins with none of the prefixes that are blocked for the customer."""
    digits = _public_number(facts).removeprefix("+")
    blocked = next((prefix for prefix in facts.customer.blocked_prefixes if digits.startswith(prefix)), None)
    if blocked is None:
        return None
    return errors.DestinationBlocked(f"calls to numbers that begin with +{blocked} are blocked", param="to")


def premium_rate(facts: Facts) -> errors.ApiError | None:
    """Premium-rate numbers are called by customers only that are allowed to."""
    number = _public_number(facts)
    if facts.customer.premium_rate_allowed or not number or not destinations.is_premium_rate(number):
        return None
    return errors.DestinationBlocked("calls to premium-rate numbers are blocked", param="to")


def blocked_rate(facts: Facts) -> errors.ApiError | None:
    """A rate may be marked as blocked: it is called at no price."""
    if facts.quote is not None and facts.quote.blocked:
        return errors.DestinationBlocked(
            f"the rate deck blocks numbers that begin with +{facts.quote.prefix}", param="to"
        )
    return None


def rate(facts: Facts) -> errors.ApiError | None:
    """No rate, no call."""
    return errors.RateNotFound() if facts.quote is None else None


def trunk(facts: Facts) -> errors.ApiError | None:
    """Some trunk must serve the destination."""
    return None if facts.routes else errors.NoActiveTrunk()


def highest_price(facts: Facts) -> errors.ApiError | None:
    """The rate is within the customer's highest price per minute."""
    highest = facts.account.highest_price_per_minute
    if highest is None or facts.quote is None or facts.quote.price.per_minute <= highest:
        return None
    currency = facts.account.currency
    price = f"{money.text(facts.quote.price.per_minute)} {currency}"
    return errors.SpendControlExceeded(
        f"the highest price per minute is {money.text(highest)} {currency}, this call's is {price}; "
        "the limit stands until it is changed"
    )


def day_cap(facts: Facts) -> errors.ApiError | None:
    """What is charged and held today, this call included, stays within the customer's cap."""
    cap = facts.account.day_cap
    if cap is None or not facts.hold or facts.account.spent_today + facts.hold <= cap:
        return None
    midnight = (facts.accepted_at + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    limit = f"{money.text(cap)} {facts.account.currency}"
    return errors.SpendControlExceeded(
        f"the daily spend cap of {limit} is reached; it frees up at {clock.text(midnight)}"
    )


def balance(facts: Facts) -> errors.ApiError | None:
    """The hold must fit what is available."""
    if facts.hold and facts.hold > facts.account.available:
        return errors.InsufficientBalance()
    return None


def concurrency(facts: Facts) -> errors.ApiError | None:
    """Calls up at one time, this one included, stay within the customer's limit."""
    limit = facts.allowed.concurrent_calls
    if facts.live_calls < limit:
        return None
    return errors.ConcurrentCallLimitReached(
        f"the limit of {limit} concurrent calls is reached: {facts.live_calls} are up", retry_after_seconds=5
    )


def calls_per_second(facts: Facts) -> errors.ApiError | None:
    """Calls accepted in any one second, this one included, stay within the customer's limit."""
    limit = facts.allowed.cps
    if facts.calls_in_last_second < limit:
        return None
    return errors.CpsLimitReached(
        f"the limit of {limit} calls per second is reached: {facts.calls_in_last_second} in the last second",
        retry_after_seconds=1,
    )


CHECKS: Sequence[Check] = (
    engine,
    account,
    caller_id,
    country,
    blocked_prefix,
    premium_rate,
    blocked_rate,
    rate,
    trunk,
    highest_price,
    day_cap,
    balance,
    concurrency,
    calls_per_second,
)

INBOUND_CHECKS: Sequence[Check] = (account, day_cap, balance, concurrency, calls_per_second)


def _public_number(facts: Facts) -> str:
    """Return the number that is dialled, that of a SIP URI too, which is no way around a block; '' when it has none."""
    user = facts.number.removeprefix("sip:").partition("@")[0]
    found = _PUBLIC.fullmatch(user.translate(_SEPARATORS))
    return f"+{found[1]}" if found else ""


def _hold(quote: rates.Quote | None, max_duration_seconds: int) -> tuple[int, Decimal]:
    """Return the seconds the first hold pays for and its amount; a free call is funded to its end at once."""
    if quote is None:
        return 0, Decimal(0)
    wanted = max_duration_seconds if quote.price.is_free else settings.HOLD_SECONDS
    funded = rating.billed_seconds(quote.price, wanted)
    return funded, rating.charge(quote.price, funded).amount


_FACTS = Statement("""
SELECT EXISTS (SELECT FROM telephony_engine WHERE seen_at > %(alive_since)s),
       moment,
       (SELECT count(*) FROM calls_call
        WHERE customer_id = %(customer)s AND NOT (status IN ('canceled', 'completed', 'failed'))),
       (SELECT count(*) FROM calls_call
        WHERE customer_id = %(customer)s AND accepted_at > moment - interval '1 second' AND parent_id IS NULL),
       EXISTS (SELECT FROM telephony_number
               WHERE customer_id = %(customer)s AND number_e164 = %(caller_id)s AND is_active),
       (SELECT status = 'suspended' FROM applications_customer WHERE id = %(customer)s)
FROM (SELECT clock_timestamp() AS moment OFFSET 0) AS clock
""")
