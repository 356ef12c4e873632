"""API keys: made, shown once, recognised again by their digest, revoked."""

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection, transaction

from applications.models import ApiKey, Application, Customer
from minivoice import errors
from minivoice.prepared import Rows

PREFIX = "mv_live_"
_SHOWN_CHARACTERS = 12
_USE_NOTED_EVERY = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sent a request: the key's application and its customer."""

    key_id: int
    scopes: Sequence[str]
    application: Application
    customer: Customer
    key_used_at: datetime | None = None


def issue(*, application: Application, scopes: Sequence[str], name: str = "") -> tuple[ApiKey, str]:
    """Make a key of `application` with `scopes`, by word of staff; return its row and the text, kept nowhere."""
    text = _new_text()
    return keep(text, application=application, scopes=scopes, name=name), text


def issue_with(
    issuer: Caller, *, application: Application, scopes: Sequence[str] | None = None, name: str = ""
) -> tuple[ApiKey, str]:
    """Make a key as the key of `issuer` asks, with at most its scopes, and all of them when `scopes` is None.

    Returns its row and the text, kept nowhere. Raises ScopeRequired, and Unauthorized when the issuing key was
    revoked a moment ago: whoever revokes it with all that it issued misses none.
    """
    wanted = issuer.scopes if scopes is None else scopes
    if lacking := set(wanted) - set(issuer.scopes):
        raise errors.ScopeRequired(f"this API key cannot give the scope {min(lacking)}, which it lacks")
    text = _new_text()
    with transaction.atomic():
        _lock_keys_of(issuer.customer.pk)
        if not ApiKey.objects.filter(pk=issuer.key_id, revoked_at=None).exists():
            raise errors.Unauthorized
        return keep(text, application=application, scopes=wanted, name=name, issued_with=issuer.key_id), text


def keep(
    text: str, *, application: Application, scopes: Sequence[str], name: str = "", issued_with: int | None = None
) -> ApiKey:
    """Keep what recognises the key `text`, made here or by the supervisor of the demo; return its row."""
    return ApiKey.objects.create(
        application=application,
        name=name,
        prefix=text[:_SHOWN_CHARACTERS],
        last_four=text[-4:],
        digest=digest(text),
        scopes=list(scopes),
        issued_with_id=issued_with,
    )


def revoke(key: ApiKey, *, now: datetime, with_issued: bool = False) -> None:
    """Revoke a key for good, and `with_issued` every key that was issued with it, and with those, and so on.

    A key that is revoked already keeps its time. Keys pass among a customer's applications, never out of them.
    """
    if with_issued:
        with transaction.atomic(), connection.cursor() as cursor:
            _lock_keys_of(key.application.customer_id)
            cursor.execute(_REVOKE_TREE, {"key": key.pk, "now": now})
    else:
        ApiKey.objects.filter(pk=key.pk, revoked_at=None).update(revoked_at=now)
    key.refresh_from_db(fields=["revoked_at"])


def recognise(text: str) -> Caller | None:
    """Return whose key `text` is; None when it is unknown, revoked, or its application is inactive."""
    found = _RECOGNISE.one([digest(text)])
    if found is None:
        return None
    key, application, application.customer = found
    return Caller(key.pk, key.scopes, application, application.customer, key.last_used_at)


def note_use(caller: Caller, *, now: datetime) -> None:
    """Keep when a key was last used, to the minute: most requests write nothing, and none waits to write."""
    if caller.key_used_at is None or now - caller.key_used_at >= _USE_NOTED_EVERY:
        with connection.cursor() as cursor:
            cursor.execute(_NOTE_USE, {"key": caller.key_id, "now": now, "stale": now - _USE_NOTED_EVERY})


def digest(text: str) -> bytes:
    """Return what is stored of a key: 256 random bits need no slow hash, only a one-way one."""
    return hashlib.sha256(text.encode()).digest()


def _new_text() -> str:
    return PREFIX + secrets.token_urlsafe(32)


def _lock_keys_of(customer_id: int) -> None:
    """Let one at a time change which keys a customer has: look only after this. Calls go on meanwhile."""
    Customer.objects.select_for_update(no_key=True).only("pk").get(pk=customer_id)


_RECOGNISE = Rows(
    """
    SELECT {key}, {application}, {customer}
    FROM applications_apikey AS key
    JOIN applications_application AS application ON application.id = key.application_id AND application.is_active
    JOIN applications_customer AS customer ON customer.id = application.customer_id
    WHERE key.digest = %s AND key.revoked_at IS NULL
    """,
    key=(ApiKey, ("id", "scopes", "last_used_at")),
    application=Application,
    customer=Customer,
)

_REVOKE_TREE = """
WITH RECURSIVE tree AS (
    SELECT %(key)s::bigint AS id
    UNION
    SELECT key.id FROM applications_apikey AS key JOIN tree ON key.issued_with_id = tree.id
)
UPDATE applications_apikey SET revoked_at = %(now)s WHERE revoked_at IS NULL AND id IN (SELECT id FROM tree)
"""

_NOTE_USE = """
UPDATE applications_apikey SET last_used_at = %(now)s
WHERE id = (
    SELECT id FROM applications_apikey
    WHERE id = %(key)s AND (last_used_at IS NULL OR last_used_at <= %(stale)s)
    FOR NO KEY UPDATE SKIP LOCKED
)
"""
