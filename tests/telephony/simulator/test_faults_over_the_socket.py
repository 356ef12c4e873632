"""What the simulated network does wrong on request, to commands over the event socket."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from telephony.engines.facts import Answer, EngineUnreachable, Kind
from tests.stillness import Stillness
from tests.telephony.engines.listening import Ears, SimulatedEngine, order, until

NUMBER = "+15551230002"


@pytest.fixture
def ears(engine: SimulatedEngine, ears: Ears) -> Ears:
    """Ears whose socket carries commands."""
    until(lambda: engine.ari.is_over_socket)
    return ears


def test_refuses_an_originate(engine: SimulatedEngine, ears: Ears) -> None:
    engine.control("faults", {"originate": "refuse"})
    assert order(engine.ari, "refused", NUMBER) is Answer.REFUSED
    assert engine.records(id="refused") == []


def test_answers_an_originate_slowly_and_everything_else_meanwhile(
    engine: SimulatedEngine, ears: Ears, stillness: Stillness
) -> None:
    engine.control("faults", {"originate": "slow", "seconds": 1})
    with ThreadPoolExecutor() as pool:
        slow = pool.submit(order, engine.ari, "slow", NUMBER)
        while not slow.done():
            pinged_at = time.time()
            engine.ari.ping()
            answered_at = time.time()
            assert answered_at - pinged_at - stillness.seconds(pinged_at, answered_at) < 0.5
    assert slow.result() is Answer.TAKEN


def test_never_answers_an_originate(engine: SimulatedEngine, ears: Ears) -> None:
    engine.control("faults", {"originate": "hang"})
    started = time.monotonic()
    assert order(engine.ari, "hung", NUMBER) is Answer.UNCLEAR
    assert 2.5 < time.monotonic() - started < 4.5
    engine.ari.ping()
    assert ears.error is None


def test_takes_a_call_and_drops_the_socket(engine: SimulatedEngine, ears: Ears) -> None:
    engine.control("faults", {"originate": "drop_answer"})
    started = time.monotonic()
    assert order(engine.ari, "dropped", NUMBER) is Answer.UNCLEAR
    assert time.monotonic() - started < 1
    ears.wait(lambda: ears.error, what="end of the listening")
    assert isinstance(ears.error, EngineUnreachable)
    with Ears(engine.ari) as back:
        back.wait_for("dropped", Kind.ENTERED)
    assert [record["times_rung"] for record in engine.records(id="dropped")] == [1]
