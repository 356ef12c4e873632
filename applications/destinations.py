"""Where a customer's calls may go: the country of a number, and whether its country's plan calls it premium-rate.

By phonenumbers' metadata. On the way of every create, so without its slow full classification of a number.
"""

import re
from collections.abc import Collection
from functools import cache

import phonenumbers
from phonenumbers import COUNTRY_CODE_TO_REGION_CODE, PhoneMetadata

COUNTRIES = frozenset(phonenumbers.SUPPORTED_REGIONS)
_LONGEST_COUNTRY_CODE = 3


def is_in(number: str, countries: Collection[str]) -> bool:
    """Whether `number` (E.164) belongs to one of `countries` (ISO 3166, two letters).

    Of numbers that no plan knows, test ranges among them, the code's main country is taken: +1 555 is the US.
    Those of no country, such as satellites, are in none.
    """
    regions = COUNTRY_CODE_TO_REGION_CODE.get(_country_code(number), ())
    wanted = [region for region in regions if region in countries]
    if not wanted or len(wanted) == len(regions):
        return bool(wanted)
    return (phonenumbers.region_code_for_number(phonenumbers.parse(number)) or regions[0]) in countries


def is_premium_rate(number: str) -> bool:
    """Whether the numbering plan behind `number` (E.164) says that it is premium-rate."""
    code = _country_code(number)
    return any(pattern.fullmatch(number, len(str(code)) + 1) for pattern in _premium_rate(code))


def _country_code(number: str) -> int:
    """Return the country code that `number` begins with, 0 for none: no code is the beginning of another."""
    codes = (int(number[1 : 1 + digits]) for digits in range(1, _LONGEST_COUNTRY_CODE + 1))
    return next((code for code in codes if code in COUNTRY_CODE_TO_REGION_CODE), 0)


@cache
def _premium_rate(code: int) -> tuple[re.Pattern[str], ...]:
    """Return the patterns of premium-rate national numbers in all countries of a code."""
    patterns = {
        plan.premium_rate.national_number_pattern
        for region in COUNTRY_CODE_TO_REGION_CODE.get(code, ())
        if (plan := PhoneMetadata.metadata_for_region_or_calling_code(code, region)) and plan.premium_rate
    }
    return tuple(re.compile(pattern) for pattern in sorted(filter(None, patterns)))
