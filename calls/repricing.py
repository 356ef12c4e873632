"""What a change of rates would have meant: the calls of the last 30 days at the rates of another version."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from django.db import connection

from billing.models import DeckVersion

PERIOD = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Impact:
    """Answered calls: how many, what they cost (overrun included) and would have cost. Those that would not have been
    placed, for the version has no rate for their number or a blocked one, are counted apart and in no sum.
    """

    calls: int
    cost: Decimal
    would_be: Decimal
    refused_calls: int


def impact(version: DeckVersion, *, now: datetime) -> Impact:
    """Rate the answered calls that the customers of the version's deck made in the last 30 days by `version`."""
    with connection.cursor() as cursor:
        cursor.execute(_IMPACT, {"deck": version.deck_id, "version": version.pk, "since": now - PERIOD})
        return Impact(*cursor.fetchone())


# Each number's rate is found as `billing.rates` finds it, each charge is worked out as `billing.rating` does.
_IMPACT = """
WITH talk AS (
    SELECT to_number, duration_seconds AS seconds, cost_amount + overrun_amount AS cost
    FROM calls_call AS call JOIN billing_balance AS balance ON balance.customer_id = call.customer_id
    WHERE balance.deck_id = %(deck)s AND settled_at >= %(since)s AND duration_seconds > 0 AND direction = 'outbound'
), priced AS (
    SELECT talk.*, rate.*, initial_increment + subsequent_increment
        * ceil(greatest(0, seconds - initial_increment)::numeric / subsequent_increment) AS billed
    FROM talk LEFT JOIN LATERAL (
        SELECT blocked, price_per_minute, connection_fee, minimum_charge, initial_increment, subsequent_increment
        FROM billing_rate
        WHERE version_id = %(version)s AND prefix = ANY(
            ARRAY(SELECT left(ltrim(to_number, '+'), digits) FROM generate_series(1, 15) AS digits))
        ORDER BY length(prefix) DESC LIMIT 1
    ) AS rate ON true
)
SELECT count(*) FILTER (WHERE NOT blocked), COALESCE(sum(cost) FILTER (WHERE NOT blocked), 0),
    COALESCE(sum(greatest(minimum_charge, round(connection_fee + price_per_minute * billed / 60, 6)))
        FILTER (WHERE NOT blocked), 0),
    count(*) FILTER (WHERE blocked IS NOT FALSE)
FROM priced
"""
