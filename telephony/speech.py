"""Speech: text as the 8 kHz WAV that engines play, rendered once by eSpeak NG (`espeakng-loader`) and kept."""

import ctypes
import hashlib
import importlib
import logging
import os
import re
import threading
import wave
from array import array
from contextlib import suppress
from functools import cache
from itertools import accumulate, pairwise
from pathlib import Path

from telephony.engines.facts import EngineError

logger = logging.getLogger(__name__)

RATE = 8000  # samples a second, 16 bit, one channel

_VOICE = "en-us"
# espeak-ng/speak_lib.h
_SYNCHRONOUS = 2
_UTF8 = 1
_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)
_ESPEAK_RATE = 22050
_BLOCK_IN, _BLOCK_OUT = 441, 160  # samples: 22,050 to 8,000 in whole numbers

_FRESH_SECONDS = 60.0  # an engine told to play has fetched by then
_OURS = re.compile(r"[0-9a-f]{64}\..+")  # nothing else in the folder is touched

_lock = threading.Lock()  # the library speaks one text at a time


class NotSpoken(EngineError):
    """A text could not be rendered or kept; the log says why."""


class Speech:
    """Spoken texts in `folder`, which is served to engines at `url` (`http://host:port`).

    Beyond `kept_bytes` those last used longest ago are removed, but none that was used within the last minute.
    """

    def __init__(self, folder: Path, *, url: str, kept_bytes: int) -> None:
        self._folder = folder
        self._url = url
        self._kept_bytes = kept_bytes
        self._rendering = threading.Lock()

    def media(self, text: str) -> str:
        """Return what an engine plays to say `text`: `sound:` and an address of ours. Raises NotSpoken."""
        digest = hashlib.sha256(f"{_VOICE}\n{text}".encode()).hexdigest()
        file = self._folder / f"{digest}.wav"
        try:
            if not _used(file):
                with self._rendering:
                    if not _used(file):
                        self._keep(file, render(text))
        except (ImportError, OSError, RuntimeError) as error:
            logger.warning("a text of %d characters is not spoken: %s", len(text), error)
            raise NotSpoken("the text could not be spoken") from error
        return f"sound:{self._url}/{file.name}"

    def _keep(self, file: Path, samples: "array[int]") -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        half_written = file.with_suffix(f".{os.getpid()}-{threading.get_ident()}")
        try:
            with half_written.open("wb") as target:
                with wave.open(target, "wb") as sound:
                    sound.setnchannels(1)
                    sound.setsampwidth(samples.itemsize)
                    sound.setframerate(RATE)
                    sound.writeframes(samples.tobytes())
                target.flush()
                os.fsync(target.fileno())  # an empty file would be taken for the speech ever after
            half_written.replace(file)
        finally:
            half_written.unlink(missing_ok=True)
        with suppress(FileNotFoundError):  # another process makes room at this moment
            self._make_room()

    def _make_room(self) -> None:
        with os.scandir(self._folder) as entries:
            found = [(entry.stat(), Path(entry)) for entry in entries if _OURS.fullmatch(entry.name)]
        found.sort(key=lambda kept: kept[0].st_mtime, reverse=True)
        fresh_since = found[0][0].st_mtime - _FRESH_SECONDS
        total = 0
        for about, path in found:
            total += about.st_size
            if total > self._kept_bytes and about.st_mtime < fresh_since:
                path.unlink()


def render(text: str) -> "array[int]":
    """Return `text` spoken: samples of 16 bit, 8,000 a second. Raises RuntimeError when eSpeak NG cannot."""
    spoken: array[int] = array("h")
    rest: array[int] = array("h")

    def take(samples: "ctypes._Pointer[ctypes.c_short]", count: int, _events: object) -> int:
        nonlocal rest
        if samples and count > 0:
            rest.frombytes(ctypes.string_at(samples, count * rest.itemsize))
            whole = len(rest) - len(rest) % _BLOCK_IN
            for start in range(0, whole, _BLOCK_IN):
                spoken.extend(_slower(rest[start : start + _BLOCK_IN]))
            rest = rest[whole:]
        return 0

    utf8 = text.encode()
    callback = _CALLBACK(take)
    with _lock:
        library = _library()
        library.espeak_SetSynthCallback(callback)
        error = library.espeak_Synth(utf8, len(utf8) + 1, 0, 0, 0, _UTF8, None, None)
    if error:
        raise RuntimeError(f"eSpeak NG: error {error}")
    spoken.extend(_slower(rest + array("h", bytes((_BLOCK_IN - len(rest)) * rest.itemsize))))
    return spoken


def _used(file: Path) -> bool:
    """Whether `file` is there; now it was the last one used."""
    try:
        os.utime(file)
    except FileNotFoundError:
        return False
    return True


def _slower(block: "array[int]") -> "array[int]":
    """Return a block at the lower rate: each sample is the mean of what it covers of the old ones."""
    sums = list(accumulate(block, initial=0))
    sums.append(sums[-1])
    until = [sums[whole] + part * (sums[whole + 1] - sums[whole]) for whole, part in _BORDERS]
    width = _BLOCK_IN / _BLOCK_OUT
    return array("h", (int((end - start) / width) for start, end in pairwise(until)))


_BORDERS = [
    (border // _BLOCK_OUT, border % _BLOCK_OUT / _BLOCK_OUT)
    for border in range(0, _BLOCK_IN * _BLOCK_OUT + 1, _BLOCK_IN)
]


@cache
def _library() -> ctypes.CDLL:
    espeakng_loader = importlib.import_module("espeakng_loader")  # a big library, and untyped
    library = ctypes.CDLL(espeakng_loader.get_library_path())
    data = os.fsencode(espeakng_loader.get_data_path())
    rate = library.espeak_Initialize(_SYNCHRONOUS, 0, data, 0)
    if rate != _ESPEAK_RATE or library.espeak_SetVoiceByName(_VOICE.encode()) != 0:
        raise RuntimeError(f"eSpeak NG cannot speak: rate {rate}, voice {_VOICE}")
    return library
