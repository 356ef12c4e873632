"""Telephone numbers as people write them."""

import re

_US_NATIONAL_DIGITS = 10


def spellings(number: str) -> set[str]:
    """Return the E.164 numbers that `number`, as people write it, may stand for; none when it is no number."""
    digits = re.sub(r"[^0-9]", "", number.replace("(0)", ""))
    if not digits or re.search(r"[^0-9\s().,/+:_telTEL‐-―-]", number):  # noqa: RUF001  the typographic dashes
        return set()
    if number.lstrip().startswith("+"):
        return {f"+{digits}"}
    found = {f"+{digits}"} | {f"+{digits.removeprefix(out)}" for out in ("00", "011") if digits.startswith(out)}
    return found | ({f"+1{digits}"} if len(digits) == _US_NATIONAL_DIGITS else set())
