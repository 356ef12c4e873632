"""One telephone number in any spelling: what the database looks for, a pattern that is sure, a word in its place."""

import json
import re
from typing import Any

import phonenumbers
from django.db.models import Func, Lookup, TextField, Value
from django.db.models.functions import StrIndex
from django.db.models.lookups import GreaterThan

WORD = "erased"
_SURE = 10  # so many digits stand for a number also without a plus; fewer could be anything
_BETWEEN = " ().\u00a0/-"  # characters that may stand between the digits
_GAP = f"(?:[{_BETWEEN}]|%20){{0,3}}"
_REFUSED = 16  # characters of a SIP URI that the log of refused calls keeps


def might_hold(number: str, texts: Any) -> "Lookup[bool]":
    """Return the condition that a text holds the number in some spelling: cheap, never wrong when it says no.

    Whatever the spelling, the digits within the country follow one another once what may stand between is gone.
    """
    digits = number.removeprefix("+")
    country = len(digits) - len(_national(number))
    kept = Func(texts, Value("%20"), Value(""), function="replace", output_field=TextField())
    joined = Func(kept, Value(_BETWEEN), Value(""), function="translate", output_field=TextField())
    return GreaterThan(StrIndex(joined, Value(_cut("+", digits)[1:][country:])), 0)


def pattern(number: str) -> str:
    """Return the pattern of an E.164 number: grouped or not, with its plus or what is dialled for it, or in a SIP URI;
    in ten digits and more also bare, and as it is dialled within its country.
    """
    digits = number.removeprefix("+")
    national = _national(number)
    country = _grouped(digits.removesuffix(national))
    whole = rf"{country}{_GAP}(?:\(0\){_GAP})?{_grouped(national)}"
    ways = [rf"(?:\+|%2[Bb]|(?<![0-9])00|(?<![0-9])011){_GAP}{whole}(?![0-9])", rf"(?<=sip:){digits}(?![0-9])"]
    ways += [rf"(?<=sip:){cut}$" for plus in ("", r"\+") if (cut := _cut(plus, digits)) != plus + digits]
    if len(digits) >= _SURE:
        ways.append(rf"(?<![0-9.]){whole}(?![0-9])")
    if len(national) >= _SURE:
        ways.append(rf"(?<![0-9.])\(?0?{_grouped(national)}(?![0-9])")
    return "|".join(ways)


def alone(number: str) -> set[str]:
    """Return what stands for an E.164 number where nothing but a number can stand."""
    digits = number.removeprefix("+")
    return {number, digits, f"00{digits}", f"011{digits}"}


def erase(value: Any, spelling: re.Pattern[str]) -> Any:
    """Return text, or data as of JSON, with the word in place of the number; a body stays bytes of compact JSON."""
    match value:
        case str():
            return spelling.sub(WORD, value)
        case int() | float() if not isinstance(value, bool):
            return WORD if spelling.fullmatch(str(value)) else value
        case list():
            return [erase(inner, spelling) for inner in value]
        case dict():
            return {erase(name, spelling): erase(inner, spelling) for name, inner in value.items()}
        case bytes() | memoryview():
            body = erase(json.loads(bytes(value)), spelling)
            return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
    return value


def holds(value: Any, spelling: re.Pattern[str]) -> bool:
    """Whether text, or data as of JSON, has the number in it."""
    match value:
        case str():
            return spelling.search(value) is not None
        case bytes() | memoryview():
            return holds(bytes(value).decode(), spelling)
    return holds(json.dumps(value, ensure_ascii=False, default=str), spelling)


def _national(number: str) -> str:
    return phonenumbers.national_significant_number(phonenumbers.parse(number))


def _grouped(digits: str) -> str:
    return _GAP.join(digits)


def _cut(plus: str, digits: str) -> str:
    return plus + digits[: _REFUSED - len("sip:") - len(plus.removeprefix("\\"))]
