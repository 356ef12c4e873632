"""What a worker does for recordings that are due: fetch them from the engine, or erase them. The row is the queue.

A row is worked on under an advisory lock of the database, which a worker that dies gives back at once. The audio is
kept before the row says so, and is erased after the row says so: what is shown is there.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from tempfile import TemporaryFile
from time import monotonic
from typing import BinaryIO

from django.db import connection
from django.db.models import F
from django.db.utils import InterfaceError, OperationalError

from calls.models import Recording
from calls.recordings import files, progress, recorder, tracks, wav
from minivoice import clock, nudge
from minivoice.crash import crashpoint
from telephony import link
from telephony.engines.facts import ChannelGone, EngineError

logger = logging.getLogger(__name__)

# Until the next try: the audio is worth a day of waiting for an engine or a storage that is away.
_AGAIN = [timedelta(seconds=seconds) for seconds in (5, 30, 120, 600, 1800, 7200, 21600, 43200)]
_GONE_AFTER = 4  # tries that find nothing on an engine that answers
_CANDIDATES = 20
_GRACE = timedelta(seconds=5)  # events are faster, unless they went unheard
_GIVEN_UP_AFTER = timedelta(seconds=30)


def drain(*, seconds: float = 30.0) -> int:
    """Do what is due; return how many recordings were looked at. After some seconds the rest is left to a worker that
    is woken. Safe to run anywhere at any time, side by side too.
    """
    count, ends_at = 0, monotonic() + seconds
    look(now=clock.now())
    while _work_one():
        count += 1
        if monotonic() > ends_at:
            nudge.wake(progress.COLLECT_TASK)
            break
    return count


def look(*, now: datetime) -> None:
    """Make sure of what events only make fast: recordings end with their calls, and those that are begun begin."""
    live = Recording.objects.filter(ended_at=None)
    for recording in live.filter(call__ended_at__lt=now - _GRACE).select_related("call"):
        progress.stopped(recording.pk, at=recording.call.ended_at or now, now=now)
    silent = live.filter(kind=Recording.Kind.CALL, began_at=None, created_at__lt=now - _GRACE, call__ended_at=None)
    for recording in silent:
        try:
            recorder.engage(recording)
            progress.begun(recording.pk, now=now)
        except EngineError as error:
            logger.warning("%s does not begin: %s", recording, error)
            if recording.created_at < now - _GIVEN_UP_AFTER:
                progress.failed(recording.pk, why=str(error), now=now)


def _work_one() -> bool:
    """Work on one recording that is due; return whether there was one."""
    due = Recording.objects.filter(due_at__lte=clock.now()).order_by("due_at")
    for recording_id in due.values_list("pk", flat=True)[:_CANDIDATES]:
        with _alone(recording_id) as is_ours:
            recording = _claim(recording_id, now=clock.now()) if is_ours else None
            if recording is not None:
                _work(recording)
                return True
    return False


def _claim(recording_id: int, *, now: datetime) -> Recording | None:
    """Count a try, and say when the next is; None when nothing is due any more."""
    due = Recording.objects.filter(pk=recording_id, due_at__lte=now)
    recording = due.select_related("call").first()
    if recording is None:
        return None
    due_at = now + _AGAIN[min(recording.attempts, len(_AGAIN) - 1)]
    if not due.filter(attempts=recording.attempts).update(attempts=F("attempts") + 1, due_at=due_at):
        return None
    recording.attempts += 1
    return recording


def _work(recording: Recording) -> None:
    """Do what is due. What fails is left to the next try; of audio that is not to be had there is a last one."""
    is_wanted = recording.state == Recording.State.STARTED
    try:
        if is_wanted:
            _collect(recording)
        else:
            files.erase(recording.public_id, kept_in=recording.storage_type)
            recorder.erase(recording)
            progress.erased(recording)
    except (OperationalError, InterfaceError):
        raise
    except Exception as error:  # noqa: BLE001  whatever a storage raises, too
        logger.warning("%s waits for the next try: %s: %s", recording, type(error).__name__, error)
        is_hopeless = isinstance(error, ChannelGone | wav.NotATrack) and recording.attempts >= _GONE_AFTER
        if is_wanted and (is_hopeless or recording.attempts > len(_AGAIN)):
            progress.failed(recording.pk, why=_word(error), now=clock.now())


def _word(error: Exception) -> str:
    """Return what a customer is told: where we keep what, and how that fails, is for the log."""
    if isinstance(error, ChannelGone):
        return "the engine has no audio of it"
    return "its audio cannot be read" if isinstance(error, wav.NotATrack) else "its audio could not be kept"


def _collect(recording: Recording) -> None:
    with TemporaryFile() as file:
        sound = _fetch(recording, file)
        file.seek(0)
        files.save(recording.public_id, file, kept_in=recording.storage_type)
    crashpoint("recording_fetched")
    if not progress.completed(recording.pk, sound=sound, now=clock.now()):
        return  # it is to be erased, which is due
    crashpoint("recording_kept")
    try:
        for track in tracks.of(recording):
            link.adapter().recordings.delete(track.name)
    except EngineError as error:
        logger.warning("the engine still has %s, which is tidied up later: %s", recording, error)


def _fetch(recording: Recording, to: BinaryIO) -> wav.Sound:
    """Write a recording's tracks to a file, side by side as they were recorded."""
    wanted = tracks.of(recording)
    with TemporaryFile() as said, TemporaryFile() as heard:
        found = list(zip(wanted, (said, heard), strict=False))
        for track, file in found:
            link.adapter().recordings.save(track.name, file)
        return wav.join([file for _, file in found], to, delays_seconds=_delays(recording, len(found)))


def _delays(recording: Recording, count: int) -> list[float]:
    """Return by how many seconds each track began after the first. Unknown when its beginning went unheard."""
    starts = [recording.said_started_at, recording.heard_started_at][:count]
    known = [start for start in starts if start is not None]
    if len(known) < count:
        return [0.0] * count
    return [(start - min(known)).total_seconds() for start in known]


@contextmanager
def _alone(recording_id: int) -> Iterator[bool]:
    """Hold a recording's lock; give whether it was to be had."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(hashtextextended('recording', %s))", [recording_id])
        (is_ours,) = cursor.fetchone()
    try:
        yield is_ours
    finally:
        if is_ours:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(hashtextextended('recording', %s))", [recording_id])
