"""Promise 13: signatures over the exact bytes, ours and the standard's, checked by others' code."""

import base64
import hashlib
import hmac
from datetime import UTC, datetime, timedelta, timezone

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from webhooks import signing

SECRET = "s3cret ключ"
BODY = '{"event":"call.created","name":"Zoë"}'.encode()


def _headers(*, secret: str = SECRET, now: datetime | None = None) -> dict[str, str]:
    return signing.headers(
        secret=secret,
        event_id="evt_20260529T120000.123456789",
        event="call.created",
        delivery_id="whd_20260529T120000.123456789",
        attempt=3,
        body=BODY,
        now=now or datetime.now(UTC),
    )


def test_signs_timestamp_and_body_with_the_secret() -> None:
    headers = _headers(now=datetime(2026, 5, 29, 12, 0, 0, 999_999, tzinfo=UTC))

    expected = hmac.new(SECRET.encode(), b"1780056000." + BODY, hashlib.sha256).hexdigest()
    assert headers["X-MiniVoice-Timestamp"] == "1780056000"
    assert headers["X-MiniVoice-Signature"] == f"v1={expected}"


def test_passes_an_off_the_shelf_verifier_and_a_changed_byte_does_not() -> None:
    headers = _headers()
    verifier = Webhook("whsec_" + base64.b64encode(SECRET.encode()).decode())

    assert verifier.verify(BODY, headers)["event"] == "call.created"
    with pytest.raises(WebhookVerificationError):
        verifier.verify(BODY.replace(b"created", b"crested"), headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(b"another").verify(BODY, headers)


def test_signs_the_same_moment_alike_in_every_time_zone() -> None:
    now = datetime.now(UTC)

    assert _headers(now=now) == _headers(now=now.astimezone(timezone(timedelta(hours=-7))))


def test_names_the_event_the_delivery_and_the_attempt() -> None:
    headers = _headers()

    assert headers["webhook-id"] == "evt_20260529T120000_123456789"
    assert headers["X-MiniVoice-Event"] == "call.created"
    assert headers["X-MiniVoice-Delivery"] == "whd_20260529T120000.123456789"
    assert headers["X-MiniVoice-Attempt"] == "3"
    assert headers["Content-Type"] == "application/json"


def test_signs_nothing_without_a_secret() -> None:
    assert set(_headers(secret="")) == {
        "Content-Type",
        "X-MiniVoice-Event",
        "X-MiniVoice-Delivery",
        "X-MiniVoice-Attempt",
    }
    assert signing.request_headers(secret="", body=BODY, now=datetime.now(UTC)) == {}


def test_signs_requests_for_instructions_alike() -> None:
    now = datetime.now(UTC)
    headers = signing.request_headers(secret=SECRET, body=BODY, now=now)

    assert set(headers) == {"X-MiniVoice-Timestamp", "X-MiniVoice-Signature"}
    assert headers.items() <= _headers(now=now).items()


def test_signs_requests_for_instructions_with_both_secrets_while_one_is_replaced() -> None:
    now = datetime.now(UTC)
    headers = signing.request_headers(secret="the new one", previous_secret=SECRET, body=BODY, now=now)

    old, new = (signing.request_headers(secret=key, body=BODY, now=now) for key in (SECRET, "the new one"))
    assert headers == {**new, "X-MiniVoice-Signature-Previous": old["X-MiniVoice-Signature"]}
    assert signing.request_headers(secret="", previous_secret=SECRET, body=BODY, now=now) == {}
