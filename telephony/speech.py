"""Speech: text as the 8 kHz WAV that engines play, rendered once by eSpeak NG (`espeakng-loader`) and kept."""

import ctypes
import hashlib
import importlib
import os
import threading
import wave
from array import array
from functools import cache
from itertools import accumulate, pairwise
from pathlib import Path

RATE = 8000  # samples a second, 16 bit, one channel

_VOICE = "en-us"
# espeak-ng/speak_lib.h
_SYNCHRONOUS = 2
_UTF8 = 1
_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)
_ESPEAK_RATE = 22050
_BLOCK_IN, _BLOCK_OUT = 441, 160  # samples: 22,050 to 8,000 in whole numbers

_lock = threading.Lock()  # the library speaks one text at a time


class Speech:
    """Spoken texts in a folder that the engine reads too, the `files_kept` last used."""

    def __init__(self, folder: Path, *, files_kept: int = 2000) -> None:
        self._folder = folder
        self._files_kept = files_kept
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)

    def media(self, text: str) -> str:
        """Return what an engine plays to say `text`: `sound:` and the file, whose ending engines add themselves."""
        path = self._folder / hashlib.sha256(f"{_VOICE}\n{text}".encode()).hexdigest()
        file = path.with_suffix(".wav")
        try:
            os.utime(file)
        except FileNotFoundError:
            self._keep(file, render(text))
        return f"sound:{path}"

    def _keep(self, file: Path, samples: "array[int]") -> None:
        half_written = file.with_suffix(f".{os.getpid()}-{threading.get_ident()}")
        with wave.open(str(half_written), "wb") as sound:
            sound.setnchannels(1)
            sound.setsampwidth(samples.itemsize)
            sound.setframerate(RATE)
            sound.writeframes(samples.tobytes())
        half_written.replace(file)
        kept = sorted(self._folder.glob("*.wav"), key=lambda other: other.stat().st_mtime)
        for old in kept[: -self._files_kept]:
            old.unlink(missing_ok=True)


def render(text: str) -> "array[int]":
    """Return `text` spoken: samples of 16 bit, 8,000 a second."""
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
        library.espeak_Synth(utf8, len(utf8) + 1, 0, 0, 0, _UTF8, None, None)
    spoken.extend(_slower(rest + array("h", bytes((_BLOCK_IN - len(rest)) * rest.itemsize))))
    return spoken


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
