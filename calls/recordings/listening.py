"""A recording's audio over HTTP, for whoever may hear it."""

from functools import partial

from django.http import StreamingHttpResponse

from calls.models import Recording
from calls.recordings import files
from minivoice import errors, ranges

_AGAIN_SECONDS = 10  # when the storage is away


def respond(recording: Recording, *, wanted: str | None, reader: str) -> StreamingHttpResponse:
    """Stream the audio, all of it or what the `Range` header `wanted` asks for.

    `reader` is who listens. Raises RecordingNotFound when there is none, RangeNotSatisfiable, and Unavailable when too
    many listen, or this reader too often, and when the storage is away.
    """
    if recording.state != Recording.State.COMPLETED:
        raise errors.RecordingNotFound("there is no audio of this recording")
    try:
        return ranges.respond(
            partial(files.read, recording.public_id, kept_in=recording.storage_type),
            size_bytes=recording.size_bytes or 0,
            wanted=wanted,
            content_type="audio/wav",
            name=f"{recording.public_id}{files.SUFFIX}",
            reader=reader,
        )
    except FileNotFoundError:
        raise errors.RecordingNotFound("the audio of this recording is gone") from None
    except files.StorageAway:
        raise errors.Unavailable(
            "the audio cannot be read at the moment, try again shortly", retry_after_seconds=_AGAIN_SECONDS
        ) from None
