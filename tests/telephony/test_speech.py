"""Text as sound, rendered once."""

import wave
from pathlib import Path

import pytest

pytest.importorskip("espeakng_loader")

from telephony import speech
from telephony.speech import Speech


def seconds(media: str) -> float:
    with wave.open(media.removeprefix("sound:") + ".wav") as sound:
        assert (sound.getframerate(), sound.getsampwidth(), sound.getnchannels()) == (8000, 2, 1)
        return sound.getnframes() / sound.getframerate()


def test_text_becomes_a_wav_that_lasts_as_long_as_the_words(tmp_path: Path) -> None:
    voice = Speech(tmp_path)
    assert 0.3 < seconds(voice.media("Hello.")) < 1.5
    assert 2 < seconds(voice.media("Please press one for sales, or two for support, followed by the hash key.")) < 8


def test_speech_is_loud_enough_to_be_heard(tmp_path: Path) -> None:
    samples = speech.render("Hello.")
    assert max(samples) > 5000
    assert min(samples) < -5000


def test_a_text_is_rendered_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    voice = Speech(tmp_path)
    first = voice.media("Hello.")
    monkeypatch.setattr(speech, "render", None)
    assert voice.media("Hello.") == first
    assert [file.suffix for file in tmp_path.iterdir()] == [".wav"]


def test_only_the_last_used_are_kept(tmp_path: Path) -> None:
    voice = Speech(tmp_path, files_kept=2)
    kept = [voice.media(text) for text in ("one", "two", "three")][1:]
    assert {f"sound:{file.with_suffix('')}" for file in tmp_path.iterdir()} == set(kept)


@pytest.mark.parametrize("text", ["", " ", "«{$1,000}» \x07\r\n", "日本語 ٣ 😀", "<speak>&amp;</speak>"])
def test_any_text_is_a_sound(tmp_path: Path, text: str) -> None:
    assert seconds(Speech(tmp_path).media(text)) >= 0
