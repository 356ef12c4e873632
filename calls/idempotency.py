"""`Idempotency-Key`: a create that comes again is answered with the call of the first, and never carried out again.

A key's row is inserted in the transaction that admits its call: both exist, or neither. What ends before that commit
leaves no row, so that the client may put right what was wrong and come again with the same key.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection

from calls.models import Call, IdempotencyKey
from minivoice import errors

LIFE = timedelta(hours=24)
_BATCH = 5_000


@dataclass(frozen=True, slots=True)
class Key:
    """A client's key, and the SHA-256 of the request it came with."""

    text: str
    body_digest: bytes


def find(*, application_id: int, key: Key, now: datetime) -> Call | None:
    """Return the call that `key` made within the last day, or None, having taken the key until the transaction ends.

    Raises IdempotencyInProgress while a twin is in its own transaction, and IdempotencyKeyReused for another body.
    """
    with connection.cursor() as cursor:
        # The unique index would only wait for the twin.
        cursor.execute("SELECT pg_try_advisory_xact_lock(hashtextextended(%s, %s))", [key.text, application_id])
        if not cursor.fetchone()[0]:
            raise errors.IdempotencyInProgress(retry_after_seconds=1)
    row = IdempotencyKey.objects.filter(application_id=application_id, key=key.text).first()
    if row is None:
        return None
    if row.created_at <= now - LIFE:
        row.delete()
        return None
    if bytes(row.body_digest) != key.body_digest:
        raise errors.IdempotencyKeyReused
    return Call.objects.select_related("application", "customer", "trunk").get(pk=row.call_id)


def keep(*, application_id: int, key: Key, call: Call) -> None:
    """Write down in the caller's transaction that `key` made `call`."""
    IdempotencyKey.objects.create(
        application_id=application_id, key=key.text, body_digest=key.body_digest, call=call, created_at=call.accepted_at
    )


def forget(*, now: datetime) -> int:
    """Delete a batch of keys that are older than a day; return how many."""
    old = IdempotencyKey.objects.filter(created_at__lte=now - LIFE).order_by("created_at").values("pk")[:_BATCH]
    return IdempotencyKey.objects.filter(pk__in=old).delete()[0]
