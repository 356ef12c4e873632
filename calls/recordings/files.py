"""Where the audio is kept: in a folder or in S3, by settings; each recording says in which.

A file's name follows from the recording's id, so that no other one is ever written, and files are found by the hour of
their call.
"""

import logging
import os
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from django.conf import settings
from django.core.files import File
from django.core.files.storage import Storage, storages

from calls.models import Recording
from minivoice.ranges import Readable

logger = logging.getLogger(__name__)

SUFFIX = ".wav"
LOCAL, S3 = Recording.StorageType.LOCAL, Recording.StorageType.S3


class StorageAway(Exception):
    """Where the audio is kept does not answer, or not as it should; the log says more."""


def storage_type() -> Recording.StorageType:
    """Return where new recordings are kept."""
    return S3 if settings.RECORDINGS_BUCKET else LOCAL


def places() -> list[str]:
    """Return all places where there may be audio."""
    return [LOCAL, S3] if settings.RECORDINGS_BUCKET else [LOCAL]


def name(public_id: str) -> str:
    """Return the name of a recording's file: `2026/05/29/12/rec_call_20260529T120000.000000000.wav`."""
    day = public_id.removeprefix("rec_call_")
    return f"{day[:4]}/{day[4:6]}/{day[6:8]}/{day[9:11]}/{public_id}{SUFFIX}"


def save(public_id: str, content: IO[bytes], *, kept_in: str) -> None:
    """Keep the audio of a recording, on the disk for good; what an earlier try has left is replaced."""
    erase(public_id, kept_in=kept_in)
    storage(kept_in).save(name(public_id), File(content))
    if kept_in == LOCAL:
        file = Path(storage(kept_in).path(name(public_id)))
        for written in (file, file.parent):
            _sync(written)


def read(public_id: str, *, kept_in: str, first: int, last: int) -> Readable:
    """Return the audio of a recording, open, from its byte `first` on; of a bucket's no byte after `last` is fetched.

    Raises FileNotFoundError, also for a bucket that the settings name no more, and StorageAway.
    """
    if kept_in not in places():
        raise FileNotFoundError(public_id)
    try:
        return _fetched(name(public_id), first, last) if kept_in == S3 else _opened(name(public_id), first)
    except FileNotFoundError:
        raise
    except Exception as error:
        logger.warning("the audio of %s cannot be read: %s: %s", public_id, type(error).__name__, error)
        raise StorageAway(public_id) from error


def exists(public_id: str, *, kept_in: str) -> bool:
    """Whether there is audio of a recording."""
    return storage(kept_in).exists(name(public_id))


def of_hour(hour: datetime, *, kept_in: str) -> list[str]:
    """Return the ids of the recordings of which there is audio, of calls that began in an hour (UTC)."""
    try:
        _, found = storage(kept_in).listdir(f"{hour:%Y/%m/%d/%H}")
    except FileNotFoundError:
        return []
    return [file.removesuffix(SUFFIX) for file in found]


def erase(public_id: str, *, kept_in: str) -> None:
    """Erase the audio of a recording, if there is any."""
    storage(kept_in).delete(name(public_id))


def storage(kept_in: str) -> Storage:
    """Return the storage."""
    return storages[f"recordings-{kept_in}"]


def _opened(name: str, first: int) -> Readable:
    file = storage(LOCAL).open(name)
    file.seek(first)
    return file


def _fetched(key: str, first: int, last: int) -> Readable:
    store: Any = storage(S3)  # which reads files whole, whatever is wanted of them
    bucket = store.bucket
    try:
        body: Readable = bucket.Object(key).get(Range=f"bytes={first}-{last}")["Body"]
    except bucket.meta.client.exceptions.NoSuchKey as error:
        raise FileNotFoundError(key) from error
    return body


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
