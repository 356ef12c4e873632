"""The simulated network skips time, and waits at each step for those who listen."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

import pytest
import requests

from telephony.engines.facts import Kind
from telephony.simulator import advancing
from tests.telephony.engines.listening import Ears, SimulatedEngine, dial, until

TALKS_ON = "+15551230001"


def advance(engine: SimulatedEngine, seconds: object) -> int:
    address = f"http://127.0.0.1:{engine.port}/simulator/advance"
    return requests.post(address, json={"seconds": seconds}, timeout=30).status_code


def is_up(engine: SimulatedEngine, channel_id: str) -> bool:
    return {channel.id: channel.state for channel in engine.ari.channels()}.get(channel_id) == "Up"


def talked(engine: SimulatedEngine, channel_id: str) -> timedelta:
    (record,) = engine.records(id=channel_id)
    answered_at, ended_at = (datetime.fromisoformat(record[name]) for name in ("answered_at", "ended_at"))
    return ended_at - answered_at


@contextmanager
def ticking(engine: SimulatedEngine, work: Callable[[], None]) -> Iterator[None]:
    """Somebody listens, and asks for the time again and again, each time before its work."""
    over = threading.Event()

    def tick() -> None:
        while not over.wait(0.005):
            engine.ari.now()
            work()

    thread = threading.Thread(target=tick)
    with Ears(engine.ari):
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()


def test_the_engine_tells_its_time_which_moves(engine: SimulatedEngine) -> None:
    before = engine.ari.now()

    assert advance(engine, 3600) == 204

    assert timedelta(hours=1) <= engine.ari.now() - before < timedelta(hours=1, seconds=5)


def test_what_lies_on_the_way_happens_at_its_moment(engine: SimulatedEngine) -> None:
    with Ears(engine.ari) as ears:
        channel_id = dial(engine.ari, TALKS_ON)
        ears.wait_for(channel_id, Kind.ENTERED)
        engine.ari.set_timer(channel_id, seconds=1000)
    until(lambda: not engine.health()["listening"])

    assert advance(engine, 3600) == 204

    assert timedelta(seconds=999) < talked(engine, channel_id) < timedelta(seconds=1002)


def test_a_timer_that_is_moved_in_time_is_not_outrun(engine: SimulatedEngine, ears: Ears) -> None:
    channel_id = dial(engine.ari, TALKS_ON)
    ears.wait_for(channel_id, Kind.ENTERED)
    engine.ari.set_timer(channel_id, seconds=60)

    with ticking(engine, lambda: engine.ari.set_timer(channel_id, seconds=60)):
        assert advance(engine, 3000) == 204
        assert is_up(engine, channel_id)
    until(lambda: not engine.health()["listening"])
    assert advance(engine, 3000) == 204

    assert timedelta(seconds=3000) < talked(engine, channel_id) < timedelta(seconds=3065)


def test_says_so_when_those_who_listen_do_not_tick(
    engine: SimulatedEngine, ears: Ears, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(advancing, "_SILENCE_SECONDS", 0.2)

    assert advance(engine, 10) == 504


@pytest.mark.parametrize("seconds", [0, -1, 86_401, "soon", None, "nan"])
def test_refuses_what_is_no_length_of_time(engine: SimulatedEngine, seconds: object) -> None:
    assert advance(engine, seconds) == 400
