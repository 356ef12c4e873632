"""What customers are told of their money: `balance.low`, and mail to their contact address.

Looked for every few seconds in the accounts as they are, so that no call waits for it: a dip that is over before the
next look is no news. Mail has a row each: it is sent outside of transactions, and again when that failed.
"""

import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from smtplib import SMTPException
from time import monotonic
from typing import NamedTuple

from django.conf import settings
from django.core.mail import send_mail
from django.db import connection, transaction

from applications.models import Application
from billing.models import Notice
from minivoice import money
from webhooks import outbox

logger = logging.getLogger(__name__)

_EVENT = "balance.low"
_PAUSES = tuple(timedelta(minutes=minutes) for minutes in (1, 5, 30, 120, 360))
_MAIL_APART = timedelta(hours=1)  # an account about its mark falls under it with every call
_RUN_SECONDS = 30.0
_SENDING = timedelta(minutes=2)


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
        with transaction.atomic():
            if _is_news(low, now):
                _publish(low, now)
                _mail_low(low, now)
    with transaction.atomic():
        for customer_id, recipient, spent, cap, currency in _near_cap(now):
            text = (
                f"{money.text(spent)} of the daily spend cap of {money.text(cap)} {currency} is charged or held today"
            )
            _keep(customer_id, Notice.Kind.DAY_CAP, recipient, f"80 % of the daily spend cap: {text}.", now)


def send(*, now: datetime) -> int:
    """Send the mail that is due, for half a minute at most; return how many went out.

    One that cannot be sent is tried five times more, within nine hours.
    """
    sent, ends_at = 0, monotonic() + _RUN_SECONDS
    while monotonic() < ends_at and (notice := _claim(now)) is not None:
        try:
            send_mail(notice.subject, notice.text, None, [notice.recipient])
        except (SMTPException, OSError, ValueError) as error:
            _postpone(notice, error, now)
        else:
            Notice.objects.filter(pk=notice.pk).update(sent_at=now, next_attempt_at=None)
            sent += 1
    return sent


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
        _keep(low.customer_id, Notice.Kind.LOW, low.recipient, f"Your balance is low: {text}.", now)


def _near_cap(now: datetime) -> Iterator[tuple[int, str, Decimal, Decimal, str]]:
    with connection.cursor() as cursor:
        cursor.execute(_NEAR_CAP, {"day": now.astimezone(UTC).date()})
        yield from cursor.fetchall()


def _keep(customer_id: int, kind: Notice.Kind, recipient: str, text: str, now: datetime) -> None:
    """Write a mail to be sent, if there is a mail server to send it."""
    if not settings.EMAIL_URL:
        return
    notice = Notice(
        customer_id=customer_id,
        kind=kind,
        day=now.astimezone(UTC).date(),
        recipient=recipient,
        subject=text.partition(":")[0],
        text=text,
        created_at=now,
        next_attempt_at=now,
    )
    Notice.objects.bulk_create([notice], ignore_conflicts=True)


def _claim(now: datetime) -> Notice | None:
    """Return a mail that is due and now ours: should we die over it, it is due again after two minutes."""
    with transaction.atomic():
        due = Notice.objects.filter(next_attempt_at__lte=now).order_by("next_attempt_at")
        notice = due.select_for_update(skip_locked=True).first()
        if notice is not None:
            notice.attempts += 1
            notice.next_attempt_at = now + _SENDING
            notice.save(update_fields=["attempts", "next_attempt_at"])
    return notice


def _postpone(notice: Notice, error: Exception, now: datetime) -> None:
    pause = dict(enumerate(_PAUSES, start=1)).get(notice.attempts)
    logger.warning("mail %s could not be sent, attempt %s: %s", notice.pk, notice.attempts, error)
    Notice.objects.filter(pk=notice.pk).update(next_attempt_at=now + pause if pause else None)


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
  AND NOT EXISTS (SELECT FROM billing_notice AS notice
                  WHERE notice.customer_id = balance.customer_id AND kind = 'day_cap' AND notice.day = %(day)s)
"""
