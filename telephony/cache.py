"""The cache of what engines play: 8 kHz WAV files under names made of what they hold, so that they never change."""

import errno
import os
import re
import threading
import wave
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

RATE, SAMPLE_BYTES = 8000, 2  # one channel

_FRESH_SECONDS = 300.0  # an engine told to play has fetched by then, the last piece of a long text too
_OURS = re.compile(r"[0-9a-f]{64}\..+")  # nothing else in the folder is touched


class Cache:
    """Sounds in `folder`, which is served to engines at `url` (`http://host:port`).

    Beyond `kept_bytes` those last used longest ago are removed, but none that was used within the last five minutes.
    These alone may be twice as much, and those of one owner, a customer, at most as much as is left for others: who
    comes new has room. Several processes may share the folder; each knows the owners of what it kept itself.
    """

    def __init__(self, folder: Path, *, url: str, kept_bytes: int) -> None:
        self.folder = folder
        self._url = url
        self._kept_bytes = kept_bytes
        self._owners: dict[str, str] = {}  # who had a sound made

    def has(self, digest: str) -> bool:
        """Whether the sound is there; now it was the last one used."""
        try:
            os.utime(self._file(digest))
        except FileNotFoundError:
            return False
        return True

    def media(self, digest: str) -> str:
        """Return what an engine plays: `sound:` and an address of ours."""
        return f"sound:{self._url}/{self._file(digest).name}"

    def keep(self, digest: str, samples: bytes, *, owner: str) -> None:
        """Keep samples of 16 bit, 8,000 a second, which `owner` has had made.

        Raises OSError, also when what is in use leaves no room.
        """
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = self._file(digest)
        half_written = file.with_suffix(f".{os.getpid()}-{threading.get_ident()}")
        self._owners[digest] = owner
        try:
            with half_written.open("wb") as target:
                with wave.open(target, "wb") as sound:
                    sound.setnchannels(1)
                    sound.setsampwidth(SAMPLE_BYTES)
                    sound.setframerate(RATE)
                    sound.writeframes(samples)
                target.flush()
                os.fsync(target.fileno())  # an empty file would be taken for the sound ever after
            self._make_room(owner)
            half_written.replace(file)
        except OSError:
            self._owners.pop(digest, None)
            raise
        finally:
            half_written.unlink(missing_ok=True)

    def _file(self, digest: str) -> Path:
        return self.folder / f"{digest}.wav"

    def _make_room(self, owner: str) -> None:
        """Remove what is too much, what is being written for `owner` included, which is what was used last."""
        found = sorted(self._found(), reverse=True)
        fresh_since = found[0][0] - _FRESH_SECONDS
        total = in_use = owned = 0
        for used_at, size_bytes, path in found:
            total += size_bytes
            if used_at >= fresh_since:
                in_use += size_bytes
                owned += size_bytes * (self._owners.get(path.stem) == owner)
            elif total > self._kept_bytes:
                path.unlink(missing_ok=True)
                self._owners.pop(path.stem, None)
        if owned > 2 * self._kept_bytes - in_use:
            raise OSError(errno.ENOSPC, "what is in use leaves no room in the cache")

    def _found(self) -> Iterator[tuple[float, int, Path]]:
        """Look at each file of ours: when it was used last, its bytes, and its path."""
        with os.scandir(self.folder) as entries:
            for entry in entries:
                if _OURS.fullmatch(entry.name):
                    with suppress(FileNotFoundError):  # another process makes room at this moment
                        about = entry.stat()
                        yield about.st_mtime, about.st_size, Path(entry)
