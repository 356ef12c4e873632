"""The secret that signs what an application is sent: replaced without a gap, the old one goes on for a day."""

import secrets
from datetime import datetime, timedelta

from django.core.exceptions import ImproperlyConfigured
from django.db import transaction

from applications.models import Application

BOTH_SIGN = timedelta(hours=24)


def new() -> str:
    """Return a fresh secret of 256 random bits."""
    return secrets.token_urlsafe(32)


def replace(application: Application, *, secret: str, now: datetime) -> Application:
    """Make `secret` sign from now on, and the one it replaces beside it for `BOTH_SIGN`; return the row.

    A secret that is in force already changes nothing: a request that is sent twice must not end the old one. One that
    cannot be read has signed nothing: none goes on beside the new one.
    """
    with transaction.atomic():
        row = Application.objects.select_for_update(no_key=True).get(pk=application.pk)
        before = _readable(row)
        if before != secret:
            row.previous_webhook_secret = before
            row.previous_secret_expires_at = now + BOTH_SIGN if before else None
            row.webhook_secret = secret
            row.save(update_fields=["webhook_secret", "previous_webhook_secret", "previous_secret_expires_at"])
    return row


def _readable(application: Application) -> str:
    try:
        return str(application.webhook_secret)
    except ImproperlyConfigured:
        return ""
