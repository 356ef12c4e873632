"""What Asterisk plays is fetched from us over HTTP, once, and really leaves it as sound."""

import asyncio
import math
import time
import uuid
import wave
from array import array
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web
from pytest_django.fixtures import Settings

from minivoice.local.kept import free_port
from minivoice.outbound import Client
from telephony import media
from telephony.audio import Audio, Fetched
from telephony.cache import Cache
from telephony.engines.ari import Ari
from telephony.engines.facts import Answer, Fact, Kind
from telephony.speech import Speech
from tests.telephony import tones
from tests.telephony.engines.listening import CALLER, TRUNK, Ears, until
from tests.telephony.engines.phone import RATE, Phone, loudness, share
from tests.telephony.engines.real import INSTALLATION, RealEngine
from tests.telephony.serving import running
from tests.webhooks.receiver import Receiver, respond

pytestmark = pytest.mark.skipif(INSTALLATION is None, reason="no Asterisk here: run 'make engine' as root")

PLAYBACK_ENDS = {Kind.PLAYED, Kind.PLAY_FAILED}
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
SILENCE = 100  # louder is a sound


class Served:
    """A folder that is served to the engine, and what was fetched of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.fetched: list[tuple[str, str]] = []
        self.wait_seconds = 0.0  # before an answer
        self._port = free_port()
        self.url = f"http://127.0.0.1:{self._port}"

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        site = media.application(self.folder)
        site.middlewares.append(self._note)
        runner = web.AppRunner(site, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", self._port).start()
        yield
        await runner.cleanup()

    @web.middleware
    async def _note(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        self.fetched.append((request.method, request.path))
        await asyncio.sleep(self.wait_seconds)
        return await handler(request)

    def tone(self, hertz: float, *, seconds: float) -> str:
        """Put a tone into the folder; return what the engine is to play."""
        name = uuid.uuid4().hex * 2 + ".wav"
        with wave.open(str(self.folder / name), "wb") as sound:
            sound.setnchannels(1)
            sound.setsampwidth(2)
            sound.setframerate(RATE)
            turns = (hertz * sample / RATE for sample in range(int(seconds * RATE)))
            sound.writeframes(array("h", (int(8000 * math.sin(2 * math.pi * turn)) for turn in turns)).tobytes())
        return f"sound:{self.url}/{name}"


@pytest.fixture(scope="module")
def engine() -> Iterator[RealEngine]:
    """An Asterisk of these tests' own."""
    real = RealEngine()
    yield real
    real.stop()


@pytest.fixture
def ears(engine: RealEngine) -> Iterator[Ears]:
    with Ears(engine.ari) as listening:
        yield listening


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    """A folder that is served."""
    folder = Served(tmp_path)
    with running(folder.serving):
        yield folder


class Conversation:
    """A call to a phone that answered."""

    def __init__(self, ari: Ari, ears: Ears, phone: Phone) -> None:
        self.channel_id = str(uuid.uuid4())
        self._ari, self._ears = ari, ears
        asked = ari.originate(
            channel_id=self.channel_id,
            endpoint=f"PJSIP/{TRUNK}/{phone.uri}",
            caller_id=CALLER,
            context="minivoice-out",
            variables={"TIMER_SECONDS": "0"},
            setup_seconds=10,
        )
        assert asked is Answer.TAKEN
        ears.wait_for(self.channel_id, Kind.ENTERED)

    def play(self, *media: str) -> tuple[Kind, float]:
        """Play to the end; return how it ended, and after how many seconds."""
        playback_id = str(uuid.uuid4())
        asked_at = time.monotonic()
        self._ari.play(self.channel_id, playback_id=playback_id, media=media)
        ended = self._ears.wait(lambda: self._end(playback_id), what=f"end of {media}", seconds=20)
        assert isinstance(ended, Fact)
        return ended.kind, time.monotonic() - asked_at

    def _end(self, playback_id: str) -> Fact | None:
        facts = self._ears.of(self.channel_id)
        return next((fact for fact in facts if fact.playback_id == playback_id and fact.kind in PLAYBACK_ENDS), None)


@pytest.fixture
def phone() -> Iterator[Phone]:
    with Phone() as answering:
        yield answering


@pytest.fixture
def call(engine: RealEngine, ears: Ears, phone: Phone) -> Iterator[Conversation]:
    """A call that is up."""
    conversation = Conversation(engine.ari, ears, phone)
    yield conversation
    engine.ari.hang_up(conversation.channel_id)
    ears.wait_for(conversation.channel_id, Kind.ENDED)


def test_what_is_served_is_what_the_callee_hears(call: Conversation, phone: Phone, served: Served) -> None:
    for hertz, other in ((440, 880), (880, 440)):
        phone.heard()
        ended, seconds = call.play(served.tone(hertz, seconds=1.0))
        heard = phone.heard()
        assert ended is Kind.PLAYED
        assert 0.9 < seconds < 2.5
        assert 0.9 * RATE < len(heard) < 1.5 * RATE
        assert share(heard, hertz) > 0.5
        assert share(heard, other) < 0.05


def test_said_text_is_fetched_once_heard_and_lasts_as_long_as_its_words(
    engine: RealEngine, call: Conversation, phone: Phone, served: Served
) -> None:
    pytest.importorskip("espeakng_loader")
    speech = Speech(Cache(served.folder, url=served.url, kept_bytes=10_000_000))
    for _ in range(2):
        phone.heard()
        saying = speech.media("Good morning, this is a test.", voice="en-us", owner="acme")
        ended, seconds = call.play(*asyncio.run(saying))
        [file] = served.folder.iterdir()
        with wave.open(str(file)) as sound:
            lasts = sound.getnframes() / RATE
        assert ended is Kind.PLAYED
        assert lasts - 0.1 < seconds < lasts + 1.5
        assert loudness(phone.heard()) > SILENCE
        assert served.fetched == [("GET", f"/{file.name}")]


@pytest.mark.parametrize(
    ("data", "hertz", "seconds"),
    [(tones.mp3(), tones.MP3_HERTZ, tones.MP3_SECONDS), (tones.wav(440, seconds=1.2), 440, 1.2)],
    ids=["mp3", "wav"],
)
def test_a_customers_sound_is_heard_as_it_is_and_as_often_as_it_is_to_be(
    call: Conversation, phone: Phone, served: Served, settings: Settings, data: bytes, hertz: float, seconds: float
) -> None:
    async def fetch(url: str) -> Fetched:
        async with Client() as client:
            return await Audio(Cache(served.folder, url=served.url, kept_bytes=10_000_000), client).fetch(
                url, owner="acme"
            )

    with Receiver(respond(200, data)) as customer:
        settings.OUTBOUND_ALLOWED = [customer.place]
        fetched = asyncio.run(fetch(customer.url))
    phone.heard()
    ended, lasted = call.play(*[fetched.media] * 2)
    heard = phone.heard()
    assert ended is Kind.PLAYED
    assert 2 * seconds - 0.2 < lasted < 2 * seconds + 1.5
    assert share(heard, hertz) > 0.5
    assert share(heard, 1320 - hertz) < 0.05  # the other one
    assert len(served.fetched) == 1


def test_many_calls_may_play_the_same_new_text_at_once(engine: RealEngine, ears: Ears, served: Served) -> None:
    sound = served.tone(440, seconds=0.3)
    served.wait_seconds = 1.5  # so that each asks before anyone has been answered
    with Phone() as phone:
        calls = [Conversation(engine.ari, ears, phone) for _ in range(8)]
        for call in calls:
            engine.ari.play(call.channel_id, playback_id=f"same-{call.channel_id}", media=[sound])
        for call in calls:
            ears.wait_for(call.channel_id, Kind.PLAYED)
            engine.ari.hang_up(call.channel_id)
    assert len(served.fetched) > 1


def test_what_is_not_there_fails_and_the_call_plays_on(call: Conversation, served: Served) -> None:
    ended, seconds = call.play(f"sound:{served.url}/{'0' * 64}.wav")
    assert (ended, seconds < 2) == (Kind.PLAY_FAILED, True)
    assert call.play(served.tone(440, seconds=0.2))[0] is Kind.PLAYED


def test_nobody_who_serves_is_a_play_that_fails_at_once(call: Conversation) -> None:
    ended, seconds = call.play(f"sound:http://127.0.0.1:{free_port()}/{'0' * 64}.wav")
    assert (ended, seconds < 2) == (Kind.PLAY_FAILED, True)


def test_a_server_that_hangs_holds_a_call_up_for_some_seconds_only(call: Conversation, served: Served) -> None:
    served.wait_seconds = 30
    ended, seconds = call.play(served.tone(440, seconds=0.2))
    assert ended is Kind.PLAY_FAILED
    assert 2.5 < seconds < 8


def test_a_server_that_hangs_holds_an_end_up_for_some_seconds_only(
    engine: RealEngine, ears: Ears, call: Conversation, served: Served
) -> None:
    served.wait_seconds = 30
    engine.ari.play(call.channel_id, playback_id="hangs", media=[served.tone(440, seconds=0.2)])
    until(lambda: served.fetched)
    asked_at = time.monotonic()
    assert engine.ari.hang_up(call.channel_id)
    ears.wait_for(call.channel_id, Kind.ENDED)
    assert time.monotonic() - asked_at < 8


def test_what_vanished_from_the_engines_cache_is_fetched_again(
    engine: RealEngine, call: Conversation, served: Served
) -> None:
    sound = served.tone(440, seconds=0.2)
    assert call.play(sound)[0] is Kind.PLAYED
    for kept in engine.network.asterisk.cache.iterdir():
        kept.unlink()
    assert call.play(sound)[0] is Kind.PLAYED
    assert len(served.fetched) == 2
