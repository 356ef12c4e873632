"""Long work for staff: done once, by one worker at a time, with progress, and removed a day after its end."""

import io
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.storage import storages
from django.db import OperationalError, connection

from applications import jobs
from applications.models import Customer, Job
from minivoice import clock

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
State = Job.State


@pytest.fixture
def finance(db: None) -> User:
    return User.objects.create_user("finance", is_staff=True)


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Makes a function the work of jobs of the kind `try`."""

    def register(function: jobs.Work, **options: bool) -> None:
        monkeypatch.setitem(jobs.KINDS, "try", jobs.Kind("applications.view_job", function, True, **options))

    return register


def ask(user: User, **params: str) -> Job:
    return jobs.ask(kind="try", title="A try", params=params, asked_by=user, now=NOW)


def write(run: jobs.Run) -> jobs.Result:
    """Work that makes a customer and a file."""
    Customer.objects.create(name=run.job.params["name"])
    run.file.write(run.job.params["name"].encode())
    return jobs.Result("One customer made.", file_name="customers.txt", page="/admin/")


def test_a_job_is_done_once_and_says_what_came_of_it(finance: User, work: Callable[..., None]) -> None:
    work(write)
    ask(finance, name="acme")
    assert jobs.drain()
    assert not jobs.drain()
    job = Job.objects.get()
    assert (job.state, job.percent, job.line, job.attempts) == (State.DONE, 100, "One customer made.", 1)
    assert (job.file_name, job.page) == ("customers.txt", "/admin/")
    assert jobs.result(job).read() == b"acme"
    assert Customer.objects.count() == 1


def test_the_oldest_is_done_first(finance: User, work: Callable[..., None]) -> None:
    work(write)
    first, second = ask(finance, name="first"), ask(finance, name="second")
    jobs.drain()
    assert [job.state for job in Job.objects.order_by("id")] == [State.DONE, State.WAITING]
    assert (first.pk, second.pk) == tuple(Job.objects.order_by("id").values_list("pk", flat=True))


def test_what_failed_has_changed_nothing_and_says_why(finance: User, work: Callable[..., None]) -> None:
    def refuse(run: jobs.Run) -> jobs.Result:
        write(run)
        raise jobs.Failed("the file is empty")

    work(refuse)
    ask(finance, name="acme")
    assert jobs.drain()
    job = Job.objects.get()
    assert (job.state, job.line, job.file_name) == (State.FAILED, "the file is empty", "")
    assert not Customer.objects.exists()


def test_a_defect_of_ours_is_told_without_its_details(
    finance: User, work: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    def break_down(run: jobs.Run) -> jobs.Result:
        raise RuntimeError("the-secret-detail")

    work(break_down)
    ask(finance)
    assert jobs.drain()
    job = Job.objects.get()
    assert job.state == State.FAILED
    assert "the-secret-detail" not in job.line
    assert job.public_id in caplog.text


def test_a_job_of_a_kind_that_is_gone_fails_and_lets_the_next_one_by(finance: User, work: Callable[..., None]) -> None:
    work(write)
    jobs.ask(kind="gone", title="Gone", params={}, asked_by=finance, now=NOW)
    ask(finance, name="acme")
    jobs.drain()
    jobs.drain()
    assert [job.state for job in Job.objects.order_by("id")] == [State.FAILED, State.DONE]


def test_a_job_that_its_worker_left_behind_is_done_again(finance: User, work: Callable[..., None]) -> None:
    work(write)
    Job.objects.filter(pk=ask(finance, name="acme").pk).update(state=State.RUNNING, attempts=1, percent=40)
    assert jobs.drain()
    assert (Job.objects.get().state, Job.objects.get().attempts) == (State.DONE, 2)


def test_a_job_that_kills_its_workers_is_given_up(finance: User, work: Callable[..., None]) -> None:
    work(write)
    Job.objects.filter(pk=ask(finance, name="acme").pk).update(state=State.RUNNING, attempts=3)
    assert not jobs.drain()
    assert Job.objects.get().state == State.FAILED
    assert "3 times" in Job.objects.get().line
    assert not Customer.objects.exists()


def test_a_database_that_goes_away_meanwhile_leaves_the_job_to_the_next_try(
    finance: User, work: Callable[..., None]
) -> None:
    def lose(run: jobs.Run) -> jobs.Result:
        raise OperationalError("server closed the connection")

    work(lose)
    ask(finance)
    with pytest.raises(OperationalError):
        jobs.drain()
    assert Job.objects.get().state == State.RUNNING
    work(write)
    Job.objects.update(params={"name": "acme"})
    assert jobs.drain()
    assert Job.objects.get().state == State.DONE


@pytest.mark.django_db(transaction=True)
def test_one_worker_at_a_time_and_progress_is_seen_from_outside(work: Callable[..., None]) -> None:
    seen: list[object] = []

    def watch(run: jobs.Run) -> jobs.Result:
        Customer.objects.create(name="not committed yet")
        run.tell(40, "4 of 10 rows")
        run.tell(50, "too soon after the last")
        other = connection.copy()
        try:
            with other.cursor() as cursor:
                cursor.execute("SELECT state, percent, line FROM applications_job")
                seen.append(cursor.fetchone())
                cursor.execute("SELECT count(*) FROM applications_customer")
                seen.append(cursor.fetchone())
                cursor.execute("SELECT pg_try_advisory_lock(hashtextextended('jobs', 0))")
                seen.append(cursor.fetchone())
        finally:
            other.close()
        return jobs.Result("Watched.")

    work(watch)
    ask(User.objects.create_user("finance", is_staff=True))
    assert jobs.drain()
    assert seen == [("running", 40, "4 of 10 rows"), (0,), (False,)]
    assert (Job.objects.get().percent, Customer.objects.count()) == (100, 1)


@pytest.mark.django_db(transaction=True)
def test_a_worker_beside_another_does_nothing(work: Callable[..., None]) -> None:
    work(write)
    ask(User.objects.create_user("finance", is_staff=True), name="acme")
    other = connection.copy()
    try:
        with other.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_lock(hashtextextended('jobs', 0))")
            assert not jobs.drain()
            assert Job.objects.get().state == State.WAITING
            cursor.execute("SELECT pg_advisory_unlock_all()")  # to close the connection alone may take a moment
        assert jobs.drain()
    finally:
        other.close()


def test_a_prepared_job_waits_and_is_released_once(finance: User, work: Callable[..., None]) -> None:
    read: list[bytes] = []

    def take_in(run: jobs.Run) -> jobs.Result:
        assert run.source is not None
        assert run.source.suffix == ".csv"
        read.append(run.source.read_bytes())
        return jobs.Result(run.job.params["chosen"])

    work(take_in, has_source=True)
    job = jobs.prepare(
        kind="try",
        title="Import",
        params={"file": "a.csv"},
        asked_by=finance,
        source=io.BytesIO(b"prefix,price"),
        now=NOW,
    )
    assert not jobs.drain()
    assert jobs.release(job, params={"chosen": "price"})
    assert not jobs.release(job, params={"chosen": "another"})
    assert jobs.drain()
    assert (read, Job.objects.get().line) == ([b"prefix,price"], "price")


@pytest.mark.django_db(transaction=True)
def test_its_file_is_fetched_before_its_transaction_begins(
    work: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[bool] = []
    fetch = storages["jobs"].open

    def look_and_fetch(name: str) -> Any:
        opened.append(connection.in_atomic_block)
        return fetch(name)

    def take_in(run: jobs.Run) -> jobs.Result:
        assert connection.in_atomic_block
        return jobs.Result(str(run.source and run.source.read_text()))

    work(take_in, has_source=True)
    monkeypatch.setattr(storages["jobs"], "open", look_and_fetch)
    finance = User.objects.create_user("finance", is_staff=True)
    told = []
    for source in (io.BytesIO(b"prefix,price"), None):
        job = jobs.prepare(kind="try", title="Import", params={}, asked_by=finance, source=source, now=NOW)
        jobs.release(job)
        assert jobs.drain()
        told.append(Job.objects.get(pk=job.pk).line)
    assert opened == [False, False]
    assert told == ["prefix,price", "The file is gone. Upload it again."]


def test_a_job_goes_with_its_files_a_day_after_its_end(finance: User, work: Callable[..., None]) -> None:
    work(write)
    jobs.prepare(kind="try", title="Left", params={}, asked_by=finance, source=io.BytesIO(b"left"), now=NOW)
    left = Job.objects.get()
    done, waiting = ask(finance, name="acme"), ask(finance, name="globex")
    jobs.drain()
    names = [f"{left.public_id}.source", f"{done.public_id}.result"]
    assert all(storages["jobs"].exists(name) for name in names)
    assert jobs.tidy(now=NOW + timedelta(hours=23)) == 0
    assert jobs.tidy(now=clock.now() + timedelta(days=1, minutes=1)) == 2
    assert list(Job.objects.values_list("pk", flat=True)) == [waiting.pk]
    assert not any(storages["jobs"].exists(name) for name in names)
