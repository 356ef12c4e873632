"""What a customer asks of recordings."""

from datetime import datetime

from django.db.models import QuerySet

from applications.models import Customer
from calls.models import Call, Recording
from calls.recordings import progress, recorder
from minivoice import api, errors
from telephony.engines.facts import EngineError


def start(*, call: Call, now: datetime) -> Recording:
    """Have a call recorded from now on; return the recording, the one that runs if there is one.

    Raises CallUuidMissing, ActiveCallNotFound, RecordingStartFailed.
    """
    _must_be_up(call)
    try:
        recording = recorder.start(call=call, now=now)
    except progress.NotUp:
        raise errors.ActiveCallNotFound from None
    except EngineError as error:
        raise errors.RecordingStartFailed from error
    return find(call.application_id, recording.public_id)


def stop(*, call: Call, now: datetime) -> Recording:
    """End the recording of a call; return it. Its audio is there some moments later.

    Raises CallUuidMissing, ActiveCallNotFound, RecordingNotStarted, RecordingStopFailed.
    """
    _must_be_up(call)
    recording = call.recordings.filter(kind=Recording.Kind.CALL, ended_at=None).first()
    if recording is None:
        raise errors.RecordingNotStarted
    try:
        recorder.stop(recording, now=now)
    except EngineError as error:
        raise errors.RecordingStopFailed from error
    return find(call.application_id, recording.public_id)


def delete(*, recording: Recording, now: datetime) -> Recording:
    """Erase the audio of a recording, and end it if it runs; the row stays. Return it."""
    return progress.deleted(recording.pk, now=now)


def find(application_id: int, public_id: str) -> Recording:
    """Return an application's recording. Raises Recording.DoesNotExist for another's as for one that never was."""
    return api.find(_shown().filter(call__application_id=application_id), public_id=public_id)


def of(call: Call) -> QuerySet[Recording]:
    """Return the recordings of a call."""
    return _shown().filter(call=call)


def by_link(public_id: str) -> Recording:
    """Return a recording that a link which we have signed leads to. Raises Recording.DoesNotExist, AccountSuspended."""
    recording = api.find(_shown(), public_id=public_id)
    if recording.call.customer.status == Customer.Status.SUSPENDED:
        raise errors.AccountSuspended
    return recording


def _shown() -> QuerySet[Recording]:
    return Recording.objects.select_related("call__application", "call__customer")


def _must_be_up(call: Call) -> None:
    if call.is_final:
        raise errors.ActiveCallNotFound
    if call.provider_call_id is None:
        raise errors.CallUuidMissing
    if call.answered_at is None:
        raise errors.ActiveCallNotFound("the call is not answered yet")
