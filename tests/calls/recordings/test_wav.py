"""The file that integrators get: each party on its side, from the first moment to the last."""

import io
import struct
import wave
from array import array

import pytest

from calls.recordings import wav
from tests.calls.recordings.tape import opened
from tests.calls.recordings.tape import wav as track
from tests.telephony.engines.phone import share


def read(content: bytes) -> tuple[list["array[int]"], float]:
    """The channels of a file that Python's own reader accepts, and its seconds."""
    with wave.open(io.BytesIO(content)) as sound:
        assert (sound.getsampwidth(), sound.getframerate()) == (2, 8000)
        frames = array("h", sound.readframes(sound.getnframes()))
        count = sound.getnchannels()
    return [frames[channel::count] for channel in range(count)], len(frames) / count / 8000


def test_left_is_the_first_track_and_right_the_second() -> None:
    file = io.BytesIO()

    sound = wav.join([opened(track(440, seconds=1)), opened(track(880, seconds=1))], file, delays_seconds=[0, 0])

    (left, right), seconds = read(file.getvalue())
    assert (share(left, 440) > 0.9, share(left, 880) < 0.05) == (True, True)
    assert (share(right, 880) > 0.9, share(right, 440) < 0.05) == (True, True)
    assert (sound.seconds, sound.size_bytes) == (seconds, len(file.getvalue())) == (1.0, 44 + 32_000)


def test_tracks_that_began_and_ended_apart_keep_their_places() -> None:
    file = io.BytesIO()

    sound = wav.join([opened(track(440, seconds=1)), opened(track(880, seconds=9.5))], file, delays_seconds=[0.5, 0])

    (left, right), seconds = read(file.getvalue())
    assert sound.seconds == seconds == 9.5
    assert not any(left[:4000])
    assert share(left[4000:12000], 440) > 0.9
    assert not any(left[12000:])
    assert share(right, 880) > 0.9


def test_one_track_makes_a_file_of_one_channel() -> None:
    file = io.BytesIO()

    wav.join([opened(track(440, seconds=0.5))], file, delays_seconds=[0])

    (only,), seconds = read(file.getvalue())
    assert (seconds, share(only, 440) > 0.9) == (0.5, True)


def test_a_track_whose_engine_died_is_read_to_its_end() -> None:
    file = io.BytesIO()
    cut = track(440, seconds=2, is_finished=False)[:-1]

    assert wav.join([opened(cut)], file, delays_seconds=[0]).seconds == pytest.approx(2, abs=0.001)


def test_a_chunk_before_the_samples_is_passed_over() -> None:
    content = track(440, seconds=0.1)
    noted = content[:36] + struct.pack("<4sI", b"LIST", 3) + b"abc\0" + content[36:]

    assert wav.join([opened(noted)], io.BytesIO(), delays_seconds=[0]).seconds == 0.1


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"RIFF",
        b"not a file of sound at all, but long enough",
        track(440, seconds=0.1)[:40],
        track(440, seconds=0.1).replace(struct.pack("<I", 8000), struct.pack("<I", 44100)),
        track(440, seconds=0.1)[:36],
    ],
)
def test_what_is_no_track_is_refused(content: bytes) -> None:
    with pytest.raises(wav.NotATrack):
        wav.join([opened(content)], io.BytesIO(), delays_seconds=[0])


def test_nothing_recorded_is_a_file_of_no_length() -> None:
    file = io.BytesIO()

    assert wav.join([opened(track(440, seconds=0))], file, delays_seconds=[0]) == (0.0, 44)
    assert read(file.getvalue())[1] == 0
