"""The process that speaks one text: words on standard input, samples on standard output, by eSpeak NG and then over.
Its argument is the voice.

The library keeps what a text told it for every text after it, can crash, and holds whoever calls it for as long as it
likes: so it gets a process for each text (`telephony.speech`). Run as a file; nothing of ours is imported.
"""

import ctypes
import importlib
import os
import signal
import sys
from array import array

RATE = 8000  # samples a second, 16 bit, one channel

_LIFE_SECONDS = 4  # who asked has given up by then, or is dead
_AUDIO_SECONDS = 600  # of 400 characters, the longest have names of their own
# espeak-ng/speak_lib.h
_SYNCHRONOUS = 2
_PLAIN_UTF8 = 1  # neither SSML nor phonemes in brackets
_PARAMETERS = {1: 175, 2: 100, 3: 50, 4: 50}  # words a minute, volume, pitch, its range
_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)
_ESPEAK_RATE = 22050
_BLOCK_IN, _BLOCK_OUT = 441, 160  # samples: 22,050 to 8,000 in whole numbers


def main() -> None:
    """Speak standard input (UTF-8); the samples go to standard output."""
    signal.alarm(_LIFE_SECONDS)  # ends the process wherever it is
    sys.stdout.buffer.write(render(sys.stdin.buffer.read(), sys.argv[1].encode()).tobytes())


def render(utf8: bytes, voice: bytes) -> "array[int]":
    """Return the text spoken: samples of 16 bit, 8,000 a second.

    Raises RuntimeError when eSpeak NG cannot, or would speak for more than ten minutes.
    """
    spoken: array[int] = array("h")

    def take(samples: "ctypes._Pointer[ctypes.c_short]", count: int, _events: object) -> int:
        if samples and count > 0:
            spoken.frombytes(ctypes.string_at(samples, count * spoken.itemsize))
        return int(len(spoken) > _AUDIO_SECONDS * _ESPEAK_RATE)  # 1: no more

    library = _library(voice)
    callback = _CALLBACK(take)
    library.espeak_SetSynthCallback(callback)
    if error := library.espeak_Synth(utf8, len(utf8) + 1, 0, 0, 0, _PLAIN_UTF8, None, None):
        raise RuntimeError(f"eSpeak NG: error {error}")
    if len(spoken) > _AUDIO_SECONDS * _ESPEAK_RATE:
        raise RuntimeError(f"the text takes more than {_AUDIO_SECONDS} s")
    return _slower(spoken)


def _library(voice: bytes) -> ctypes.CDLL:
    espeakng_loader = importlib.import_module("espeakng_loader")  # untyped
    library = ctypes.CDLL(espeakng_loader.get_library_path())
    rate = library.espeak_Initialize(_SYNCHRONOUS, 0, os.fsencode(espeakng_loader.get_data_path()), 0)
    if rate != _ESPEAK_RATE or library.espeak_SetVoiceByName(voice) != 0:
        raise RuntimeError(f"eSpeak NG cannot speak: rate {rate}, voice {voice!r}")
    for parameter, value in _PARAMETERS.items():
        library.espeak_SetParameter(parameter, value, 0)
    return library


def _slower(samples: "array[int]") -> "array[int]":
    """Return samples at the lower rate: each is the mean of what it covers of the old ones, four at most."""
    blocks = len(samples) // _BLOCK_IN + 1
    padded = samples + array("h", bytes((blocks * _BLOCK_IN + 1 - len(samples)) * samples.itemsize))
    slower = array("h", bytes(blocks * _BLOCK_OUT * samples.itemsize))
    for place in range(_BLOCK_OUT):  # the same place of all blocks together: minutes of speech take half a second
        first, start = divmod(place * _BLOCK_IN, _BLOCK_OUT)
        a, b, c, d = (
            max(0, min((old + 1) * _BLOCK_OUT, start + _BLOCK_IN) - max(old * _BLOCK_OUT, start)) for old in range(4)
        )
        covered = zip(*(padded[first + old :: _BLOCK_IN] for old in range(4)), strict=False)
        slower[place::_BLOCK_OUT] = array("h", [(a * w + b * x + c * y + d * z) // _BLOCK_IN for w, x, y, z in covered])
    return slower


if __name__ == "__main__":
    main()
