"""Endpoint health: who has not taken an event for three days, or is gone, is sent nothing until its URL is saved.

What is known of an endpoint is on its application's row. An answer counts for the URL it came from, and only if it
was asked after that URL was saved: what is still under way when a customer mends an endpoint cannot disable it again.
While a disabled endpoint's deliveries are being ended (`webhook_is_draining`), none is claimed, so that nothing old
is sent when the URL is saved meanwhile.
"""

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta
from smtplib import SMTPException
from time import monotonic

from django.conf import settings
from django.core.mail import EmailMessage
from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Coalesce

from applications.models import Application
from minivoice import nudge
from webhooks.models import WebhookEvent

logger = logging.getLogger(__name__)

PATIENCE = Application.ENDPOINT_PATIENCE
ENDPOINT_DISABLED = "endpoint_disabled"
DRAIN_TASK = "webhooks.drain"

_BATCH = 1000
_RUN_SECONDS = 30.0
_SENDING = timedelta(minutes=2)  # longer than any exchange with a mail server
_MAIL_FOR = timedelta(days=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class News:
    """What answers of one endpoint, the first of them asked for at `sent_at`, say about it."""

    application_id: int
    url: str
    sent_at: datetime
    has_succeeded: bool
    is_gone: bool


def hear(news: News, *, now: datetime) -> None:
    """Write down how an endpoint fares, and disable it when it is gone or its time is over."""
    with transaction.atomic():
        application = _locked(news.application_id)
        if application.webhook_disabled_at or not _is_of(news, application):
            return
        failing_since = application.webhook_failing_since or now
        is_over = news.is_gone or (not news.has_succeeded and failing_since <= now - PATIENCE)
        if is_over:
            application.webhook_disabled_at = now
            application.webhook_is_draining = True
            application.webhook_notice_due_at = now if settings.EMAIL_URL else None
        application.webhook_failing_since = failing_since if is_over or not news.has_succeeded else None
        application.save(
            update_fields=[
                "webhook_failing_since",
                "webhook_disabled_at",
                "webhook_is_draining",
                "webhook_notice_due_at",
            ]
        )
    if is_over:
        logger.warning(
            "the webhook endpoint of %s is disabled: %s", application.public_id, application.disabled_because()
        )
        nudge.wake(DRAIN_TASK)


def drain(*, now: datetime) -> int:
    """End the deliveries of disabled endpoints, for half a minute at most; return how many."""
    ended, ends_at = 0, monotonic() + _RUN_SECONDS
    disabled = Application.objects.filter(Q(webhook_disabled_at__isnull=False) | Q(webhook_is_draining=True))
    for application_id in list(disabled.values_list("pk", flat=True)):
        while monotonic() < ends_at and (count := _end_batch(application_id, now)):
            ended += count
    return ended


def tell(*, now: datetime) -> int:
    """Mail customers and staff about endpoints that were disabled, for half a minute at most; return how many.

    A mail that cannot be sent is tried again for a day, after pauses that double.
    """
    told, ends_at = 0, monotonic() + _RUN_SECONDS
    while monotonic() < ends_at and (application := _claim_notice(now)) is not None:
        try:
            told += _letter(application).send()
        except (SMTPException, OSError) as error:
            logger.warning("the mail about %s could not be sent: %s", application.public_id, error)
        else:
            ours = {"pk": application.pk, "webhook_notice_due_at": application.webhook_notice_due_at}
            Application.objects.filter(**ours).update(webhook_notice_due_at=None)
    return told


def _locked(application_id: int) -> Application:
    """Return an application, and keep others from changing it; its secrets are left where they are."""
    rows = Application.objects.select_for_update(no_key=True).defer("webhook_secret", "previous_webhook_secret")
    return rows.get(pk=application_id)


def _is_of(news: News, application: Application) -> bool:
    """Tell whether the news is of the endpoint as it was last saved."""
    saved_at = application.webhook_saved_at
    return news.url == application.webhook_url and (saved_at is None or saved_at <= news.sent_at)


def _end_batch(application_id: int, now: datetime) -> int:
    """End a batch of what must not be sent any more; return how many. What is under way is left to its note."""
    with transaction.atomic():
        application = _locked(application_id)
        old = WebhookEvent.objects.filter(application=application_id, status=WebhookEvent.Status.PENDING)
        if application.webhook_disabled_at is None:
            asked_at = Coalesce("replayed_at", "created_at")
            old = old.annotate(asked_at=asked_at).filter(asked_at__lt=application.webhook_saved_at)
        idle = old.exclude(is_in_flight=True, next_attempt_at__gt=now).order_by("next_attempt_at", "pk")
        batch = list(idle.select_for_update(skip_locked=True).values_list("pk", flat=True)[:_BATCH])
        WebhookEvent.objects.filter(pk__in=batch).update(
            status=WebhookEvent.Status.EXHAUSTED, next_attempt_at=None, is_in_flight=False, error=ENDPOINT_DISABLED
        )
        if not batch and application.webhook_is_draining and not old.exists():
            application.webhook_is_draining = False
            application.save(update_fields=["webhook_is_draining"])
    return len(batch)


def _claim_notice(now: datetime) -> Application | None:
    """Return an endpoint's application to write about: ours until its mail is due again, twice as old as now."""
    with transaction.atomic():
        rows = Application.objects.select_for_update(of=["self"], no_key=True, skip_locked=True)
        due = rows.select_related("customer").defer("webhook_secret", "previous_webhook_secret")
        application = due.filter(webhook_notice_due_at__lte=now).order_by("webhook_notice_due_at").first()
        if application is None or application.webhook_disabled_at is None:  # the second goes with the first
            return None
        age = now - application.webhook_disabled_at
        application.webhook_notice_due_at = None if age > _MAIL_FOR else now + max(age, _SENDING)
        application.save(update_fields=["webhook_notice_due_at"])
    return application


def _letter(application: Application) -> EmailMessage:
    """Return the mail to a customer, staff beside it; without a recipient it goes nowhere."""
    customer, staff = application.customer.contact_email, settings.STAFF_EMAIL
    text = (
        f"Events are not sent any more to the webhook URL of {application.name} ({application.public_id}): "
        f"{application.disabled_because()}.\n\n"
        "What was waiting, and what happens from now on, is kept in the delivery log as exhausted. To enable the "
        "endpoint, save its URL again, also the same one; then replay what you need."
    )
    return EmailMessage(
        subject=f"The webhook endpoint of {application.public_id} is disabled",
        body=text,
        to=[customer] if customer else [],
        bcc=[staff] if staff else [],
    )
