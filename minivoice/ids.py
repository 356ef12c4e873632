"""Public ids: `<prefix>_<YYYYMMDDTHHMMSS>.<nnnnnnnnn>`, a name for people and clients beside the bigint key."""

import secrets
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count


def new(prefix: str, now: datetime) -> str:
    """Return a fresh public id such as `call_20260529T120000.123456789`.

    The nine digits are the microseconds of `now` and three random digits, so that two ids of one microsecond
    rarely meet; the unique column tells when they do.
    """
    moment = now.astimezone(UTC)
    return f"{prefix}_{moment:%Y%m%dT%H%M%S}.{moment:%f}{secrets.randbelow(1000):03d}"


def candidates(prefix: str, now: datetime) -> Iterator[str]:
    """Yield public ids without end, to insert under the first that is free: each is of a microsecond later.

    One microsecond has a thousand ids, and one `now` may be that of more rows.
    """
    return (new(prefix, now + timedelta(microseconds=later)) for later in count())
