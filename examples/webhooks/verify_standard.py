import base64
from collections.abc import Mapping

from standardwebhooks import Webhook, WebhookVerificationError


def is_genuine_by_the_standard(secret: str, headers: Mapping[str, str], body: bytes) -> bool:
    """Tell the same by the library of Standard Webhooks, which knows our secret in base64."""
    key = "whsec_" + base64.b64encode(secret.encode()).decode()
    try:
        Webhook(key).verify(body, dict(headers))
    except (WebhookVerificationError, ValueError):
        return False
    return True
