"""Text as sound, rendered once."""

import hashlib
import logging
import os
import signal
import subprocess
import sys
import threading
import time
import wave
from array import array
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

pytest.importorskip("espeakng_loader")

from telephony import espeak, speech
from telephony.speech import NotSpoken, Speech
from tests.telephony.engines.listening import until

URL = "http://127.0.0.1:8099"
PLENTY = 10_000_000
LONG = "漢" * 4000  # minutes of "chinese letter"


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


def renderers(pid: int) -> set[int]:
    """Return the renderers that the threads of `pid` have started and that are still there."""
    started = {child for task in Path(f"/proc/{pid}/task").glob("*/children") for child in task.read_text().split()}
    return {int(child) for child in started if is_renderer(child)}


def is_renderer(pid: str) -> bool:
    try:
        return espeak.__file__.encode() in Path(f"/proc/{pid}/cmdline").read_bytes()
    except FileNotFoundError:
        return False


def test_text_becomes_a_wav_that_lasts_as_long_as_the_words(voice: Speech, tmp_path: Path) -> None:
    assert 0.3 < seconds(file(tmp_path, voice.media("Hello."))) < 1.5
    words = "Please press one for sales, or two for support, followed by the hash key."
    assert 2 < seconds(file(tmp_path, voice.media(words))) < 8


def test_speech_is_loud_enough_to_be_heard() -> None:
    samples = array("h", speech.render("Hello."))
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

    def rendering(text: str) -> bytes:
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


@pytest.mark.parametrize("command", ["0A", "450S", "80P", "9R", "5Y", "3F", "1V", "20B", "1T"])
def test_a_text_with_commands_to_the_library_leaves_the_next_as_it_was(tmp_path: Path, command: str) -> None:
    before, after = (Speech(tmp_path / name, url=URL, kept_bytes=PLENTY) for name in ("before", "after"))
    untouched = file(tmp_path / "before", before.media("Your code is four two.")).read_bytes()
    after.media(f"\x01{command} Hello.")
    assert file(tmp_path / "after", after.media("Your code is four two.")).read_bytes() == untouched


def test_control_characters_are_blanks(voice: Speech) -> None:
    plain = voice.media("One 0A two.")
    for control in ("\x00", "\x01", "\n", "\x1b", "\x7f", "\x85", "\x9f"):
        assert voice.media(f"One{control}0A two.") == plain
    assert voice.media("One\xa00A two.") != plain


def test_what_earlier_renderings_kept_is_not_served(voice: Speech, tmp_path: Path) -> None:
    old = hashlib.sha256(b"en-us\nHello.").hexdigest()
    (tmp_path / f"{old}.wav").write_bytes(b"rendered wrong")
    assert old not in voice.media("Hello.")


@pytest.mark.parametrize("text", ["<prosody rate='fast'>hello</prosody>", "[[h@l'oU]]"])
def test_markup_and_phonemes_are_read_out(text: str) -> None:
    assert len(speech.render(text)) > 1.5 * len(speech.render("hello"))


def test_no_text_is_heard_for_more_than_four_minutes() -> None:
    assert 240 <= len(espeak.render(LONG.encode())) / espeak.RATE < 240.1


def test_a_text_beyond_the_budget_is_an_engine_error_and_its_process_is_ended(
    voice: Speech, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(speech, "BUDGET_SECONDS", 0.2)
    began = time.monotonic()
    with pytest.raises(NotSpoken):
        voice.media(LONG)
    assert time.monotonic() - began < 2
    monkeypatch.undo()
    assert seconds(file(tmp_path, voice.media("Hello."))) > 0
    assert renderers(os.getpid()) == set()


def test_a_kept_text_is_there_at_once_and_a_short_one_in_time_while_long_ones_are_rendered(
    voice: Speech, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = voice.media("Hello.")
    monkeypatch.setattr(speech, "BUDGET_SECONDS", 1.0)
    with ThreadPoolExecutor(8) as lanes:
        long = [lanes.submit(voice.media, f"{LONG[:3990]}{number}") for number in range(8)]
        until(lambda: renderers(os.getpid()))
        began = time.monotonic()
        assert voice.media("Hello.") == kept
        assert time.monotonic() - began < 0.3
        monkeypatch.undo()
        assert seconds(file(tmp_path, voice.media("Good-bye."))) > 0
        refused = [lane.exception(10) for lane in long]
    assert NotSpoken in {type(error) for error in refused}  # eight of them are more than one process can
    until(lambda: not renderers(os.getpid()))  # at most one had begun: those given up are not rendered
    assert seconds(file(tmp_path, voice.media("Welcome. " * 100))) > 0


@pytest.mark.parametrize("end", ["os.kill(os.getpid(), 11)", "raise ImportError('no voice')", "while True: pass"])
def test_a_renderer_that_dies_or_hangs_is_an_engine_error_and_the_next_text_is_spoken(
    voice: Speech, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    program = tmp_path / "broken.py"
    program.write_text(f"import os\n{end}\n")
    with monkeypatch.context() as broken:
        broken.setattr(speech, "_PROGRAM", program)
        broken.setattr(speech, "BUDGET_SECONDS", 1.0)
        with pytest.raises(NotSpoken):
            voice.media("Hello.")
    assert seconds(file(tmp_path, voice.media("Good-bye."))) > 0


def test_a_renderer_that_is_left_alone_ends_by_itself() -> None:
    with subprocess.Popen([sys.executable, "-P", espeak.__file__], stdin=subprocess.PIPE) as left:
        assert left.wait(20) == -signal.SIGALRM  # nothing was said to it, nor the pipe closed


def test_a_renderer_ends_with_the_process_that_started_it() -> None:
    saying = "from telephony import speech; speech.BUDGET_SECONDS = 60; speech.render('漢' * 4000)"
    with subprocess.Popen([sys.executable, "-c", saying]) as switchboard:
        until(lambda: len(renderers(switchboard.pid)) == 1)
        (renderer,) = renderers(switchboard.pid)
        switchboard.kill()
    until(lambda: not Path(f"/proc/{renderer}").exists())


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
