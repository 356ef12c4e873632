"""Mail to customers and staff: a row each, written beside what it tells of, and sent outside of transactions."""

import logging
from datetime import UTC, datetime, timedelta
from smtplib import SMTPException
from time import monotonic

from django.conf import settings
from django.core.mail import EmailMessage
from django.db import transaction

from applications.models import Notice

logger = logging.getLogger(__name__)

_PAUSES = tuple(timedelta(minutes=minutes) for minutes in (1, 5, 30, 120, 360))
_BATCH = 1000
_RUN_SECONDS = 30.0
_SENDING = timedelta(minutes=2)  # longer than any exchange with a mail server


def write(
    *,
    customer_id: int,
    kind: Notice.Kind,
    recipient: str,
    subject: str,
    text: str,
    now: datetime,
    copy_to: str = "",
) -> None:
    """Write a mail to be sent, if there is somebody to send it to, and a mail server.

    `copy_to` gets a blind copy. A second one about the day cap, on one UTC day, is not kept.
    """
    if not settings.EMAIL_URL or not (recipient or copy_to):
        return
    notice = Notice(
        customer_id=customer_id,
        kind=kind,
        day=now.astimezone(UTC).date(),
        recipient=recipient,
        copy_to=copy_to,
        subject=subject,
        text=text,
        created_at=now,
        next_attempt_at=now,
    )
    Notice.objects.bulk_create([notice], ignore_conflicts=True)


def send(*, now: datetime) -> int:
    """Send the mail that is due, for half a minute at most; return how many went out.

    One that cannot be sent, or kills its sender, is tried five times more, within nine hours.
    """
    sent, ends_at = 0, monotonic() + _RUN_SECONDS
    while monotonic() < ends_at and (notice := _claim(now)) is not None:
        try:
            _letter(notice).send()
        except (SMTPException, OSError, ValueError) as error:
            logger.warning("mail %s could not be sent, attempt %s: %s", notice.pk, notice.attempts, error)
            if notice.next_attempt_at is not None:
                due_at = now + _PAUSES[notice.attempts - 1]
                Notice.objects.filter(pk=notice.pk).update(next_attempt_at=due_at)
        else:
            Notice.objects.filter(pk=notice.pk).update(sent_at=now, next_attempt_at=None)
            sent += 1
    return sent


def prune(*, now: datetime) -> int:
    """Delete a batch of mail that is older than it is kept, sent or given up; return how many, 0 when none is left."""
    kept_from = now - timedelta(days=settings.TIMELINE_DAYS)
    oldest = Notice.objects.order_by("pk").values_list("pk", "created_at", "next_attempt_at")[:_BATCH]
    old = [pk for pk, created_at, due_at in oldest if created_at < kept_from and due_at is None]
    return Notice.objects.filter(pk__in=old).delete()[0]


def _claim(now: datetime) -> Notice | None:
    """Return a mail that is due and now ours: should we die over it, it is due again, unless this was the last time."""
    with transaction.atomic():
        due = Notice.objects.filter(next_attempt_at__lte=now).order_by("next_attempt_at")
        notice = due.select_for_update(skip_locked=True).first()
        if notice is not None:
            notice.next_attempt_at = now + _SENDING if notice.attempts < len(_PAUSES) else None
            notice.attempts += 1
            notice.save(update_fields=["attempts", "next_attempt_at"])
    return notice


def _letter(notice: Notice) -> EmailMessage:
    return EmailMessage(
        subject=notice.subject,
        body=notice.text,
        to=[notice.recipient] if notice.recipient else [],
        bcc=[notice.copy_to] if notice.copy_to else [],
    )
