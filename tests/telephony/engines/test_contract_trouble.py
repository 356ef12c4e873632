"""What MiniVoice relies on when something is away: everybody of ours, the engine, a carrier. Runs on every engine."""

import time

import pytest

from minivoice.local.network import SILENT_TRUNK
from telephony.engines.ari import Ari
from telephony.engines.facts import EngineUnreachable, Kind
from tests.telephony.engines.listening import Ears, SimulatedEngine, answers, dial, until
from tests.telephony.engines.real import RealEngine

Engine = SimulatedEngine | RealEngine
ANSWERS, RINGS = "+15551230002", "+15551230480"


@pytest.fixture(scope="module")
def engine(each_engine: Engine) -> Engine:
    """Each engine that must keep the contract."""
    return each_engine


def test_the_timer_fires_with_everybody_of_ours_dead(engine: Engine) -> None:
    ari = Ari(engine.url, "minivoice", "secret")
    with Ears(ari) as ears:
        timed, untimed = dial(ari, ANSWERS, timer_seconds=1), dial(ari, ANSWERS)
        ears.wait_for(timed, Kind.ENTERED)
        ears.wait_for(untimed, Kind.ENTERED)
    time.sleep(3)  # nobody of ours is connected; the first who asks finds that it has fired
    listed = {channel.id for channel in ari.channels()}
    assert (timed in listed, untimed in listed) == (False, True)
    ari.hang_up(untimed)


def test_an_engine_killed_with_calls_up_comes_back_empty_and_takes_calls(engine: Engine) -> None:
    with Ears(engine.ari) as before:
        up, ringing = dial(engine.ari, ANSWERS), dial(engine.ari, RINGS)
        before.wait_for(up, Kind.ENTERED)
        before.wait_for(ringing, Kind.RINGING)
        engine.ari.bridges.create("lost")
        engine.restart()
        before.wait(lambda: before.error, what="end of the listening")
        assert isinstance(before.error, EngineUnreachable)
        assert {Kind.ENDED} & {*before.kinds(up), *before.kinds(ringing)} == set()
    until(lambda: answers(engine.ari))
    assert {up, ringing} & {channel.id for channel in engine.ari.channels()} == set()
    with Ears(engine.ari) as after:
        engine.ari.bridges.create("lost")
        engine.ari.bridges.destroy("lost")
        again = dial(engine.ari, ANSWERS)
        after.wait_for(again, Kind.ENTERED)
        engine.ari.hang_up(again)
        after.wait_for(again, Kind.ENDED)
        assert after.of(up) == after.of(ringing) == []


def test_a_carrier_that_is_away_is_given_up_and_the_next_trunk_takes_the_call(engine: Engine, ears: Ears) -> None:
    dialled_at = time.monotonic()
    away = dial(engine.ari, ANSWERS, trunk=SILENT_TRUNK)
    given_up = ears.wait_for(away, Kind.ENDED, seconds=10)
    assert 6 < time.monotonic() - dialled_at < 7.5
    next_one = dial(engine.ari, ANSWERS)
    ears.wait_for(next_one, Kind.ENTERED)
    assert (given_up.sip_code, given_up.cause) == (408, 18)
    assert {Kind.RINGING, Kind.PROGRESS, Kind.ANSWERED} & set(ears.kinds(away)) == set()
    engine.ari.hang_up(next_one)
    ears.wait_for(next_one, Kind.ENDED)
