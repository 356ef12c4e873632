"""What is left behind where a process died at the wrong moment: audio without a row that shows it, rows without audio.

Only recordings of calls of the last hours are looked at: what they leave behind is found within an hour.
"""

import logging
from datetime import datetime, timedelta

from calls.models import Recording
from calls.recordings import files, progress, tracks
from telephony import link
from telephony.engines.facts import EngineError

logger = logging.getLogger(__name__)

_HOURS = 30  # a call lasts four, and its audio may wait a day for an engine or a storage that is away
_BATCH = 1000
_LATELY = timedelta(hours=2)
_State = Recording.State


def tidy(*, now: datetime) -> int:
    """Erase what no recording shows, on the engine and where audio is kept, and look for what is shown; return how
    much was amiss.
    """
    return _tidy_engine() + sum(_tidy_files(place, now) + _find_missing(place, now) for place in files.places())


def _tidy_engine() -> int:
    """Delete from the engine what is fetched, deleted or nobody's."""
    try:
        found = {track for name in link.adapter().recordings.stored() if (track := tracks.read(name))}
        unwanted = sorted(found - _of_rows(found, state=_State.STARTED))[:_BATCH]
        for track in unwanted:
            link.adapter().recordings.delete(track.name)
    except EngineError as error:
        logger.warning("the engine is tidied up later: %s", error)
        return 0
    if unwanted:
        logger.info("the engine had kept %d tracks too long", len(unwanted))
    return len(unwanted)


def _of_rows(found: set[tracks.Track], **which: str) -> set[tracks.Track]:
    ids = {track.recording_id for track in found}
    wanted = set(Recording.objects.filter(public_id__in=ids, **which).values_list("public_id", flat=True))
    return {track for track in found if track.recording_id in wanted}


def _tidy_files(place: str, now: datetime) -> int:
    """Erase audio that no recording shows; what is being fetched at this moment is left."""
    count = 0
    for hours in range(_HOURS):
        found = set(files.of_hour(now - timedelta(hours=hours), kept_in=place))
        kept_here = Recording.objects.filter(public_id__in=found, storage_type=place)
        shown = kept_here.filter(state__in=[_State.STARTED, _State.COMPLETED])
        for public_id in sorted(found - set(shown.values_list("public_id", flat=True)))[:_BATCH]:
            files.erase(public_id, kept_in=place)
            logger.warning("erased the audio of %s, which no recording shows", public_id)
            count += 1
    return count


def _find_missing(place: str, now: datetime) -> int:
    """Show no recording whose audio is gone, of those that were kept lately."""
    kept_here = Recording.objects.filter(state=_State.COMPLETED, storage_type=place)
    late = kept_here.filter(ended_at__gt=now - _LATELY).order_by("-ended_at")[:_BATCH]
    gone = [recording for recording in late if not files.exists(recording.public_id, kept_in=place)]
    if len(gone) == len(late) > 1:
        logger.error("there is no audio at all: is the folder of recordings another than before, or not mounted?")
        return 0
    for recording in gone:
        logger.error("the audio of %s is gone", recording)
        progress.missing(recording.pk, now=now)
    return len(gone)
