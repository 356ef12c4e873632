"""Signatures over the exact bytes sent: ours, and beside it that of https://www.standardwebhooks.com."""

import hashlib
import hmac
from datetime import UTC, datetime

from standardwebhooks import Webhook


def headers(
    *, secret: str, event_id: str, event: str, delivery_id: str, attempt: int, body: bytes, now: datetime
) -> dict[str, str]:
    """Return the headers of one attempt (the first is 1) to deliver `body`; unsigned if `secret` is empty."""
    named = {
        "Content-Type": "application/json",
        "X-MiniVoice-Event": event,
        "X-MiniVoice-Delivery": delivery_id,
        "X-MiniVoice-Attempt": str(attempt),
    }
    if not secret:
        return named
    message_id = event_id.replace(".", "_")  # the standard's own separator is the dot
    return {
        **named,
        **request_headers(secret=secret, body=body, now=now),
        "webhook-id": message_id,
        "webhook-timestamp": _seconds(now),
        # Receivers know this key as `whsec_` and the secret in base64.
        "webhook-signature": Webhook(secret.encode()).sign(message_id, now.astimezone(UTC), body.decode()),
    }


def request_headers(*, secret: str, body: bytes, now: datetime) -> dict[str, str]:
    """Return the timestamp and the signature of a request to a customer; nothing when `secret` is empty."""
    if not secret:
        return {}
    timestamp = _seconds(now)
    digest = hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    return {"X-MiniVoice-Timestamp": timestamp, "X-MiniVoice-Signature": f"v1={digest}"}


def _seconds(now: datetime) -> str:
    return str(int(now.timestamp()))
