"""WAV files: an engine's tracks, 8 kHz, 16 bit, one channel each, made into one file.

The header of a track is not believed about its length: an engine that dies leaves it unwritten. The format is that of
RFC 2361 and Microsoft's "Multimedia Programming Interface and Data Specifications 1.0".
"""

import struct
from typing import BinaryIO, NamedTuple

FRAMES_PER_SECOND = 8000

_SAMPLE_BYTES = 2
_PCM = 1
_CHUNK_FRAMES = 65_536
_RIFF = struct.Struct("<4sI4s")
_CHUNK = struct.Struct("<4sI")
_FORMAT = struct.Struct("<HHIIHH")


class NotATrack(ValueError):
    """The file is no WAV of 8 kHz, 16 bit and one channel."""


class Sound(NamedTuple):
    """What was written."""

    seconds: float
    size_bytes: int


def join(tracks: list[BinaryIO], to: BinaryIO, *, delays_seconds: list[float]) -> Sound:
    """Write the tracks to an empty file as its channels, in their order, and return what it came to.

    Each begins after its delay; a shorter one is silent until the longest ends. Raises NotATrack.
    """
    readers = [_Reader(track, delay) for track, delay in zip(tracks, delays_seconds, strict=True)]
    header_bytes = _RIFF.size + 2 * _CHUNK.size + _FORMAT.size
    to.seek(header_bytes)
    frames = 0
    while chunks := [reader.read(_CHUNK_FRAMES) for reader in readers]:
        longest = max(map(len, chunks))
        if not longest:
            break
        to.write(_interleaved([chunk.ljust(longest, b"\0") for chunk in chunks]))
        frames += longest // _SAMPLE_BYTES
    to.seek(0)
    to.write(_header(frames=frames, channels=len(tracks)))
    return Sound(frames / FRAMES_PER_SECOND, header_bytes + frames * len(tracks) * _SAMPLE_BYTES)


class _Reader:
    """The samples of a track, after some silence."""

    def __init__(self, file: BinaryIO, delay_seconds: float) -> None:
        self._file = file
        self._silent_frames = round(delay_seconds * FRAMES_PER_SECOND)
        _find_samples(file)

    def read(self, frames: int) -> bytes:
        """Return the next samples, `frames` of them at most; none at the end."""
        silent = min(frames, self._silent_frames)
        self._silent_frames -= silent
        samples = self._file.read((frames - silent) * _SAMPLE_BYTES)
        whole = len(samples) - len(samples) % _SAMPLE_BYTES
        return bytes(silent * _SAMPLE_BYTES) + samples[:whole]


def _find_samples(file: BinaryIO) -> None:
    """Go to where the samples begin."""
    file.seek(0)
    riff, _, wave = _RIFF.unpack(_exactly(file, _RIFF.size))
    if (riff, wave) != (b"RIFF", b"WAVE"):
        raise NotATrack("no WAV")
    name, size_bytes = _CHUNK.unpack(_exactly(file, _CHUNK.size))
    while name != b"data":
        content = _exactly(file, size_bytes + size_bytes % 2)
        if name == b"fmt ":
            kind, channels, rate, _, _, bits = _FORMAT.unpack(content[: _FORMAT.size].ljust(_FORMAT.size, b"\0"))
            if (kind, channels, rate, bits) != (_PCM, 1, FRAMES_PER_SECOND, 8 * _SAMPLE_BYTES):
                raise NotATrack(f"a WAV of {channels} channels, {rate} Hz, {bits} bit")
        name, size_bytes = _CHUNK.unpack(_exactly(file, _CHUNK.size))


def _exactly(file: BinaryIO, size_bytes: int) -> bytes:
    found = file.read(size_bytes)
    if len(found) < size_bytes:
        raise NotATrack("a WAV that ends in its header")
    return found


def _interleaved(chunks: list[bytes]) -> bytes:
    step = len(chunks) * _SAMPLE_BYTES
    joined = bytearray(sum(map(len, chunks)))
    for channel, chunk in enumerate(chunks):
        for byte in range(_SAMPLE_BYTES):
            joined[channel * _SAMPLE_BYTES + byte :: step] = chunk[byte::_SAMPLE_BYTES]
    return bytes(joined)


def _header(*, frames: int, channels: int) -> bytes:
    frame_bytes = channels * _SAMPLE_BYTES
    data_bytes = frames * frame_bytes
    rates = (FRAMES_PER_SECOND, FRAMES_PER_SECOND * frame_bytes, frame_bytes, 8 * _SAMPLE_BYTES)
    return b"".join(
        (
            _RIFF.pack(b"RIFF", _RIFF.size - 8 + 2 * _CHUNK.size + _FORMAT.size + data_bytes, b"WAVE"),
            _CHUNK.pack(b"fmt ", _FORMAT.size),
            _FORMAT.pack(_PCM, channels, *rates),
            _CHUNK.pack(b"data", data_bytes),
        )
    )
