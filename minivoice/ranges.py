"""A file over HTTP, or one range of its bytes (RFC 9110, section 14)."""

import re
import threading
import weakref
from collections import Counter
from collections.abc import Iterator
from typing import Protocol

from django.conf import settings
from django.http import StreamingHttpResponse

from minivoice import errors

_CHUNK_BYTES = 65_536
_RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})")
_AGAIN_SECONDS = 2


class Places:
    """So many places to read files. Whoever has some takes no more than are left, so that who comes new has one."""

    def __init__(self, count: int) -> None:
        self._lock = threading.Lock()
        self._free = count
        self._taken: Counter[str] = Counter()

    def take(self, reader: str) -> bool:
        """Take a place; return whether there was one for this reader."""
        with self._lock:
            if self._taken[reader] >= self._free:
                return False
            self._taken[reader] += 1
            self._free -= 1
            return True

    def leave(self, reader: str) -> None:
        """Give a place back."""
        with self._lock:
            self._taken -= Counter({reader: 1})  # which forgets those who have none
            self._free += 1


_places = Places(settings.AUDIO_PLACES)


class Readable(Protocol):
    """Bytes from some place on."""

    def read(self, size: int, /) -> bytes:
        """Return the next bytes, `size` at most; none at the end."""

    def close(self) -> None:
        """Give back what it takes to read."""


class Opening(Protocol):
    """What opens a file."""

    def __call__(self, *, first: int, last: int) -> Readable:
        """Return the file from its byte `first` on; those after `last` will not be read."""


def respond(
    opening: Opening, *, size_bytes: int, wanted: str | None, content_type: str, name: str, reader: str
) -> StreamingHttpResponse:
    """Stream a file, which is closed at the end: all of it, or what the `Range` header `wanted` asks for.

    A header that asks for several ranges, or cannot be read, is ignored, as it may be. `name` is what a browser
    would save it as. Raises RangeNotSatisfiable, and Unavailable when of the AUDIO_PLACES to read files none is left,
    or fewer than `reader` has: each takes a thread for as long as it likes. What `opening` raises is let out.
    """
    found = _find(wanted, size_bytes)
    first, last = found or (0, size_bytes - 1)
    if found is not None and first > last:
        raise errors.RangeNotSatisfiable(size_bytes=size_bytes)
    response = StreamingHttpResponse(
        _Part(opening, first, last, reader), status=200 if found is None else 206, content_type=content_type
    )
    response["Accept-Ranges"] = "bytes"
    response["Content-Length"] = str(last - first + 1)
    response["Content-Disposition"] = f'inline; filename="{name}"'
    response["Cache-Control"] = "private, no-store"
    if found is not None:
        response["Content-Range"] = f"bytes {first}-{last}/{size_bytes}"
    return response


def _find(wanted: str | None, size_bytes: int) -> tuple[int, int] | None:
    """Return the first and the last byte that are wanted, None for the whole file; first > last where there is none."""
    asked = _RANGE.fullmatch((wanted or "").replace(" ", ""))
    if asked is None or not (asked[1] or asked[2]):
        return None
    if not asked[1]:  # the last so many
        count = min(int(asked[2]), size_bytes)
        return size_bytes - count, size_bytes - 1
    first, last = int(asked[1]), int(asked[2] or size_bytes)
    if asked[2] and last < first:
        return None
    return first, min(last, size_bytes - 1)


class _Part:
    """Some bytes of a file, in chunks, and a place to read them. Django closes it, read to its end or not."""

    def __init__(self, opening: Opening, first: int, last: int, reader: str) -> None:
        if not _places.take(reader):
            raise errors.Unavailable(
                "too many files are being read, try again shortly", retry_after_seconds=_AGAIN_SECONDS
            )
        self._leave = weakref.finalize(self, _places.leave, reader)  # once, and should nobody close it too
        self._left_bytes = last - first + 1
        try:
            self._file = opening(first=first, last=last)
        except BaseException:
            self._leave()
            raise

    def __iter__(self) -> Iterator[bytes]:
        while self._left_bytes and (chunk := self._file.read(min(_CHUNK_BYTES, self._left_bytes))):
            self._left_bytes -= len(chunk)
            yield chunk

    def close(self) -> None:
        self._file.close()
        self._leave()
