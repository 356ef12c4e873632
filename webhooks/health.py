"""Endpoint health: who has not taken an event for three days, or is gone, is sent nothing until its URL is saved.

What is known of an endpoint is on its application's row. An answer counts for the URL it came from, and only if it
was asked after that URL was saved: what is still under way when a customer mends an endpoint cannot disable it again.
While a disabled endpoint's deliveries are being ended (`webhook_is_draining`), none is claimed, so that nothing old
is sent when the URL is saved meanwhile.
"""

import logging
from dataclasses import dataclass
from datetime import datetime
from time import monotonic

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef, Q
from django.db.models.functions import Coalesce

from applications import mail
from applications.models import Application, Notice
from minivoice import nudge
from webhooks.models import WebhookEvent

logger = logging.getLogger(__name__)

PATIENCE = Application.ENDPOINT_PATIENCE
ENDPOINT_DISABLED = "endpoint_disabled"
DRAIN_TASK = "webhooks.drain"

_BATCH = 1000
_RUN_SECONDS = 30.0


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
        application.webhook_failing_since = failing_since if is_over or not news.has_succeeded else None
        _write(application, "webhook_failing_since", "webhook_disabled_at", "webhook_is_draining")
        if is_over:
            _mail(application, now)
    if is_over:
        logger.warning(
            "the webhook endpoint of %s is disabled: %s", application.public_id, application.disabled_because()
        )
        nudge.wake(DRAIN_TASK)


def drain(*, now: datetime) -> int:
    """End the deliveries of disabled endpoints, for half a minute at most; return how many."""
    ended, ends_at = 0, monotonic() + _RUN_SECONDS
    pending = WebhookEvent.objects.filter(application=OuterRef("pk"), status=WebhookEvent.Status.PENDING)
    waiting = Q(webhook_disabled_at__isnull=False) & Exists(pending)
    disabled = Application.objects.filter(waiting | Q(webhook_is_draining=True)).order_by("webhook_disabled_at", "pk")
    for application_id in list(disabled.values_list("pk", flat=True)):
        while monotonic() < ends_at and (count := _end_batch(application_id, now)):
            ended += count
    return ended


def _locked(application_id: int) -> Application:
    """Return an application, and keep others from changing it."""
    return Application.objects.select_for_update(no_key=True).get(pk=application_id)


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
            _write(application, "webhook_is_draining")
    return len(batch)


def _mail(application: Application, now: datetime) -> None:
    """Tell the customer, with a copy for staff."""
    text = (
        f"Since {now:%Y-%m-%d %H:%M} UTC events are not sent any more to the webhook URL of {application.name} "
        f"({application.public_id}): {application.disabled_because()}.\n\n"
        "What was waiting, and what happens from then on, is kept in the delivery log as exhausted. To enable the "
        "endpoint, save its URL again, also the same one; then replay what you need."
    )
    mail.write(
        customer_id=application.customer_id,
        kind=Notice.Kind.ENDPOINT,
        recipient=application.customer.contact_email,
        copy_to=settings.STAFF_EMAIL,
        subject=f"The webhook endpoint of {application.public_id} is disabled",
        text=text,
        now=now,
    )


def _write(application: Application, *fields: str) -> None:
    """Keep how an endpoint fares, which nobody changed: its application's history has nothing of it."""
    Application.objects.filter(pk=application.pk).update(**{name: getattr(application, name) for name in fields})
