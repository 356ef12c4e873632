"""Signatures over the exact bytes sent: ours, and beside it that of https://www.standardwebhooks.com."""

import hmac
from datetime import UTC, datetime

from standardwebhooks import Webhook


def headers(
    *,
    secret: str,
    previous_secret: str = "",
    event_id: str,
    event: str,
    delivery_id: str,
    attempt: int,
    body: bytes,
    now: datetime,
) -> dict[str, str]:
    """Return the headers of one attempt (the first is 1) to deliver `body`; unsigned if `secret` is empty.

    While a secret is being replaced, `previous_secret` signs beside it.
    """
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
        **request_headers(secret=secret, previous_secret=previous_secret, body=body, now=now),
        "webhook-id": message_id,
        "webhook-timestamp": _seconds(now),
        # Receivers know such a key as `whsec_` and the secret in base64. One signature that fits is enough for them.
        "webhook-signature": " ".join(
            Webhook(key.encode()).sign(message_id, now.astimezone(UTC), body.decode())
            for key in filter(None, (secret, previous_secret))
        ),
    }


def request_headers(*, secret: str, previous_secret: str = "", body: bytes, now: datetime) -> dict[str, str]:
    """Return the timestamp and the signatures of a request to a customer; nothing when `secret` is empty."""
    if not secret:
        return {}
    timestamp = _seconds(now)
    signed = {"X-MiniVoice-Timestamp": timestamp, "X-MiniVoice-Signature": _signature(secret, timestamp, body)}
    if previous_secret:
        signed["X-MiniVoice-Signature-Previous"] = _signature(previous_secret, timestamp, body)
    return signed


def _signature(secret: str, timestamp: str, body: bytes) -> str:
    return "v1=" + hmac.digest(secret.encode(), timestamp.encode() + b"." + body, "sha256").hex()


def _seconds(now: datetime) -> str:
    return str(int(now.timestamp()))
