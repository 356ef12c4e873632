"""API keys: made, shown once, and recognised again by their digest."""

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from applications.models import ApiKey, Application, Customer

PREFIX = "mv_live_"
_SHOWN_CHARACTERS = 12


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sent a request: the key's application and its customer."""

    key_id: int
    scopes: Sequence[str]
    application: Application
    customer: Customer


def issue(*, application: Application, scopes: Sequence[str], issued_with: int | None = None) -> tuple[ApiKey, str]:
    """Make a key of `application` with `scopes`; return its row and the text, which is kept nowhere.

    `issued_with` is the id of the key that asked for it, if one did.
    """
    text = PREFIX + secrets.token_urlsafe(32)
    return keep(text, application=application, scopes=scopes, issued_with=issued_with), text


def keep(text: str, *, application: Application, scopes: Sequence[str], issued_with: int | None = None) -> ApiKey:
    """Keep what recognises the key `text`, made here or by the supervisor of the demo; return its row."""
    return ApiKey.objects.create(
        application=application,
        prefix=text[:_SHOWN_CHARACTERS],
        last_four=text[-4:],
        digest=digest(text),
        scopes=list(scopes),
        issued_with_id=issued_with,
    )


def recognise(text: str) -> Caller | None:
    """Return whose key `text` is; None when it is unknown, revoked, or its application is inactive."""
    key = (
        ApiKey.objects.select_related("application__customer")
        .filter(digest=digest(text), revoked_at=None, application__is_active=True)
        .first()
    )
    if key is None:
        return None
    return Caller(key.pk, key.scopes, key.application, key.application.customer)


def digest(text: str) -> bytes:
    """Return what is stored of a key: 256 random bits need no slow hash, only a one-way one."""
    return hashlib.sha256(text.encode()).digest()
