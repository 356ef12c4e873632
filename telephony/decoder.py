"""The process that decodes one WAV or MP3: its bytes on standard input, samples on standard output.

The bytes are a stranger's and the library is C: so it gets a process for each file (`telephony.audio`), with little
memory, little time and none of our environment. Run as a file; nothing of ours is imported.
"""

import importlib
import resource
import signal
import sys
from array import array
from contextlib import suppress

RATE = 8000  # samples a second, 16 bit, one channel
AUDIO_SECONDS = 600

NOT_AUDIO, TOO_LONG = 3, 4  # exit statuses

_LIFE_SECONDS = 9  # who asked has given up by then, or is dead
_MEMORY_BYTES = 256 * 1024 * 1024  # the file, its samples, the interpreter
_WAV = (b"RIFF", b"RF64")
_MP3 = (b"ID3", *(bytes([0xFF, second]) for second in range(0xE2, 0x100)))  # a tag, or a frame of layer I to III


def main() -> None:
    """Decode standard input to standard output; exit with NOT_AUDIO or TOO_LONG when that cannot be."""
    signal.alarm(_LIFE_SECONDS)  # ends the process wherever it is
    with suppress(ValueError):  # macOS knows no such limit
        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    sys.stdout.buffer.write(decode(sys.stdin.buffer.read()).tobytes())


def decode(data: bytes) -> "array[int]":
    """Return the samples, all channels in one. Raises SystemExit for what is neither WAV nor MP3, or too long."""
    miniaudio = importlib.import_module("miniaudio")  # untyped
    if not data.startswith(_WAV + _MP3):
        raise SystemExit(NOT_AUDIO)
    samples = array("h")
    try:
        for block in miniaudio.stream_memory(
            data, output_format=miniaudio.SampleFormat.SIGNED16, nchannels=1, sample_rate=RATE, frames_to_read=RATE
        ):
            samples += block
            if len(samples) > AUDIO_SECONDS * RATE:
                raise SystemExit(TOO_LONG)
    except miniaudio.MiniaudioError as error:
        raise SystemExit(NOT_AUDIO) from error
    if not samples:
        raise SystemExit(NOT_AUDIO)
    return samples


if __name__ == "__main__":
    main()
