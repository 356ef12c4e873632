"""Links to a recording's audio that need no key, and expire."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from django.core.signing import Signer
from django.utils.crypto import constant_time_compare

GOOD_FOR = timedelta(minutes=15)


def sign(url: str, *, public_id: str, now: datetime) -> str:
    """Return the address `url` of a recording's audio as a link that is good for GOOD_FOR."""
    expires = int((now + GOOD_FOR).timestamp())
    return f"{url}?expires={expires}&signature={_signature(public_id, str(expires))}"


def is_good(query: Mapping[str, str], *, public_id: str, now: datetime) -> bool:
    """Whether the parameters of a request are those of a link to this recording that has not expired."""
    expires, signature = query.get("expires", ""), query.get("signature", "")
    if not constant_time_compare(signature, _signature(public_id, expires)):
        return False
    return now.timestamp() < int(expires)  # which we have written


def _signature(public_id: str, expires: str) -> str:
    return Signer(salt="calls.recordings.links").signature(f"{public_id}:{expires}")
