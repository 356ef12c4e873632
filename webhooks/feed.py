"""The feed: every event of an application in an order in which none can be passed over.

Keys are given when rows are written, and rows are seen when they are committed: whoever reads by key alone passes
over what a slow transaction commits behind it. So rows carry their transaction, the feed goes by (transaction, key),
and shows only transactions older than the oldest one still open (PostgreSQL's `pg_snapshot_xmin`): nothing can be
committed below that horizon any more. A transaction that stays open holds the feed back, and loses nothing.
"""

from dataclasses import dataclass

from django.db import connection

from applications.models import Application


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A place in the feed: right after the event with this key that this transaction wrote."""

    transaction: int = 0
    key: int = 0


@dataclass(frozen=True, slots=True)
class Page:
    """Events as their stored bytes, and the place after the last of them."""

    bodies: list[bytes]
    end: Place


def read(application: Application, *, after: Place, limit: int) -> Page:
    """Return the next events of `application`, at most `limit`; none, and the same place, when it has no more yet.

    From a place that is still to come the feed begins anew: the database was restored where transactions count anew,
    and to serve an event twice is better than to pass over it.
    """
    with connection.cursor() as cursor:
        cursor.execute(_READ, [application.pk, after.transaction, after.key, limit])
        rows = cursor.fetchall()
    if not rows and after.transaction > horizon().transaction:
        return read(application, after=Place(), limit=limit)
    return Page([bytes(body) for body, _, _ in rows], Place(*rows[-1][1:]) if rows else after)


def horizon() -> Place:
    """Return the place that all which can be read now lies before: reading on from it gives what is new."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint")
        [(transaction,)] = cursor.fetchall()
    return Place(transaction=transaction)


# The horizon is that of the statement's own snapshot: what the statement cannot see yet is not below it.
_READ = """
    SELECT body, transaction, id FROM webhooks_webhookevent
    WHERE application_id = %s AND (transaction, id) > (%s, %s)
        AND transaction < pg_snapshot_xmin(pg_current_snapshot())::text::bigint
    ORDER BY transaction, id
    LIMIT %s
"""
