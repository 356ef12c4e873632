"""Customers' audio: fetched from real sockets, decoded by real processes, kept once."""

import asyncio
import json
import logging
import os
import random
import socket
import subprocess
import sys
import threading
import time
import wave
from array import array
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

import pytest
from pytest_django.fixtures import Settings

from minivoice.outbound import Client
from telephony import audio, decoder
from telephony.audio import Audio, Fetched, NotPlayable, decode
from telephony.cache import Cache
from tests.stillness import Stillness
from tests.telephony import tones
from tests.telephony.engines.phone import loudness, share
from tests.webhooks import hostile
from tests.webhooks.receiver import Received, Receiver, Reply, respond

URL = "http://127.0.0.1:8099"
ACME, GLOBEX = "1", "2"  # customers
SLACK_SECONDS = 2.0  # on a machine that does much else


@pytest.fixture
def decoded(tmp_path: Path) -> Callable[[bytes], "array[int]"]:
    """Decode what a file of these bytes holds."""

    def read(data: bytes) -> "array[int]":
        path = tmp_path / "sound"
        path.write_bytes(data)
        with path.open("rb") as file:
            return array("h", decode(file))

    return read


Decoded = Callable[[bytes], "array[int]"]


@pytest.fixture
def receiver(settings: Settings) -> Iterator[Receiver]:
    """A customer's server, which has a tone."""
    with Receiver(respond(200, tones.wav(440))) as serving:
        settings.OUTBOUND_ALLOWED = [serving.place]
        yield serving


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "speech", url=URL, kept_bytes=100_000_000)


def fetch(cache: Cache, *urls: str, at_once: bool = False) -> list[Fetched]:
    """Fetch these, one after the other or at once."""

    async def work() -> list[Fetched]:
        async with Client() as client:
            customers = Audio(cache, client)
            if at_once:
                return await asyncio.gather(*(customers.fetch(url, owner=ACME) for url in urls))
            return [await customers.fetch(url, owner=ACME) for url in urls]

    return asyncio.run(work())


@pytest.mark.parametrize(
    ("data", "hertz", "seconds"),
    [
        (tones.wav(440), 440, 1.0),
        (tones.wav(1000, rate=8000, channels=1), 1000, 1.0),
        (tones.wav(440, rate=11025, channels=1), 440, 1.0),
        (tones.wav(3000, rate=48000), 3000, 1.0),
        (tones.mp3(), tones.MP3_HERTZ, tones.MP3_SECONDS),
        (b"ID3\x04\x00\x00\x00\x00\x00\x0a" + bytes(10) + tones.mp3(), tones.MP3_HERTZ, tones.MP3_SECONDS),
    ],
    ids=["cd", "telephone", "11025", "48000", "mp3", "mp3 with a tag"],
)
def test_what_is_played_is_what_the_file_holds(decoded: Decoded, data: bytes, hertz: float, seconds: float) -> None:
    heard = decoded(data)
    assert len(heard) / decoder.RATE == pytest.approx(seconds, abs=0.1)
    assert share(heard, hertz) > 0.9
    assert 3500 < loudness(heard) < 6500


def test_the_companded_sound_of_telephones_is_read(decoded: Decoded) -> None:
    for mu_law, a_law in ((b"\xff" * 800 + b"\x80" * 800, b"\xd5" * 800 + b"\xaa" * 800),):
        for data, coding in ((mu_law, 7), (a_law, 6)):
            heard = decoded(tones.riff(data, bits=8, coding=coding))
            assert loudness(heard[:700]) < 100
            assert loudness(heard[900:]) > 30_000


def test_what_a_telephone_cannot_carry_is_not_heard_as_something_else(decoded: Decoded) -> None:
    assert loudness(decoded(tones.wav(7000))) < 0.25 * loudness(decoded(tones.wav(1000)))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<html>not found</html>",
        b"\0" * 100_000,
        b"fLaC" + bytes(1000),
        b"OggS" + bytes(1000),
        b"RIFF",
        b"ID3",
        b"\xff\xfb",
        tones.riff(b""),
        tones.riff(bytes(1000), rate=0),
        tones.riff(bytes(1000), channels=0),
        tones.riff(bytes(1000), bits=0),
        tones.riff(bytes(1000), coding=0x55),
        b"RIFF" + b"\xff" * 5000,
    ],
)
def test_what_is_no_sound_is_said_so(decoded: Decoded, data: bytes) -> None:
    with pytest.raises(NotPlayable, match=r"^not_audio$"):
        decoded(data)


@pytest.mark.parametrize("seed", range(6))
def test_a_broken_file_is_a_sound_or_a_word_and_no_more(decoded: Decoded, seed: int) -> None:
    chance = random.Random(seed)
    data = bytearray(tones.mp3() if seed % 2 else tones.wav(440, seconds=0.2))
    for _ in range(40):
        data[chance.randrange(4, 200 if seed % 3 else len(data))] = chance.randrange(256)
    try:
        outcome = len(decoded(bytes(data))) <= decoder.AUDIO_SECONDS * decoder.RATE
    except NotPlayable as error:
        outcome = str(error)
    assert outcome in {True, "not_audio", "audio_too_long", "not_decoded"}


@pytest.mark.parametrize(
    "data",
    [
        tones.riff(bytes(decoder.AUDIO_SECONDS * 1000 + 2000), rate=1000, bits=8),
        tones.riff(bytes(100_000), rate=1, bits=8),
        tones.mp3() * 450,
    ],
    ids=["a little more", "a day", "mp3"],
)
def test_more_than_ten_minutes_are_refused_not_cut(decoded: Decoded, data: bytes) -> None:
    with pytest.raises(NotPlayable, match=r"^audio_too_long$"):
        decoded(data)


@pytest.mark.parametrize(
    "end",
    ["os.kill(os.getpid(), 11)", "while True: pass", "x = bytes(1 << 30)", "raise SystemExit('\\n\\nunheard of')"],
)
def test_a_decoder_that_dies_hangs_or_takes_too_much_is_a_word(
    decoded: Decoded, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, end: str, caplog: pytest.LogCaptureFixture
) -> None:
    library = tmp_path / "miniaudio.py"
    library.write_text(f"import os\n{end}\n")
    program = tmp_path / "decoder.py"
    path = f"import sys\nsys.path.insert(0, {str(tmp_path)!r})\n"
    program.write_text(path + Path(decoder.__file__).read_text())
    monkeypatch.setattr(audio, "_PROGRAM", program)
    if "while" in end:  # the others need the time that they take to begin
        monkeypatch.setattr(audio, "_DECODING_SECONDS", 1.0)
    with caplog.at_level(logging.WARNING), pytest.raises(NotPlayable, match=r"^not_decoded$"):
        decoded(tones.wav(440))
    assert "while" in end or "a sound is not decoded: status" in caplog.text


def test_a_decoder_knows_no_secret_of_ours_and_ends_by_itself(tmp_path: Path) -> None:
    told = tmp_path / "environment"
    program = f"import os\nopen({str(told)!r}, 'w').write(repr(dict(os.environ)))"
    (tmp_path / "decoder.py").write_text(program)
    with pytest.MonkeyPatch.context() as patch, (tmp_path / "decoder.py").open("rb") as file:
        patch.setenv("SECRET_KEY", "canary")
        patch.setattr(audio, "_PROGRAM", tmp_path / "decoder.py")
        decode(file)
    assert "canary" not in told.read_text()
    with subprocess.Popen([sys.executable, "-I", decoder.__file__], stdin=subprocess.PIPE) as left:
        assert left.wait(20) == -14  # SIGALRM: nothing was said to it, nor the pipe closed


def test_audio_is_fetched_once_for_all_who_want_it_and_kept(receiver: Receiver, cache: Cache) -> None:
    first, *others = fetch(cache, *[receiver.url] * 8, at_once=True)
    assert first.failure == ""
    assert set(others) == {first}
    assert len(receiver.requests) == 1
    assert fetch(cache, receiver.url, receiver.url) == [first, first]
    assert len(receiver.requests) == 2  # another process, which knows no addresses
    with wave.open(str(cache.folder / first.media.rpartition("/")[2])) as sound:
        assert (sound.getframerate(), sound.getnchannels(), sound.getsampwidth()) == (8000, 1, 2)
        assert sound.getnframes() == pytest.approx(8000, abs=100)
    assert first.media.startswith(f"sound:{URL}/")


def test_the_same_sound_from_another_address_is_decoded_once(
    receiver: Receiver, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    [first] = fetch(cache, receiver.url)
    monkeypatch.setattr(audio, "decode", None)
    assert fetch(cache, f"{receiver.url}?again") == [first]


def test_an_address_is_asked_again_after_a_minute_and_when_its_sound_is_gone(
    receiver: Receiver, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work() -> list[Fetched]:
        async with Client() as client:
            customers = Audio(cache, client)
            found = [await customers.fetch(receiver.url, owner=ACME)]
            receiver.reply = respond(200, tones.mp3())
            found.append(await customers.fetch(receiver.url, owner=ACME))
            monkeypatch.setattr(audio, "KNOWN_SECONDS", 0.0)
            found.append(await customers.fetch(receiver.url, owner=ACME))
            monkeypatch.undo()
            for kept in cache.folder.iterdir():
                kept.unlink()
            return [*found, await customers.fetch(receiver.url, owner=ACME)]

    old, known, new, again = asyncio.run(work())
    assert old == known != new == again
    assert len(receiver.requests) == 3
    assert (cache.folder / again.media.rpartition("/")[2]).exists()


def test_what_one_customer_has_decoded_keeps_no_other_waiting(
    receiver: Receiver, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once the first who came had all decoders, however much it wanted."""
    decoding: list[str] = []
    is_crowded, is_enough = threading.Event(), threading.Event()

    def decode(file: BinaryIO) -> bytes:
        file.seek(0)
        who = file.read().decode().partition("-")[0]
        decoding.append(who)
        if len(decoding) == 2:
            is_crowded.set()
        assert who == GLOBEX or is_enough.wait(5)
        return b"\0\0"

    def answer(received: Received, connection: socket.socket) -> None:
        respond(200, received.path.rpartition("?")[2].encode())(received, connection)

    async def work() -> Fetched:
        async with Client() as client:
            customers = Audio(cache, client)
            many = [customers.fetch(f"{receiver.url}?{ACME}-{number}", owner=ACME) for number in range(12)]
            crowd = asyncio.gather(*many)
            assert await asyncio.to_thread(is_crowded.wait, 5)
            fetched = await customers.fetch(f"{receiver.url}?{GLOBEX}", owner=GLOBEX)
            is_enough.set()
            assert {each.failure for each in await crowd} == {""}
            return fetched

    receiver.reply = answer
    monkeypatch.setattr(audio, "decode", decode)
    assert asyncio.run(work()).failure == ""
    assert decoding[:3] == [ACME, ACME, GLOBEX]


def test_what_failed_is_not_tried_again_at_once_for_the_same_customer(
    receiver: Receiver, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once each of a hundred plays of one bad file had a decoder of its own."""
    receiver.reply = respond(200, b"<html>")

    async def work() -> list[Fetched]:
        async with Client() as client:
            customers = Audio(cache, client)
            found = [await customers.fetch(receiver.url, owner=ACME) for _ in range(3)]
            assert len(receiver.requests) == 1
            receiver.reply = respond(200, tones.wav(440))
            found.append(await customers.fetch(f"{receiver.url}?another", owner=ACME))
            monkeypatch.setattr(audio, "FAILED_SECONDS", 0.0)
            return [*found, await customers.fetch(receiver.url, owner=ACME)]

    *failed, another, mended = asyncio.run(work())
    assert set(failed) == {Fetched("", "not_audio")}
    assert another == mended
    assert mended.failure == ""


def test_no_more_addresses_are_remembered_than_fit(
    receiver: Receiver, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audio, "_KNOWN_ADDRESSES", 2)
    urls = [f"{receiver.url}?{number}" for number in range(3)]
    fetch(cache, *urls, urls[2], urls[1], urls[0])
    assert [request.path[-1] for request in receiver.requests] == ["0", "1", "2", "0"]


@pytest.mark.parametrize(
    ("reply", "failure"),
    [
        (respond(404), "http_404"),
        (respond(500), "http_500"),
        (respond(204, b""), "http_204"),
        (respond(301, Location="http://127.0.0.1:1/"), "http_301"),
        (respond(200, b"<html>"), "not_audio"),
        (respond(200, b""), "not_audio"),
        (respond(200, tones.riff(bytes(100_000), rate=1, bits=8)), "audio_too_long"),
        (respond(200, tones.riff(bytes(11 << 20))), "response_too_large"),
        (hostile.reset, "connect_failed"),
    ],
)
def test_what_cannot_be_played_is_a_word_and_nothing_is_kept(
    receiver: Receiver, cache: Cache, reply: Reply, failure: str
) -> None:
    receiver.reply = reply
    assert fetch(cache, receiver.url) == [Fetched("", failure)]
    assert not cache.folder.exists()


def test_a_disk_that_takes_no_more_is_a_word(receiver: Receiver, cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert fetch(cache, receiver.url) == [Fetched("", "not_kept")]
    assert list(cache.folder.iterdir()) == []


def test_decoding_waits_for_its_turn_no_longer_than_anybody_listens(
    receiver: Receiver, cache: Cache, monkeypatch: pytest.MonkeyPatch, stillness: Stillness
) -> None:
    monkeypatch.setattr(audio, "BUDGET_SECONDS", 0.5)
    is_enough = threading.Event()
    monkeypatch.setattr(audio, "decode", lambda _: b"\0\0" if is_enough.wait(20) else b"")

    async def work() -> Fetched:
        async with Client() as client:
            began = time.time()
            fetched = await Audio(cache, client).fetch(receiver.url, owner=ACME)
            ended = time.time()
            is_enough.set()
            assert ended - began - stillness.seconds(began, ended) < 1.4
            return fetched

    assert asyncio.run(work()) == Fetched("", "not_decoded")


FETCHER = """
import asyncio, json, pathlib, re, sys, time, django
django.setup()
from minivoice.outbound import Client
from telephony.audio import Audio
from telephony.cache import Cache

def most_bytes():
    status = pathlib.Path("/proc/self/status").read_text()
    return int(re.search("VmHWM:\\\\s*([0-9]+) kB", status).group(1)) * 1024

async def main(folder, urls):
    async with Client() as client:
        audio = Audio(Cache(pathlib.Path(folder), url="http://x", kept_bytes=1_000_000_000), client)
        await audio.fetch(urls[0], owner="warm up")  # what it takes to have fetched at all
        before, began = most_bytes(), time.monotonic()
        fetched = await asyncio.gather(*(audio.fetch(url, owner=url) for url in urls))
        print(json.dumps([[each.failure for each in fetched], time.monotonic() - began, most_bytes() - before]))

asyncio.run(main(*json.load(sys.stdin)))
"""
RECEIVERS: dict[str, tuple[Reply, str]] = {
    **{name: (reply, "read_timeout") for name, reply in hostile.SILENT.items()},
    **{name: (reply, "response_too_large") for name, reply in {**hostile.LONG, **hostile.NOISY}.items()},
    **{name: (reply, "connect_failed") for name, reply in hostile.BROKEN.items()},
}


def test_hostile_servers_end_in_time_each_with_its_word_and_memory_stays_flat(tmp_path: Path) -> None:
    with ExitStack() as serving:
        receivers = [serving.enter_context(Receiver(reply)) for reply, _ in RECEIVERS.values()]
        urls = [f"{receiver.url}?{number}" for number in range(3) for receiver in receivers]
        ran = subprocess.run(
            [sys.executable, "-c", FETCHER],
            input=json.dumps([str(tmp_path), [urls[-1], *urls]]),
            env={**os.environ, "OUTBOUND_ALLOWED": ",".join(receiver.place for receiver in receivers)},
            cwd=Path(__file__).parents[2],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
    [_, *failures], seconds, more_bytes = json.loads(ran.stdout)
    for name, failure in zip(list(RECEIVERS) * 3, failures, strict=True):
        assert failure in {RECEIVERS[name][1], "read_timeout"}, name  # 10 MiB may take too long
    assert seconds < 10 + SLACK_SECONDS
    assert more_bytes < 32 << 20  # fifteen of them send 10 MiB and more
    assert list(tmp_path.iterdir()) == []
