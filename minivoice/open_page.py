"""What an open page asks by itself, every few seconds: a signed token says who reads.

A session would cost more queries than the answer. Whoever answers looks whether that person may still sign in.
"""

from typing import Any

from django.core import signing

_GOOD_FOR_SECONDS = 12 * 3600  # then the page is to be loaded anew


class Stranger(Exception):
    """The token is not one of ours for this question, or the page has been open for too long."""


def token(reader: Any, *, question: str) -> str:
    """Return a token by which the page of `reader` (ids, as JSON has them) asks `question`, a word of its own."""
    return signing.dumps(reader, salt=question)


def reader(token: str, *, question: str) -> Any:
    """Return the reader that a token of `question` was made for. Raises Stranger."""
    try:
        return signing.loads(token, salt=question, max_age=_GOOD_FOR_SECONDS)
    except signing.BadSignature as error:
        raise Stranger from error
