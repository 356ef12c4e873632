"""What we do to the engine to record: begin, stop, erase. Network here is always outside transactions."""

import logging
import time
from contextlib import suppress
from datetime import datetime
from time import monotonic

from calls.models import Attempt, Call, Recording
from calls.recordings import progress, tracks
from minivoice.crash import crashpoint
from telephony import link
from telephony.engines.facts import ChannelGone, CommandRefused, EngineError, NameTaken

logger = logging.getLogger(__name__)

_ENTERING_SECONDS = 1.0  # that a channel which listens in needs, at most, until it can be recorded
_LOOK_SECONDS = 0.01


def start(*, call: Call, now: datetime) -> Recording:
    """Have a call recorded, both ways; return the recording, the one that runs if there is one.

    Raises NotUp when the call is not up, and EngineError, the recording having failed.
    """
    recording = progress.prepare(call_id=call.pk, kind=Recording.Kind.CALL, now=now)
    crashpoint("recording_opened")
    if recording.began_at is None:  # one that a process left behind here, too
        try:
            engage(recording)
        except EngineError as error:
            if recording.created_at == now:  # ours; another's may be about to begin, and is given up elsewhere
                progress.failed(recording.pk, why=str(error), now=now)
            raise
    return recording


def start_if_wanted(*, call: Call, now: datetime) -> None:
    """Begin to record a call that was created so, unless it was begun before; a failure is told, and costs no call."""
    was_begun = call.recordings.exclude(began_at=None, ended_at=None).exists
    if call.metadata.get("record") is not True or was_begun():
        return
    try:
        start(call=call, now=now)
    except (EngineError, progress.NotUp) as error:
        logger.warning("%s is not recorded: %s", call.public_id, error)


def start_voicemail(*, call: Call, channel: str, max_seconds: int, beep: bool, now: datetime) -> Recording:
    """Have the engine record what the far end of a channel says; one that a process left behind ends. Return it.

    Raises NotUp when the call is not up, and EngineError, the recording having failed.
    """
    for left in call.recordings.filter(kind=Recording.Kind.VOICEMAIL, ended_at=None):
        stop(left, now=now)
    recording = progress.prepare(call_id=call.pk, kind=Recording.Kind.VOICEMAIL, now=now)
    (track,) = tracks.of(recording)
    try:
        link.adapter().recordings.record_channel(channel, name=track.name, max_seconds=max_seconds, beep=beep)
    except EngineError as error:
        progress.failed(recording.pk, why=str(error), now=now)
        raise
    return recording


def engage(recording: Recording) -> None:
    """Have the engine record a call. What it does already it goes on doing. Raises EngineError."""
    channel = _channel(recording.call_id)
    for track in tracks.of(recording):
        with suppress(CommandRefused):  # it listens already; or it will not, which the next command tells
            link.adapter().snoop(channel, snoop_id=track.name, direction=track.direction)
    for track in tracks.of(recording):
        _record(track.name)


def stop(recording: Recording, *, now: datetime) -> None:
    """End a recording. Raises EngineError: it may go on."""
    for track in tracks.of(recording):
        silence(track.name)
    crashpoint("recording_stopped")
    progress.stopped(recording.pk, at=now, now=now)


def silence(name: str) -> None:
    """Have the engine record a track no more, and nobody listen in for it. Raises EngineError."""
    link.adapter().recordings.stop(name)
    link.adapter().hang_up(name)


def give_up(name: str) -> None:
    """Have the engine record a track no more, if it can be told: never raises EngineError."""
    try:
        silence(name)
    except EngineError as error:
        logger.warning("%s may go on: %s", name, error)


def erase(recording: Recording) -> None:
    """Have the engine keep nothing of a recording, running or not. Raises EngineError."""
    for track in tracks.of(recording):
        silence(track.name)
        link.adapter().recordings.delete(track.name)


def _record(name: str) -> None:
    """Record what a channel of this name hears, once it has entered."""
    ends_at = monotonic() + _ENTERING_SECONDS
    while True:
        try:
            link.adapter().recordings.record_channel(name, name=name)
        except NameTaken:
            return
        except ChannelGone:
            if monotonic() > ends_at:
                raise
            time.sleep(_LOOK_SECONDS)
        else:
            return


def _channel(call_id: int) -> str:
    """Return the name of a call's channel. Raises ChannelGone."""
    attempt = Attempt.objects.filter(call=call_id).exclude(state=Attempt.State.ENDED).first()
    if attempt is None:
        raise ChannelGone("the call has ended")
    return attempt.channel
