"""Pruning: rows that are older than they are kept, deleted in batches that hold up nobody.

Keys grow with time, so the oldest rows are the first of the primary key: a walk goes from there until it meets what is
kept, which needs no further index on tables that every call writes to.
"""

from collections.abc import Callable
from datetime import datetime
from functools import partial
from time import monotonic
from typing import Any, NamedTuple

from django.db import connection


class Batch(NamedTuple):
    """What became of one batch: its last key (None: it was empty), how many rows are old, and how many are gone."""

    end_id: int | None
    old: int
    gone: int


def walk(delete: Callable[[int], Batch], *, batch: int, ends_at: float) -> int:
    """Have `delete` take batch after batch of rows behind a key, until one holds a row that is not old.

    Each batch is a transaction of its own; at `ends_at` of the monotonic clock the rest is left to the next run.
    Returns how many rows are gone.
    """
    last_id = gone = 0
    while monotonic() < ends_at:
        found = delete(last_id)
        gone += found.gone
        if found.old < batch or found.end_id is None:
            break
        last_id = found.end_id
    return gone


def walk_table(statement: str, *, kept_from: datetime, batch: int, ends_at: float, **values: Any) -> int:
    """Walk with an SQL statement that takes `last_id`, `kept_from` and `batch`, and returns a `Batch`."""
    values = {**values, "kept_from": kept_from, "batch": batch}
    return walk(partial(_run, statement, values), batch=batch, ends_at=ends_at)


def _run(statement: str, values: dict[str, Any], last_id: int) -> Batch:
    with connection.cursor() as cursor:
        cursor.execute(statement, {**values, "last_id": last_id})
        return Batch(*cursor.fetchone())
