import hashlib
import hmac
import time
from collections.abc import Mapping

SIGNATURES = ("X-MiniVoice-Signature", "X-MiniVoice-Signature-Previous")  # the second while a secret is replaced


def is_genuine(secret: str, headers: Mapping[str, str], body: bytes, *, tolerance_seconds: int = 300) -> bool:
    """Tell whether MiniVoice signed `body`, the raw bytes as they came, with `secret`, just now."""
    if not secret:
        raise ValueError("without a secret anybody could sign")
    timestamp = headers.get("X-MiniVoice-Timestamp", "")
    signed = timestamp.encode(errors="replace") + b"." + body
    expected = b"v1=" + hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest().encode()
    claimed = [headers.get(name, "").encode(errors="replace") for name in SIGNATURES]
    if not any(hmac.compare_digest(signature, expected) for signature in claimed):
        return False
    return abs(time.time() - int(timestamp)) <= tolerance_seconds
