"""Public ids: `<prefix>_<YYYYMMDDTHHMMSS>.<nnnnnnnnn>`, a name for people and clients beside the bigint key."""

import secrets
from datetime import UTC, datetime


def new(prefix: str, now: datetime) -> str:
    """Return a fresh public id such as `call_20260529T120000.123456789`.

    The nine digits are the microseconds of `now` and three random digits, so that two ids of one microsecond
    rarely meet; the unique column tells when they do.
    """
    moment = now.astimezone(UTC)
    return f"{prefix}_{moment:%Y%m%dT%H%M%S}.{moment:%f}{secrets.randbelow(1000):03d}"
