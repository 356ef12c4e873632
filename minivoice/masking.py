"""Telephone numbers in what staff read: in full for those who may see them, else `+1555•••0742`.

Who is reading is known by a middleware, so that no page can forget to ask; nobody known, numbers are masked.
"""

import re
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from django.http import HttpRequest, HttpResponse

PERMISSION = "applications.see_numbers"
_HIDDEN = "•••"
_MOST_SHOWN = 8
_FEWEST_HIDDEN = 3
_GROUPED_DIGITS = range(10, 16)

_request: ContextVar[HttpRequest | None] = ContextVar("request", default=None)


def known(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Middleware: remember whose request is being answered. Comes after authentication."""

    def answer(request: HttpRequest) -> HttpResponse:
        token = _request.set(request)
        try:
            return get_response(request)
        finally:
            _request.reset(token)

    return answer


def may_see(user: Any = None) -> bool:
    """Whether `user`, or else whoever's request is being answered, may see numbers in full."""
    request = _request.get()
    user = user or getattr(request, "user", None)
    return user is not None and user.has_perm(PERMISSION)


def mask(text: str) -> str:
    """Return `text` with the numbers in it masked: E.164 or as people group them, quoted or standing alone, in `tel:`
    URIs, and the users of SIP URIs. What is grouped is shown without its gaps.
    """
    if _ALONE.fullmatch(text):
        return _hide(text)
    text = _SIP_USER.sub(lambda found: _hide_user(found[0]), text)
    text = _NUMBER.sub(_hide_number, text)
    return _GROUPED.sub(_hide_group, text)


_ALONE = re.compile(r"[0-9]{7,15}")
_SIP_USER = re.compile(r"""(?:(?<=sip:|ips:)|(?<=sip%3A|ips%3A))[^@\s"'<>%]+(?=@|%40)""", re.IGNORECASE)
_DATE = "(?!(?:19|20)[0-9]{2}-[01][0-9](?![0-9]))"
_GAP = f"(?:(?:[ \u00a0()/-]|%20){{0,3}}|[.]){_DATE}"
_NUMBER = re.compile(
    rf"""(?P<plus>\+|%2B)(?P<digits>[1-9][0-9]{{9,14}}|[1-9](?:{_GAP}[0-9]){{6,14}})(?![0-9])
    | (?<=")(?P<quoted>[0-9]{{7,15}})(?=")
    | (?<=sip:|ips:|tel:)(?P<user>[0-9]{{7,15}})(?![0-9])
    | (?<![\w.:+-])(?P<word>[0-9]{{10,15}})(?!\w|[.:-][0-9])""",
    re.VERBOSE | re.IGNORECASE,
)
_GROUPED = re.compile(  # without a plus; a date, an address or an amount is none
    rf"(?:(?<![\w.:+•-])|(?<=tel:)){_DATE}"
    rf"(?:\(?[0-9]{{1,6}}\)?(?:(?:[ \u00a0()/-]|%20){{1,3}}{_DATE}[0-9]{{2,8}}){{1,5}}"
    r"|[0-9]{3}[.][0-9]{3}[.][0-9]{4})"
    r"(?!\w|[.:-][0-9]|•)",
    re.IGNORECASE,
)


def _hide_number(found: re.Match[str]) -> str:
    digits = found["digits"] or found["quoted"] or found["user"] or found["word"]
    return (found["plus"] or "") + _hide(_digits(digits))


def _hide_group(found: re.Match[str]) -> str:
    digits = _digits(found[0])
    return _hide(digits) if len(digits) in _GROUPED_DIGITS else found[0]


def _digits(grouped: str) -> str:
    return re.sub(r"%20|[^0-9]", "", grouped)


def _hide_user(user: str) -> str:
    plus, digits = ("+", user[1:]) if user.startswith("+") else ("", user)
    return plus + _hide(digits) if _ALONE.fullmatch(digits) else user[:1] + _HIDDEN


def _hide(digits: str) -> str:
    """Hide the middle, three digits at least; what is left is shown on both sides."""
    shown = min(_MOST_SHOWN, len(digits) - _FEWEST_HIDDEN)
    last = shown // 2
    return digits[: shown - last] + _HIDDEN + digits[len(digits) - last :]
