"""Waiting for somebody to wait: how a test of two transactions knows that the second has come to the first."""

from time import monotonic

from django.db import connection


def wait_for_a_lock(*, seconds: float = 10.0) -> None:
    """Wait until somebody waits for a lock of this database; fail when nobody does within `seconds`."""
    deadline = monotonic() + seconds
    with connection.cursor() as cursor:
        while monotonic() < deadline:
            cursor.execute("SELECT pg_stat_clear_snapshot()")  # within a transaction, what is seen once stays
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
            )
            if cursor.fetchone()[0]:
                return
    raise AssertionError("nobody waits")
