"""Workers keep their connection to the database from task to task, and leave one that is broken."""

from types import SimpleNamespace

import pytest
from celery.fixups import django as fixups
from django.db import connection

from minivoice.celery import app

pytestmark = pytest.mark.django_db(transaction=True)  # a connection in a transaction is kept whatever happens


@pytest.fixture
def worker() -> fixups.DjangoWorkerFixup:
    """What Celery asks before and after each task, as in a worker."""
    return fixups.DjangoWorkerFixup(app)


def backend() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return int(cursor.fetchone()[0])


def run_a_task(worker: fixups.DjangoWorkerFixup) -> int:
    task = SimpleNamespace(request=SimpleNamespace(is_eager=False))
    worker.on_task_prerun(sender=task)
    found = backend()
    worker.on_task_postrun(sender=task)
    return found


def test_the_next_task_has_the_connection_of_the_last(worker: fixups.DjangoWorkerFixup) -> None:
    assert run_a_task(worker) == run_a_task(worker)


def test_a_connection_that_the_database_ended_is_made_anew(worker: fixups.DjangoWorkerFixup) -> None:
    ended = run_a_task(worker)
    other = connection.copy()
    with other.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [ended])
    other.close()

    assert run_a_task(worker) not in {0, ended}


def test_a_connection_is_not_kept_for_ever(worker: fixups.DjangoWorkerFixup) -> None:
    old = run_a_task(worker)
    assert connection.close_at is not None
    connection.close_at = 0

    assert run_a_task(worker) != old
