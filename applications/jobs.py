"""Long work for staff: imports, exports, statements. The row is the queue; the nudge only makes it fast.

    prepare ─▶ release ─▶ drain: claim ─▶ the kind's work, which tells how far it is ─▶ done or failed ─▶ tidied away

One job runs at a time, under an advisory lock of the database that a worker which dies gives back at once: what is
`running` when the lock is free was left behind, and is done again from its beginning, three times at most. Whatever a
kind writes into the database is one transaction with the end of its job, so that nothing is done twice.
"""

import logging
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import NamedTemporaryFile, TemporaryFile
from time import monotonic
from typing import IO, Any

from django.contrib.auth.models import User
from django.core.files import File
from django.core.files.storage import Storage, storages
from django.db import connection, transaction
from django.db.models import F
from django.db.utils import InterfaceError, OperationalError

from applications.models import Job
from minivoice import clock, nudge

logger = logging.getLogger(__name__)

TASK = "applications.jobs"
_KEPT = timedelta(days=1)
_MOST_ATTEMPTS = 3
_TELL_SECONDS = 1.0
_LINE_CHARACTERS, _TITLE_CHARACTERS = 300, 200
_DUE = (Job.State.WAITING, Job.State.RUNNING)


class Failed(Exception):
    """The work cannot be done; the message tells staff why."""


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a job: a sentence, the name of the file it has written, if any, and the page that shows more."""

    line: str
    file_name: str = ""
    page: str = ""


@dataclass(frozen=True, slots=True)
class Run:
    """A job that is being done: `tell` hears how far it is, in percent, and how it goes; `file` takes its result.

    `source` is a copy of the file that it works on, named as that was, for a kind that has one.
    """

    job: Job
    tell: Callable[[int, str], None]
    file: IO[bytes]
    now: datetime
    source: Path | None = None


Work = Callable[[Run], Result]


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of job: who may ask for it and have its result, and what does it."""

    permission: str
    work: Work
    is_one_transaction: bool
    has_source: bool = False


KINDS: dict[str, Kind] = {}


def kind(
    name: str, *, permission: str, is_one_transaction: bool = True, has_source: bool = False
) -> Callable[[Work], Work]:
    """Make a function the work of the jobs of this kind. One that needs transactions of its own, or a file, says so."""

    def register(work: Work) -> Work:
        KINDS[name] = Kind(permission, work, is_one_transaction, has_source)
        return work

    return register


def may(user: Any, name: str) -> bool:
    """Whether a member of staff may ask for this kind of job, and have its result."""
    return name in KINDS and user.has_perm(KINDS[name].permission)


def prepare(
    *,
    kind: str,
    title: str,
    params: Mapping[str, Any],
    asked_by: User,
    source: IO[bytes] | None = None,
    now: datetime,
) -> Job:
    """Write a job down that waits to be released; `source` is a file that it works on."""
    job = Job.objects.create(
        kind=kind,
        title=title[:_TITLE_CHARACTERS],
        params=dict(params),
        asked_by=asked_by,
        state=Job.State.PREPARED,
        created_at=now,
        expires_at=now + _KEPT,
    )
    if source is not None:
        _storage().save(_source(job), File(source))
    return job


def release(job: Job, *, params: Mapping[str, Any] | None = None) -> bool:
    """Have a prepared job done, with these `params` beside its own; False when it was released before."""
    prepared = Job.objects.filter(pk=job.pk, state=Job.State.PREPARED)
    released = prepared.update(state=Job.State.WAITING, params={**job.params, **(params or {})})
    transaction.on_commit(lambda: nudge.wake(TASK))
    return bool(released)


def ask(*, kind: str, title: str, params: Mapping[str, Any], asked_by: User, now: datetime) -> Job:
    """Have a job done."""
    with transaction.atomic():
        job = prepare(kind=kind, title=title, params=params, asked_by=asked_by, now=now)
        release(job)
    return job


def drain() -> bool:
    """Do the job that is due, the oldest first, if none runs; return whether there was one."""
    with _alone() as is_ours:
        job = _claim() if is_ours else None
        if job is not None:
            _run(job)
    if job is not None:
        nudge.wake(TASK)  # for the next
    return job is not None


def tidy(*, now: datetime) -> int:
    """Remove the jobs that ended a day ago, or were never released, with their files; return how many."""
    gone = list(Job.objects.filter(expires_at__lte=now).exclude(state__in=_DUE))
    for job in gone:
        for name in (_source(job), _result(job)):
            _storage().delete(name)
        job.delete()
    return len(gone)


def result(job: Job) -> IO[bytes]:
    """Return the file a job has written, open. Raises FileNotFoundError."""
    return _storage().open(_result(job))


def _claim() -> Job | None:
    """Return the job that is due, as running; one that was left behind too often has failed instead."""
    for job in Job.objects.filter(state__in=_DUE).order_by("id"):
        if job.attempts < _MOST_ATTEMPTS:
            job.attempts += 1
            Job.objects.filter(pk=job.pk).update(state=Job.State.RUNNING, attempts=F("attempts") + 1, percent=0)
            return job
        why = f"It was begun {_MOST_ATTEMPTS} times, and never came to its end. Ask for less at a time."
        _end(job, Job.State.FAILED, Result(why))
    return None


def _run(job: Job) -> None:
    """Do a job's work, and write down what came of it."""
    try:
        kind = KINDS[job.kind]
        whole = transaction.atomic() if kind.is_one_transaction else nullcontext()
        copied = _copied(job) if kind.has_source else nullcontext()
        with copied as source, _telling(job) as tell, TemporaryFile() as file, whole:  # what is far away comes first
            found = kind.work(Run(job, tell, file, clock.now(), source))
            if found.file_name:
                _keep(job, file)
            _end(job, Job.State.DONE, found)
    except (OperationalError, InterfaceError):
        raise  # the database is away: the job is done again
    except Failed as refusal:
        _end(job, Job.State.FAILED, Result(str(refusal)))
    except Exception:  # whatever it is: the next job must not wait for it
        logger.exception("job %s failed", job.public_id)
        _end(job, Job.State.FAILED, Result("It failed on our side. The log has why, by the job's id."))


@contextmanager
def _copied(job: Job) -> Iterator[Path]:
    """Give a copy of the file that a job works on. Raises Failed."""
    suffix = Path(str(job.params.get("file", ""))).suffix
    with NamedTemporaryFile(suffix=suffix) as copy:
        try:
            with _storage().open(_source(job)) as kept:
                shutil.copyfileobj(kept, copy)
        except FileNotFoundError as error:
            raise Failed("The file is gone. Upload it again.") from error
        copy.flush()
        yield Path(copy.name)


def _end(job: Job, state: Job.State, found: Result) -> None:
    now = clock.now()
    Job.objects.filter(pk=job.pk).update(
        state=state,
        percent=100 if state == Job.State.DONE else F("percent"),
        line=found.line[:_LINE_CHARACTERS],
        file_name=found.file_name,
        page=found.page,
        finished_at=now,
        expires_at=now + _KEPT,
    )


@contextmanager
def _telling(job: Job) -> Iterator[Callable[[int, str], None]]:
    """Give what writes a job's progress, once a second at most, past the transaction that the work is in."""
    beside = connection.copy()
    told_at = 0.0

    def tell(percent: int, line: str) -> None:
        nonlocal told_at
        if monotonic() - told_at < _TELL_SECONDS:
            return
        told_at = monotonic()
        with beside.cursor() as cursor:
            cursor.execute(
                "UPDATE applications_job SET percent = %s, line = %s WHERE id = %s AND state = 'running'",
                [max(0, min(percent, 99)), line[:_LINE_CHARACTERS], job.pk],
            )

    try:
        yield tell
    finally:
        beside.close()


def _keep(job: Job, file: IO[bytes]) -> None:
    """Keep a job's result; what an earlier try has left is replaced."""
    file.seek(0)
    _storage().delete(_result(job))
    _storage().save(_result(job), File(file))


def _storage() -> Storage:
    return storages["jobs"]


def _source(job: Job) -> str:
    return f"{job.public_id}.source"


def _result(job: Job) -> str:
    return f"{job.public_id}.result"


@contextmanager
def _alone() -> Iterator[bool]:
    """Hold the lock of jobs; give whether it was to be had."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(hashtextextended('jobs', 0))")
        (is_ours,) = cursor.fetchone()
    try:
        yield is_ours
    finally:
        if is_ours:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(hashtextextended('jobs', 0))")
