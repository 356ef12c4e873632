"""Public ids."""

import re
from datetime import UTC, datetime, timedelta, timezone

from minivoice import ids


def test_writes_the_moment_in_utc_and_nine_digits() -> None:
    moment = datetime(2026, 5, 29, 14, 0, 0, 123456, tzinfo=timezone(timedelta(hours=2)))

    assert re.fullmatch(r"call_20260529T120000\.123456[0-9]{3}", ids.new("call", moment))


def test_two_ids_of_one_microsecond_rarely_meet() -> None:
    moment = datetime(2026, 5, 29, tzinfo=UTC)

    assert len({ids.new("call", moment) for _ in range(200)}) > 100
