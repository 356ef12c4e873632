"""Which price a call gets: the version in force, the longest prefix."""

from dataclasses import dataclass
from datetime import datetime

from django.db import connection

from billing.rating import Price
from minivoice.prepared import Statement

_LONGEST_PREFIX = 15


@dataclass(frozen=True, slots=True)
class Quote:
    """A price and where it stands: version and prefix of a customer's deck."""

    version_id: int
    prefix: str
    description: str
    blocked: bool
    currency: str
    price: Price


def quote(*, customer_id: int, number: str, now: datetime) -> Quote | None:
    """Return what the customer pays at `now` to call `number`, or None when no rate matches.

    `number` is E.164, or a SIP target (`sip:…`), which the row `sip` prices.

    The cost does not grow with the deck: one index look-up per possible prefix.
    """
    digits = number.removeprefix("+")[:_LONGEST_PREFIX]
    prefixes = [digits[:length] for length in range(len(digits), 0, -1)]
    with connection.cursor() as cursor:
        _QUOTE.run(cursor, {"customer": customer_id, "now": now, "prefixes": prefixes})
        row = cursor.fetchone()
    if row is None:
        return None
    version_id, prefix, description, blocked, currency, *figures = row
    return Quote(version_id, prefix, description, blocked, currency, Price(*figures))


_QUOTE = Statement("""
SELECT rate.version_id, rate.prefix, rate.description, rate.blocked, balance.currency,
       rate.price_per_minute, rate.connection_fee, rate.initial_increment, rate.subsequent_increment,
       rate.minimum_charge
FROM billing_balance AS balance
CROSS JOIN LATERAL (
    SELECT id FROM billing_deckversion
    WHERE deck_id = balance.deck_id AND state = 'live' AND effective_from <= %(now)s
    ORDER BY effective_from DESC LIMIT 1
) AS version
JOIN billing_rate AS rate ON rate.version_id = version.id AND rate.prefix = ANY(%(prefixes)s)
WHERE balance.customer_id = %(customer)s
ORDER BY length(rate.prefix) DESC LIMIT 1
""")
