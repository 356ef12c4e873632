"""Text as sound, rendered once."""

import asyncio
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
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

pytest.importorskip("espeakng_loader")

from telephony import espeak, speech, voices
from telephony.cache import Cache
from telephony.speech import Speech
from tests.stillness import Stillness
from tests.telephony.engines.listening import until

BUDGET_SECONDS = speech.BUDGET_SECONDS
URL = "http://127.0.0.1:8099"
PLENTY = 100_000_000
SLOW = "漢" * 400  # minutes of "chinese letter"
AMY = """
import math, sys, wave
seconds = float(sys.argv[1]) * len(sys.stdin.read())
samples = (int(8000 * math.sin(place / 4)) for place in range(int(22050 * seconds)))
with wave.open(sys.stdout.buffer, "wb") as sound:
    sound.setparams((1, 2, 22050, int(22050 * seconds), "NONE", ""))
    sound.writeframesraw(b"".join(sample.to_bytes(2, "little", signed=True) for sample in samples))
"""
LONG = "The quick brown fox jumps over the lazy dog, and so on. " * 71  # 4,000 letters


class Voice:
    """Speech of a folder, in one voice, on a loop of all tests'."""

    loop: ClassVar[asyncio.AbstractEventLoop]

    def __init__(self, folder: Path, *, kept_bytes: int = PLENTY) -> None:
        self.cache = Cache(folder, url=URL, kept_bytes=kept_bytes)
        self._speech = Speech(self.cache)

    def say(self, text: str, *, voice: str = "en-us", owner: str = "acme") -> list[str]:
        """Return the sounds of a text."""
        saying = self._speech.media(text, voice=voice, owner=owner)
        return asyncio.run_coroutine_threadsafe(saying, self.loop).result(20)

    def media(self, text: str, *, voice: str = "en-us", owner: str = "acme") -> str:
        """Return the sound of a text that is short."""
        [media] = self.say(text, voice=voice, owner=owner)
        return media


@pytest.fixture(scope="module", autouse=True)
def loop() -> Iterator[None]:
    Voice.loop = asyncio.new_event_loop()
    thread = threading.Thread(target=Voice.loop.run_forever)
    thread.start()
    yield
    Voice.loop.call_soon_threadsafe(Voice.loop.stop)
    thread.join()
    Voice.loop.close()


@pytest.fixture(autouse=True)
def _no_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """A renderer begins late on a machine that does much else; tests of the budget set their own."""
    monkeypatch.setattr(speech, "BUDGET_SECONDS", 15.0)


@pytest.fixture
def voice(tmp_path: Path) -> Voice:
    return Voice(tmp_path)


def file(folder: Path, media: str) -> Path:
    """Return the file that stands for what an engine is told to play."""
    address, _, name = media.rpartition("/")
    assert address == f"sound:{URL}"
    return folder / name


def peak(path: Path) -> int:
    """Return the loudest sample."""
    with wave.open(str(path)) as sound:
        return max(array("h", sound.readframes(sound.getnframes())))


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


def test_text_becomes_a_wav_that_lasts_as_long_as_the_words(voice: Voice, tmp_path: Path) -> None:
    assert 0.3 < seconds(file(tmp_path, voice.media("Hello."))) < 1.5
    words = "Please press one for sales, or two for support, followed by the hash key."
    assert 2 < seconds(file(tmp_path, voice.media(words))) < 8


def test_speech_is_loud_enough_to_be_heard() -> None:
    samples = array("h", speech.render("Hello.", voice="en-us"))
    assert max(samples) > 5000
    assert min(samples) < -5000


def test_a_text_is_rendered_once_also_after_a_restart(
    voice: Voice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = voice.media("Hello.")
    monkeypatch.setattr(speech, "render", None)
    assert Voice(tmp_path).media("Hello.") == first
    assert [path.suffix for path in tmp_path.iterdir()] == [".wav"]


def test_a_text_that_many_calls_say_at_once_is_rendered_once(voice: Voice, monkeypatch: pytest.MonkeyPatch) -> None:
    rendered: list[str] = []
    render = speech.render
    together = threading.Barrier(8)

    def rendering(text: str, *, voice: str) -> bytes:
        rendered.append(text)
        return render(text, voice=voice)

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
    files = [file(tmp_path, Voice(tmp_path).media(text)) for text in ("one", "two")]
    for path, age in ((files[0], 900), (files[1], 1000), (stranger, 1100)):
        stood = path.stat().st_mtime - age
        os.utime(path, (stood, stood))
    room = files[0].stat().st_size * 5 // 2
    last = file(tmp_path, Voice(tmp_path, kept_bytes=room).media("three"))
    assert set(tmp_path.iterdir()) == {stranger, files[0], last}


def test_what_was_played_within_the_last_minutes_is_kept_though_it_is_more(tmp_path: Path) -> None:
    one = file(tmp_path, Voice(tmp_path).media("one"))
    voice = Voice(tmp_path, kept_bytes=one.stat().st_size * 7 // 4)
    two = file(tmp_path, voice.media("two"))
    assert set(tmp_path.iterdir()) == {one, two}


def test_what_is_in_use_leaves_room_for_no_more_than_twice_as_much(tmp_path: Path) -> None:
    """Once five minutes of new sounds could fill a disk."""
    one = file(tmp_path, Voice(tmp_path).media("one"))
    old = file(tmp_path, Voice(tmp_path).media("two"))
    stood = old.stat().st_mtime - 1000
    os.utime(old, (stood, stood))
    voice = Voice(tmp_path, kept_bytes=one.stat().st_size * 5 // 4)
    assert voice.say("three") == []
    assert set(tmp_path.iterdir()) == {one}
    assert voice.media("one")
    os.utime(one, (stood, stood))
    last = file(tmp_path, voice.media("three"))
    assert set(tmp_path.iterdir()) == {last}


def test_a_text_played_again_counts_as_used(tmp_path: Path) -> None:
    voice = Voice(tmp_path, kept_bytes=15_000)
    played = file(tmp_path, voice.media("one"))
    os.utime(played, (0, 0))
    voice.media("one")
    voice.media("two")
    assert played.exists()


@pytest.mark.parametrize("text", ["", " ", "«{$1,000}» \x07\r\n", "日本語 ٣ 😀", "<speak>&amp;</speak>"])
def test_any_text_is_a_sound(voice: Voice, tmp_path: Path, text: str) -> None:
    assert seconds(file(tmp_path, voice.media(text))) >= 0


@pytest.mark.parametrize("command", ["0A", "450S", "80P", "9R", "5Y", "3F", "1V", "20B", "1T"])
def test_a_text_with_commands_to_the_library_leaves_the_next_as_it_was(tmp_path: Path, command: str) -> None:
    before, after = (Voice(tmp_path / name) for name in ("before", "after"))
    untouched = file(tmp_path / "before", before.media("Your code is four two.")).read_bytes()
    after.media(f"\x01{command} Hello.")
    assert file(tmp_path / "after", after.media("Your code is four two.")).read_bytes() == untouched


def test_control_characters_are_blanks(voice: Voice) -> None:
    plain = voice.media("One 0A two.")
    for control in ("\x00", "\x01", "\n", "\x1b", "\x7f", "\x85", "\x9f"):
        assert voice.media(f"One{control}0A two.") == plain
    assert voice.media("One\xa00A two.") != plain


def test_what_earlier_renderings_kept_is_not_served(voice: Voice, tmp_path: Path) -> None:
    old = hashlib.sha256(b"en-us\nHello.").hexdigest()
    (tmp_path / f"{old}.wav").write_bytes(b"rendered wrong")
    assert old not in voice.media("Hello.")


@pytest.mark.parametrize("text", ["<prosody rate='fast'>hello</prosody>", "[[h@l'oU]]"])
def test_markup_and_phonemes_are_read_out(text: str) -> None:
    assert len(speech.render(text, voice="en-us")) > 1.5 * len(speech.render("hello", voice="en-us"))


def test_no_text_is_cut_short_what_would_take_too_long_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(espeak, "_AUDIO_SECONDS", 1)
    with pytest.raises(RuntimeError, match="takes more than 1 s"):
        espeak.render(b"This sentence takes more than a second.", b"en-us")


def test_a_long_text_is_heard_whole_and_its_first_words_at_once(voice: Voice, tmp_path: Path) -> None:
    sounds = [file(tmp_path, media) for media in voice.say(LONG[:4000])]
    assert len(sounds) > 5
    assert sounds[0].exists()
    until(lambda: all(sound.exists() for sound in sounds), seconds=20)
    assert 180 < sum(seconds(sound) for sound in sounds) < 300
    assert voice.say(LONG[:4000]) == [f"sound:{URL}/{sound.name}" for sound in sounds]


@pytest.mark.parametrize("text", [LONG, "漢字、仮名。" * 700, "a" * 4000, "1,2, " * 800, "", "Short."])
def test_pieces_are_the_text_and_end_where_a_voice_pauses(text: str) -> None:
    pieces = speech.pieces(text)
    assert "".join(pieces) == text
    assert max(map(len, pieces)) <= 400
    assert all(len(piece) > 100 for piece in pieces[:-1])
    if "." in text or "。" in text:
        assert {piece.rstrip()[-1] for piece in pieces[:-1]} <= {".", "。"}


def test_a_piece_that_cannot_be_rendered_stops_no_other(
    voice: Voice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    render = speech.render
    first, second, third = ("word " * 78 + end for end in ("first.", "second.", "third."))

    def rendering(text: str, *, voice: str) -> bytes:
        if "second" in text:
            raise RuntimeError("eSpeak NG: status -11")
        return render(text, voice=voice)

    monkeypatch.setattr(speech, "render", rendering)
    with caplog.at_level(logging.WARNING):
        sounds = [file(tmp_path, media) for media in voice.say(f"{first} {second} {third}")]
        until(sounds[-1].exists, seconds=10)
    assert [sound.exists() for sound in sounds] == [True, False, True]
    assert "status -11" in caplog.text


def test_voices_sound_different_and_are_kept_apart(voice: Voice, tmp_path: Path) -> None:
    spoken = {voice.media("Hundert Euro.", voice=name) for name in ("en-us", "de", "fr")}
    assert len({file(tmp_path, media).read_bytes() for media in spoken}) == 3


@pytest.fixture
def amy(tmp_path_factory: pytest.TempPathFactory, settings: Any) -> Path:
    """A voice by a program of the operator's: a tone at the rate of neural voices, the longer the longer the text."""
    program = tmp_path_factory.mktemp("voices") / "amy.py"
    program.write_text(AMY)
    wanted = {"amy": {"language": "en-US", "program": [sys.executable, str(program), "0.05"]}}
    settings.SPEECH_PROGRAMS = voices.of_programs(wanted)
    return program


def test_a_program_of_the_operators_is_a_voice_as_the_others(voice: Voice, amy: Path, tmp_path: Path) -> None:
    assert voices.choose(voice="", language="en-US") == "amy"
    assert voices.choose(voice="", language="en-GB") == "en"
    assert next(iter(voices.speaking("en"))).id == "amy"
    spoken = file(tmp_path, voice.media("Hello.", voice="amy"))
    assert seconds(spoken) == pytest.approx(6 * 0.05, abs=0.01)
    assert peak(spoken) == pytest.approx(8000, rel=0.2)


def test_another_program_speaks_anew(voice: Voice, amy: Path, settings: Any) -> None:
    before = voice.media("Hello.", voice="amy")
    slower = {"amy": {"language": "en-US", "program": [sys.executable, str(amy), "0.1"]}}
    settings.SPEECH_PROGRAMS = voices.of_programs(slower)
    assert voice.media("Hello.", voice="amy") != before


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("raise SystemExit('no model')", "no model"),
        ("print('not a sound')", "not_audio"),
        ("import os; assert not {'SECRET_KEY', 'DATABASE_URL'} & os.environ.keys(), 'secrets'; exit(7)", "status 7"),
    ],
)
def test_a_program_that_does_not_speak_is_told_in_the_log(
    voice: Voice, amy: Path, caplog: pytest.LogCaptureFixture, source: str, complaint: str
) -> None:
    amy.write_text(source)
    assert voice.say("Hello.", voice="amy") == []
    assert complaint in caplog.text


def test_a_text_beyond_the_budget_is_not_spoken_and_its_process_is_ended(
    voice: Voice, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, stillness: Stillness
) -> None:
    with monkeypatch.context() as hurry:
        hurry.setattr(speech, "BUDGET_SECONDS", 0.2)
        began = time.time()
        assert voice.say(SLOW) == []
        ended = time.time()
    assert ended - began - stillness.seconds(began, ended) < 2
    assert seconds(file(tmp_path, voice.media("Hello."))) > 0
    assert renderers(os.getpid()) == set()


def test_what_one_customer_says_keeps_no_other_waiting_not_even_for_the_same_words(
    voice: Voice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once the first who came had all renderers, however much it wanted."""
    is_crowded, is_enough = threading.Semaphore(0), threading.Event()

    def render(text: str, *, voice: str) -> bytes:
        if text != "the same":
            is_crowded.release()
            assert is_enough.wait(10)
        return b"\0\0"

    monkeypatch.setattr(speech, "render", render)
    crowd = [threading.Thread(target=voice.media, args=[text]) for text in ("one", "two", "the same")]
    for thread in crowd:
        thread.start()
        if thread is not crowd[-1]:
            assert is_crowded.acquire(timeout=5)

    assert voice.media("the same", owner="globex")

    assert not is_enough.is_set()
    is_enough.set()
    for thread in crowd:
        thread.join(10)


def test_a_kept_text_is_there_at_once_and_a_short_one_in_time_while_long_ones_are_rendered(
    voice: Voice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stillness: Stillness
) -> None:
    kept = voice.media("Hello.")
    for number in range(8):
        voice.say(LONG.replace("dog", str(number)))
    until(lambda: renderers(os.getpid()))
    began = time.time()
    assert voice.media("Hello.") == kept
    told = time.time()
    assert seconds(file(tmp_path, voice.media("Good-bye."))) > 0
    spoken = time.time()
    assert told - began - stillness.seconds(began, told) < 0.3
    assert spoken - began - stillness.seconds(began, spoken) < BUDGET_SECONDS


@pytest.mark.parametrize("end", ["os.kill(os.getpid(), 11)", "raise ImportError('no voice')", "while True: pass"])
def test_a_renderer_that_dies_or_hangs_is_not_heard_and_the_next_text_is_spoken(
    voice: Voice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    program = tmp_path / "broken.py"
    program.write_text(f"import os\n{end}\n")
    with monkeypatch.context() as broken:
        broken.setattr(speech, "_PROGRAM", program)
        broken.setattr(speech, "BUDGET_SECONDS", 1.0)
        assert voice.say("Hello.") == []
    assert seconds(file(tmp_path, voice.media("Good-bye."))) > 0


def test_a_renderer_knows_no_secret_of_ours(voice: Voice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once it had all of our environment."""
    told, program = tmp_path / "environment", tmp_path / "renderer.py"
    program.write_text(f"import os\nopen({str(told)!r}, 'w').write(repr(dict(os.environ)))")
    monkeypatch.setenv("SECRET_KEY", "canary")
    monkeypatch.setattr(speech, "_PROGRAM", program)

    voice.media("Hello.")

    assert "canary" not in told.read_text()


def test_a_renderer_that_is_left_alone_ends_by_itself() -> None:
    with subprocess.Popen([sys.executable, "-I", espeak.__file__], stdin=subprocess.PIPE) as left:
        assert left.wait(20) == -signal.SIGALRM  # nothing was said to it, nor the pipe closed


def test_a_renderer_ends_with_the_process_that_started_it() -> None:
    saying = "from telephony import speech; speech.BUDGET_SECONDS = 60; speech.render('漢' * 1500, voice='en-us')"
    with subprocess.Popen([sys.executable, "-c", saying]) as switchboard:
        until(lambda: len(renderers(switchboard.pid)) == 1)
        (renderer,) = renderers(switchboard.pid)
        switchboard.kill()
    until(lambda: not Path(f"/proc/{renderer}").exists())


def test_a_disk_that_takes_no_more_speaks_nothing_and_leaves_nothing_half_written(
    voice: Voice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(os, "fsync", full)
        with caplog.at_level(logging.WARNING):
            assert voice.say("Hello.") == []
    assert "No space left on device" in caplog.text
    assert "Hello" not in caplog.text
    assert list(tmp_path.iterdir()) == []
    assert seconds(file(tmp_path, voice.media("Hello."))) > 0


def test_a_folder_that_cannot_be_made_speaks_nothing(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    voice = Voice(tmp_path / "taken")
    assert voice.say("Hello.") == []
    assert speech.kept("Hello.", voice="en-us", cache=voice.cache) == []
