"""What the console's first page asks the database: each by an index, at a cost that does not grow with the calls."""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

from django.core.cache import cache
from django.db import connection

from calls.models import FINAL

SEES_CALLS, SEES_MONEY = "calls.view_call", "billing.view_entry"
_KEPT_SECONDS = 60


def live(*, staff_id: int, now: datetime) -> tuple[set[str], Mapping[str, Any]]:
    """Return which of SEES_CALLS and SEES_MONEY a member of staff has now, and how things stand, in one question.

    Who may not sign in any more has none, and is told nothing.
    """
    values = {"now": now, "staff": staff_id, "permissions": [SEES_CALLS, SEES_MONEY]}
    for sees, found in _ask(_LIVE, values):
        return set(sees), found
    return set(), {}


def charged(*, today: date) -> list[Any]:
    """Return currencies, each with what was charged in it on a UTC day (None: nothing), and in its month until then."""
    return _ask(_CHARGED, {"today": today, "month": today.replace(day=1)})


def low() -> list[Any]:
    """Return key, name, available and currency of the ten customers that are nearest to running dry."""
    return _ask(_LOW, {})


def calls_by_hour(*, since: datetime) -> list[Any]:
    """Return hours, each with how many of its calls were answered and how many not; a minute old at most."""
    return _kept("home.hours", _HOURS, {"since": since})


def calls_by_day(*, first: date) -> list[Any]:
    """Return UTC days, each with how many calls were settled on it; a minute old at most."""
    return _kept("home.days", _DAYS, {"first": first})


def charges_by_day(*, first: date) -> list[Any]:
    """Return UTC days and currencies, each with what was charged; a minute old at most."""
    return _kept("home.charges", _CHARGES, {"first": first})


def _kept(name: str, question: str, values: Mapping[str, Any]) -> list[Any]:
    """Return rows that each process keeps for itself for a while."""
    return cache.get_or_set(name, lambda: _ask(question, values), _KEPT_SECONDS) or []


def _ask(question: str, values: Mapping[str, Any]) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(question, values)
        rows: list[Any] = cursor.fetchall()
    return rows


_LIVE = f"""
WITH newest AS MATERIALIZED (
    SELECT status, end_reason, answered_at, accepted_at FROM calls_call ORDER BY id DESC LIMIT 5000
), hour AS (
    SELECT status, end_reason, answered_at, accepted_at FROM newest WHERE accepted_at >= %(now)s - interval '1 hour'
), live AS (
    SELECT status FROM calls_call WHERE NOT (status IN ({", ".join(f"'{status}'" for status in sorted(FINAL))}))
)
SELECT ARRAY(
    SELECT app_label || '.' || codename FROM auth_permission AS permission
    JOIN django_content_type AS type ON type.id = permission.content_type_id
    WHERE app_label || '.' || codename = ANY(%(permissions)s) AND (
        staff.is_superuser
        OR EXISTS (SELECT FROM auth_user_user_permissions WHERE user_id = staff.id AND permission_id = permission.id)
        OR EXISTS (
            SELECT FROM auth_user_groups AS belongs JOIN auth_group_permissions AS granted USING (group_id)
            WHERE belongs.user_id = staff.id AND granted.permission_id = permission.id
        )
    )
), json_build_object(
    'up', (SELECT count(*) FROM live),
    'talking', (SELECT count(*) FROM live WHERE status = 'in_progress'),
    'lately', (SELECT count(*) FROM hour WHERE accepted_at >= %(now)s - interval '1 minute'),
    'ended', (SELECT count(*) FROM hour WHERE end_reason <> ''),
    'answered', (SELECT count(*) FROM hour WHERE end_reason <> '' AND answered_at IS NOT NULL),
    'failed', (SELECT count(*) FROM hour WHERE status = 'failed'),
    'reasons', (
        SELECT COALESCE(json_agg(json_build_array(end_reason, count) ORDER BY count DESC), '[]') FROM (
            SELECT end_reason, count(*) FROM hour WHERE status = 'failed' GROUP BY end_reason
            ORDER BY count(*) DESC LIMIT 4
        ) AS reason
    ),
    'waiting', (
        SELECT count(*) FROM (SELECT FROM webhooks_webhookevent WHERE status = 'pending' LIMIT 100000) AS event
    ),
    'trunks', (
        SELECT COALESCE(json_object_agg(state, count), '{{}}') FROM (
            SELECT state, count(*) FROM telephony_trunk WHERE is_active AND deleted_at IS NULL GROUP BY state
        ) AS trunk
    ),
    'engine', EXISTS (SELECT FROM telephony_engine WHERE seen_at >= %(now)s - interval '5 seconds')
)
FROM auth_user AS staff WHERE staff.id = %(staff)s AND staff.is_active AND staff.is_staff
"""  # noqa: S608  words of our own
_CHARGED = """
SELECT balance.currency, sum(day.charged) FILTER (WHERE day.day = %(today)s), sum(day.charged)
FROM billing_spendday AS day JOIN billing_balance AS balance USING (customer_id)
WHERE day.day >= %(month)s
GROUP BY balance.currency ORDER BY balance.currency
"""
_LOW = """
SELECT customer.id, customer.name, posted + credit_limit - held AS available, balance.currency
FROM billing_balance AS balance JOIN applications_customer AS customer ON customer.id = balance.customer_id
WHERE customer.status = 'active' AND posted + credit_limit - held <= COALESCE(low_mark, 0)
ORDER BY posted + credit_limit - held, customer.id LIMIT 10
"""
_HOURS = """
SELECT date_trunc('hour', call.accepted_at), count(*) FILTER (WHERE call.answered_at IS NOT NULL),
       count(*) FILTER (WHERE call.answered_at IS NULL)
FROM applications_customer AS customer
CROSS JOIN LATERAL (
    SELECT accepted_at, answered_at FROM calls_call WHERE customer_id = customer.id AND accepted_at >= %(since)s
) AS call
GROUP BY 1
"""
_DAYS = """
SELECT usage.day, sum(usage.calls)
FROM applications_application AS application
CROSS JOIN LATERAL (
    SELECT day, calls FROM calls_usageday WHERE application_id = application.id AND day >= %(first)s
) AS usage
GROUP BY usage.day
"""
_CHARGES = """
SELECT day.day, balance.currency, sum(day.charged)
FROM billing_spendday AS day JOIN billing_balance AS balance USING (customer_id)
WHERE day.day >= %(first)s
GROUP BY day.day, balance.currency ORDER BY day.day
"""
