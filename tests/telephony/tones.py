"""Sound files that customers might have: tones, told apart by `tests.telephony.engines.phone.share`."""

import math
import struct
from array import array
from pathlib import Path

RATE = 44100
MP3_HERTZ, MP3_SECONDS = 880, 1.5  # 22,050 Hz, one channel, 32 kbit/s; made by LAME 3.100

_PCM = 1


def mp3() -> bytes:
    """Return the tone that is an MP3."""
    return Path(__file__).with_name("880-hertz.mp3").read_bytes()


def wav(hertz: float, *, seconds: float = 1.0, rate: int = RATE, channels: int = 2) -> bytes:
    """Return a tone as WAV of 16 bit, the same in all channels."""
    samples = array("h")
    for place in range(int(seconds * rate)):
        samples.extend([int(8000 * math.sin(2 * math.pi * hertz * place / rate))] * channels)
    return riff(samples.tobytes(), rate=rate, channels=channels)


def riff(data: bytes, *, rate: int = 8000, channels: int = 1, bits: int = 16, coding: int = _PCM) -> bytes:
    """Return a WAV file that says this of its data, true or not (RFC 2361 has the codings)."""
    block = (channels * bits // 8) & 0xFFFF
    form = struct.pack("<HHIIHH", coding, channels, rate, (rate * block) & 0xFFFFFFFF, block, bits)
    chunks = b"fmt " + struct.pack("<I", len(form)) + form + b"data" + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", len(chunks) + 4) + b"WAVE" + chunks
