"""Text as sound, rendered once."""

import logging
import os
import threading
import wave
from array import array
from pathlib import Path

import pytest

pytest.importorskip("espeakng_loader")

from telephony import speech
from telephony.speech import NotSpoken, Speech

URL = "http://127.0.0.1:8099"
PLENTY = 10_000_000


@pytest.fixture
def voice(tmp_path: Path) -> Speech:
    return Speech(tmp_path, url=URL, kept_bytes=PLENTY)


def file(folder: Path, media: str) -> Path:
    """Return the file that stands for what an engine is told to play."""
    address, _, name = media.rpartition("/")
    assert address == f"sound:{URL}"
    return folder / name


def seconds(path: Path) -> float:
    with wave.open(str(path)) as sound:
        assert (sound.getframerate(), sound.getsampwidth(), sound.getnchannels()) == (8000, 2, 1)
        return float(sound.getnframes() / sound.getframerate())


def test_text_becomes_a_wav_that_lasts_as_long_as_the_words(voice: Speech, tmp_path: Path) -> None:
    assert 0.3 < seconds(file(tmp_path, voice.media("Hello."))) < 1.5
    words = "Please press one for sales, or two for support, followed by the hash key."
    assert 2 < seconds(file(tmp_path, voice.media(words))) < 8


def test_speech_is_loud_enough_to_be_heard() -> None:
    samples = speech.render("Hello.")
    assert max(samples) > 5000
    assert min(samples) < -5000


def test_a_text_is_rendered_once_also_after_a_restart(
    voice: Speech, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = voice.media("Hello.")
    monkeypatch.setattr(speech, "render", None)
    assert Speech(tmp_path, url=URL, kept_bytes=PLENTY).media("Hello.") == first
    assert [path.suffix for path in tmp_path.iterdir()] == [".wav"]


def test_a_text_that_many_calls_say_at_once_is_rendered_once(voice: Speech, monkeypatch: pytest.MonkeyPatch) -> None:
    rendered: list[str] = []
    render = speech.render
    together = threading.Barrier(8)

    def rendering(text: str) -> "array[int]":
        rendered.append(text)
        return render(text)

    def say() -> None:
        together.wait(5)
        voice.media("Hello.")

    monkeypatch.setattr(speech, "render", rendering)
    threads = [threading.Thread(target=say) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert rendered == ["Hello."]


def test_what_was_played_longest_ago_makes_room(tmp_path: Path) -> None:
    stranger = tmp_path / "notes.txt"
    stranger.write_text("not ours")
    files = [file(tmp_path, Speech(tmp_path, url=URL, kept_bytes=PLENTY).media(text)) for text in ("one", "two")]
    for path, age in ((files[0], 300), (files[1], 400), (stranger, 500)):
        stood = path.stat().st_mtime - age
        os.utime(path, (stood, stood))
    room = files[0].stat().st_size * 5 // 2
    last = file(tmp_path, Speech(tmp_path, url=URL, kept_bytes=room).media("three"))
    assert set(tmp_path.iterdir()) == {stranger, files[0], last}


def test_what_was_played_within_the_last_minute_is_kept_whatever_it_takes(tmp_path: Path) -> None:
    voice = Speech(tmp_path, url=URL, kept_bytes=1)
    files = {file(tmp_path, voice.media(text)) for text in ("one", "two", "three")}
    assert set(tmp_path.iterdir()) == files


def test_a_text_played_again_counts_as_used(tmp_path: Path) -> None:
    voice = Speech(tmp_path, url=URL, kept_bytes=1)
    played = file(tmp_path, voice.media("one"))
    os.utime(played, (0, 0))
    voice.media("one")
    voice.media("two")
    assert played.exists()


@pytest.mark.parametrize("text", ["", " ", "«{$1,000}» \x07\r\n", "日本語 ٣ 😀", "<speak>&amp;</speak>"])
def test_any_text_is_a_sound(voice: Speech, tmp_path: Path, text: str) -> None:
    assert seconds(file(tmp_path, voice.media(text))) >= 0


def test_a_disk_that_takes_no_more_is_an_engine_error_and_leaves_nothing_half_written(
    voice: Speech, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(os, "fsync", full)
        with caplog.at_level(logging.WARNING), pytest.raises(NotSpoken, match=r"^the text could not be spoken$"):
            voice.media("Hello.")
    assert "No space left on device" in caplog.text
    assert "Hello" not in caplog.text
    assert list(tmp_path.iterdir()) == []
    assert seconds(file(tmp_path, voice.media("Hello."))) > 0


def test_a_folder_that_cannot_be_made_is_an_engine_error(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(NotSpoken):
        Speech(tmp_path / "taken", url=URL, kept_bytes=PLENTY).media("Hello.")
