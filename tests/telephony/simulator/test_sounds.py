"""What the simulated network plays from an address: it fetches it, and plays it for as long as it lasts."""

import time
from contextlib import ExitStack

from telephony.engines.facts import Fact, Kind
from tests.telephony import tones
from tests.telephony.engines.listening import Ears, SimulatedEngine, dial
from tests.webhooks import hostile
from tests.webhooks.receiver import Receiver, respond

NUMBER = "+15551230002"
SOUND = tones.wav(440, seconds=0.6, rate=8000, channels=1)


def play(engine: SimulatedEngine, ears: Ears, *media: str) -> tuple[Kind, float]:
    """Play on a call that is up; return how that ended and after how many seconds."""
    channel_id = dial(engine.ari, NUMBER)
    ears.wait_for(channel_id, Kind.ENTERED)
    asked_at = time.monotonic()
    engine.ari.play(channel_id, playback_id="p1", media=media)
    ends = {Kind.PLAYED, Kind.PLAY_FAILED}
    ended = ears.wait(lambda: next((fact for fact in ears.of(channel_id) if fact.kind in ends), None), what="its end")
    assert isinstance(ended, Fact)
    return ended.kind, time.monotonic() - asked_at


def test_lasts_as_long_as_it_is(engine: SimulatedEngine, ears: Ears) -> None:
    with Receiver(respond(200, SOUND)) as server:
        ended, seconds = play(engine, ears, *[f"sound:{server.url}"] * 2)
    assert ended is Kind.PLAYED
    assert 1.2 < seconds < 2
    assert len(server.requests) == 1


def test_fails_when_it_cannot_be_had(engine: SimulatedEngine, ears: Ears) -> None:
    with ExitStack() as serving:
        for reply in (respond(404), respond(200, b"nonsense" * 100), hostile.reset, hostile.hang):
            server = serving.enter_context(Receiver(reply))
            ended, seconds = play(engine, ears, f"sound:{server.url}")
            assert (ended, seconds < 3) == (Kind.PLAY_FAILED, True)
