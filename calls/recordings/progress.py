"""How recordings go: the only writer of their state. Each function is one transaction, and may be told twice.

The call's row is locked before the recording's. An ended call is told of its recordings all the same: their events
are numbered on after its final one.
"""

from datetime import datetime, timedelta
from functools import partial
from typing import Any

from django.db import transaction

from calls import rows, telling, timeline
from calls.models import Recording
from calls.recordings import files, rendering, tracks
from calls.recordings.tracks import Track
from calls.recordings.wav import Sound
from minivoice import nudge
from telephony.engines.facts import Fact, Kind

COLLECT_TASK = "calls.collect_recordings"
State = Recording.State

_UNHEARD_AFTER = timedelta(seconds=3)  # that the engine's word of an end needs at most


class NotUp(Exception):
    """The call is not answered, or has ended."""


def prepare(*, call_id: int, kind: Recording.Kind, now: datetime) -> Recording:
    """Write down a recording that is about to begin, and return it, or the one that is live: there is one of a kind.

    Raises NotUp when the call is not up.
    """
    with transaction.atomic():
        call = rows.lock(call_id)
        if call.is_final or call.hung_up_at or call.answered_at is None:
            raise NotUp
        live = call.recordings.filter(kind=kind, ended_at=None).first()
        if live is not None:
            return live
        number = call.recordings.count() + 1
        return Recording.objects.create(
            public_id=f"rec_{call.public_id}" + (f"-{number}" if number > 1 else ""),
            call=call,
            number=number,
            kind=kind,
            storage_type=files.storage_type(),
            created_at=now,
            updated_at=now,
        )


def record(fact: Fact, *, now: datetime) -> bool:
    """Take one fact about a track; return whether the engine does what nobody wants any more, and is to stop it."""
    track = tracks.read(fact.recording)
    recording_id = track and Recording.objects.filter(public_id=track.recording_id).values_list("pk", flat=True).first()
    if track is None or recording_id is None:
        return False
    with transaction.atomic():
        recording = rows.lock_with_recording(recording_id)
        if recording.state == State.STARTED:
            _HANDLERS[fact.kind](recording, track, fact, now)
        # One that waited for its turn on the engine has taken the order to stop, and begins all the same.
        is_unwanted = recording.state != State.STARTED or recording.ended_at is not None
    return fact.kind is Kind.RECORDING_STARTED and is_unwanted


def begun(recording_id: int, *, now: datetime) -> None:
    """The engine records, whatever was heard of it."""
    with transaction.atomic():
        recording = rows.lock_with_recording(recording_id)
        if recording.state == State.STARTED:
            _begin(recording, now)


def stopped(recording_id: int, *, at: datetime, now: datetime) -> None:
    """Nothing is recorded any more: we have asked for it, or the call has ended. The engine's word of it may come."""
    with transaction.atomic():
        recording = rows.lock_with_recording(recording_id)
        if recording.state == State.STARTED and recording.ended_at is None:
            _end(recording, at=at, due_at=now + _UNHEARD_AFTER, now=now)


def completed(recording_id: int, *, sound: Sound, now: datetime) -> bool:
    """The audio is kept; return False when nobody wants it any more: the recording was deleted meanwhile."""
    with transaction.atomic():
        recording = rows.lock_with_recording(recording_id)
        if recording.state != State.STARTED:
            return recording.state == State.COMPLETED
        _begin(recording, now)
        recording.duration_seconds, recording.size_bytes = round(sound.seconds), sound.size_bytes
        _move(recording, State.COMPLETED, due_at=None, now=now)
        _tell(recording, State.COMPLETED, now, duration_seconds=recording.duration_seconds)
        return True


def failed(recording_id: int, *, why: str, now: datetime) -> None:
    """Nothing came of a recording, and what there is of it is erased."""
    with transaction.atomic():
        recording = rows.lock_with_recording(recording_id)
        if recording.state == State.STARTED:
            _fail(recording, why, now)


def missing(recording_id: int, *, now: datetime) -> None:
    """The audio of a recording is not where it was kept, nor anywhere else."""
    with transaction.atomic():
        recording = rows.lock_with_recording(recording_id)
        if recording.state == State.COMPLETED:
            _fail(recording, "its audio is gone", now)


def deleted(recording_id: int, *, now: datetime) -> Recording:
    """Take a recording away, running or kept: its audio is not shown from now on, and is erased. Return it."""
    with transaction.atomic():
        recording = rows.lock_with_recording(recording_id)
        if recording.state != State.DELETED:
            timeline.add(recording.call, "recording_deleted", at=now, recording=recording.public_id)
            _move(recording, State.DELETED, due_at=now, now=now)
        return recording


def erased(recording: Recording) -> None:
    """Nothing is left of the audio."""
    Recording.objects.filter(pk=recording.pk).update(due_at=None, attempts=0)


def _started(recording: Recording, track: Track, fact: Fact, now: datetime) -> None:
    column = f"{track.side}_started_at"
    if getattr(recording, column) is None:
        setattr(recording, column, fact.at)
        recording.save(update_fields=[column])
    if all(getattr(recording, f"{each.side}_started_at") for each in tracks.of(recording)):
        _begin(recording, now)


def _recorded(recording: Recording, track: Track, fact: Fact, now: datetime) -> None:
    column = f"{track.side}_ended_at"
    if getattr(recording, column) is None:
        setattr(recording, column, fact.at)
        recording.save(update_fields=[column])
    ends = [getattr(recording, f"{each.side}_ended_at") for each in tracks.of(recording)]
    if all(ends):
        _end(recording, at=recording.ended_at or max(ends), due_at=now, now=now)


def _not_recorded(recording: Recording, track: Track, fact: Fact, now: datetime) -> None:
    _fail(recording, str(fact.raw.get("recording", {}).get("cause") or "the engine could not record"), now)


_HANDLERS = {
    Kind.RECORDING_STARTED: _started,
    Kind.RECORDED: _recorded,
    Kind.RECORDING_FAILED: _not_recorded,
}


def _begin(recording: Recording, now: datetime) -> None:
    if recording.began_at is None:
        recording.began_at = recording.updated_at = now
        recording.save(update_fields=["began_at", "updated_at"])
        _tell(recording, State.STARTED, now)


def _end(recording: Recording, *, at: datetime, due_at: datetime, now: datetime) -> None:
    recording.ended_at, recording.due_at, recording.updated_at = at, due_at, now
    recording.save(update_fields=["ended_at", "due_at", "updated_at"])
    transaction.on_commit(partial(nudge.wake, COLLECT_TASK))


def _fail(recording: Recording, why: str, now: datetime) -> None:
    _move(recording, State.FAILED, due_at=now, now=now)
    _tell(recording, State.FAILED, now, why=why)


def _move(recording: Recording, state: Recording.State, *, due_at: datetime | None, now: datetime) -> None:
    recording.state, recording.ended_at, recording.updated_at = state, recording.ended_at or now, now
    recording.due_at, recording.attempts = due_at, 0
    recording.save()
    if due_at is not None:
        transaction.on_commit(partial(nudge.wake, COLLECT_TASK))


def _tell(recording: Recording, state: Recording.State, now: datetime, **line: Any) -> None:
    call, event = recording.call, f"recording.{state}"
    timeline.add(call, f"recording_{state}", at=now, recording=recording.public_id, **line)
    occurrence = telling.occurrences(call, event) + 1
    telling.publish(call, event, {"recording": rendering.webhook(recording)}, now=now, occurrence=occurrence)
    call.save(update_fields=["events"])
