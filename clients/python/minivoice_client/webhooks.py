"""Is a request from MiniVoice genuine? For webhooks and for requests to an `answer_url` alike."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Iterator, Mapping
from typing import Any

from minivoice_client.errors import MiniVoiceError


class InvalidSignature(MiniVoiceError):
    """The request is forged, altered, unsigned or too old: answer it with a 400 and do nothing."""


def verify(
    *,
    secret: str,
    headers: Mapping[str, str],
    body: bytes,
    tolerance_seconds: int = 300,
    now_seconds: float | None = None,
) -> dict[str, Any]:
    """Return the JSON of a genuine request; `body` is its bytes as they came.

    Either signature will do: MiniVoice's own, or that of https://www.standardwebhooks.com, which some frameworks keep
    when they drop `X-` headers. While a secret is being replaced, both the new and the old one are accepted.

    Raises InvalidSignature for everything else, and for what was signed more than `tolerance_seconds` ago.
    """
    named = {name.lower(): value for name, value in headers.items()}
    now = time.time() if now_seconds is None else now_seconds
    for timestamp, claimed, expected in (*_own(secret, named, body), *_standard(secret, named, body)):
        if hmac.compare_digest(claimed.encode(), expected.encode()):
            if not abs(now - int(timestamp)) <= tolerance_seconds:
                raise InvalidSignature("the request was signed too long ago, or the clocks differ")
            return dict(json.loads(body))
    raise InvalidSignature("no signature of the request fits")


def _own(secret: str, headers: Mapping[str, str], body: bytes) -> Iterator[tuple[str, str, str]]:
    timestamp = headers.get("x-minivoice-timestamp", "")
    digest = hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    for name in ("x-minivoice-signature", "x-minivoice-signature-previous"):
        yield timestamp, headers.get(name, ""), f"v1={digest}"


def _standard(secret: str, headers: Mapping[str, str], body: bytes) -> Iterator[tuple[str, str, str]]:
    timestamp = headers.get("webhook-timestamp", "")
    signed = f"{headers.get('webhook-id', '')}.{timestamp}.".encode() + body
    digest = base64.b64encode(hmac.new(secret.encode(), signed, hashlib.sha256).digest()).decode()
    for claimed in headers.get("webhook-signature", "").split():
        yield timestamp, claimed, f"v1,{digest}"
