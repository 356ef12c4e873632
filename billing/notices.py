"""What customers are told of their money: `balance.low`, and mail to their contact address.

Looked for every few seconds in the accounts as they are, so that no call waits for it: a dip that is over before the
next look is no news.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

from django.db import InterfaceError, OperationalError, connection, transaction

from applications import mail
from applications.models import Application, Notice
from minivoice import money
from webhooks import outbox

logger = logging.getLogger(__name__)

_EVENT = "balance.low"
_MAIL_APART = timedelta(hours=1)  # an account about its mark falls under it with every call


class _Low(NamedTuple):
    customer_id: int
    posted: Decimal
    held: Decimal
    available: Decimal
    currency: str
    mark: Decimal
    recipient: str


def look(*, now: datetime) -> None:
    """Tell of every account that fell under its mark, once per fall, or reached 80 % of its day cap, once a UTC day."""
    for low in _fallen(now):
        with _alone(low.customer_id):
            if _is_news(low, now):
                _publish(low, now)
                _mail_low(low, now)
    for customer_id, recipient, spent, cap, currency in _near_cap(now):
        text = f"{money.text(spent)} of the daily spend cap of {money.text(cap)} {currency} is charged or held today"
        with _alone(customer_id):
            _mail(customer_id, Notice.Kind.DAY_CAP, recipient, f"80 % of the daily spend cap: {text}.", now)


@contextmanager
def _alone(customer_id: int) -> Iterator[None]:
    """Give one account a transaction; what fails for it does not stop those after it, unless the database is away."""
    try:
        with transaction.atomic():
            yield
    except (OperationalError, InterfaceError):
        raise
    except Exception:
        logger.exception("customer %s is left to the next look", customer_id)


def _fallen(now: datetime) -> list[_Low]:
    """Forget the falls that are over; return the accounts that are under their mark and were not told."""
    with connection.cursor() as cursor:
        cursor.execute(_RISEN)
        cursor.execute(_UNTOLD)
        return [_Low(*row) for row in cursor.fetchall()]


def _is_news(low: _Low, now: datetime) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO billing_fall (customer_id, told_at) VALUES (%s, %s) ON CONFLICT DO NOTHING",
            [low.customer_id, now],
        )
        return bool(cursor.rowcount)


def _publish(low: _Low, now: datetime) -> None:
    data = {
        "posted": money.text(low.posted),
        "held": money.text(low.held),
        "available": money.text(low.available),
        "currency": low.currency,
    }
    for application in Application.objects.filter(customer=low.customer_id, is_active=True).select_related("customer"):
        if outbox.wants(application, _EVENT):
            outbox.publish(
                application=application, event=_EVENT, call=None, call_id="", sequence=None, data=data, now=now
            )


def _mail_low(low: _Low, now: datetime) -> None:
    recent = Notice.objects.filter(customer=low.customer_id, kind=Notice.Kind.LOW, created_at__gt=now - _MAIL_APART)
    if low.recipient and not recent.exists():
        text = f"{money.text(low.available)} {low.currency} is available, which is less than {money.text(low.mark)}"
        _mail(low.customer_id, Notice.Kind.LOW, low.recipient, f"Your balance is low: {text}.", now)


def _near_cap(now: datetime) -> list[tuple[int, str, Decimal, Decimal, str]]:
    with connection.cursor() as cursor:
        cursor.execute(_NEAR_CAP, {"day": now.astimezone(UTC).date()})
        rows: list[tuple[int, str, Decimal, Decimal, str]] = cursor.fetchall()
    return rows


def _mail(customer_id: int, kind: Notice.Kind, recipient: str, text: str, now: datetime) -> None:
    subject = text.partition(":")[0]
    mail.write(customer_id=customer_id, kind=kind, recipient=recipient, subject=subject, text=text, now=now)


_RISEN = """
DELETE FROM billing_fall AS fall USING billing_balance AS balance
WHERE balance.customer_id = fall.customer_id
  AND (low_mark IS NULL OR posted + credit_limit - held >= low_mark)
"""

_UNTOLD = """
SELECT balance.customer_id, posted, held, posted + credit_limit - held, currency, low_mark, contact_email
FROM billing_balance AS balance JOIN applications_customer AS customer ON customer.id = balance.customer_id
WHERE posted + credit_limit - held < low_mark
  AND NOT EXISTS (SELECT FROM billing_fall AS fall WHERE fall.customer_id = balance.customer_id)
"""

_NEAR_CAP = """
SELECT balance.customer_id, contact_email, COALESCE(spend.charged, 0) + held, day_cap, currency
FROM billing_balance AS balance JOIN applications_customer AS customer ON customer.id = balance.customer_id
LEFT JOIN billing_spendday AS spend ON spend.customer_id = balance.customer_id AND spend.day = %(day)s
WHERE COALESCE(spend.charged, 0) + held >= day_cap * 0.8 AND contact_email <> ''
  AND NOT EXISTS (SELECT FROM applications_notice AS notice
                  WHERE notice.customer_id = balance.customer_id AND kind = 'day_cap' AND notice.day = %(day)s)
"""
