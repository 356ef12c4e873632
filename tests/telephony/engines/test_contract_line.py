"""What MiniVoice relies on of a line: music on hold, mute by direction, keys for the far end. Runs on every engine."""

import time
import uuid
from array import array
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

import pytest

from telephony.engines.facts import Answer, ChannelGone, Direction, Kind
from tests.telephony.engines.humming import HUM, HummingPhone
from tests.telephony.engines.listening import CALLER, TRUNK, Ears, SimulatedEngine, until
from tests.telephony.engines.phone import loudness, share
from tests.telephony.engines.real import RealEngine
from tests.telephony.engines.test_contract_recording import fetched

Engine = SimulatedEngine | RealEngine
SILENCE = 100  # louder is a sound
NUMBER = "+15551230002"


class FarEnd(Protocol):
    """Who was called: hums, and can be asked what it hears."""

    endpoint: str

    def hears(self, channel_id: str) -> bool:
        """Whether it hears anything at the moment."""

    def keys(self, channel_id: str) -> str:
        """Which keys were pressed for it."""


class Simulated:
    def __init__(self, engine: SimulatedEngine) -> None:
        self.endpoint = f"PJSIP/{NUMBER}@{TRUNK}"
        self._engine = engine

    def hears(self, channel_id: str) -> bool:
        [record] = self._engine.records(id=channel_id)
        return (record["has_music"] or record["has_ringing"]) and "out" not in record["muted"]

    def keys(self, channel_id: str) -> str:
        [record] = self._engine.records(id=channel_id)
        return str(record["keys_heard"])


class Humming:
    def __init__(self, phone: HummingPhone) -> None:
        self.endpoint = f"PJSIP/{TRUNK}/{phone.uri}"
        self.phone = phone

    def hears(self, _channel_id: str) -> bool:
        self.phone.heard()
        time.sleep(0.3)  # listened
        return loudness(self.phone.heard()) > SILENCE

    def keys(self, _channel_id: str) -> str:
        return self.phone.keys()


@contextmanager
def far_end(engine: Engine) -> Iterator[FarEnd]:
    if isinstance(engine, SimulatedEngine):
        yield Simulated(engine)
    else:
        with HummingPhone() as phone:
            yield Humming(phone)


class Line:
    """A call that is up, and its far end."""

    def __init__(self, engine: Engine, channel_id: str, far: FarEnd) -> None:
        self.ari, self.id, self.far = engine.ari, channel_id, far

    def hears(self) -> bool:
        return self.far.hears(self.id)

    def keys(self) -> str:
        return self.far.keys(self.id)


@pytest.fixture(scope="module")
def engine(each_engine: Engine) -> Engine:
    """Each engine that must keep the contract."""
    return each_engine


@pytest.fixture
def line(engine: Engine, ears: Ears) -> Iterator[Line]:
    channel_id = str(uuid.uuid4())
    with far_end(engine) as far:
        asked = engine.ari.originate(
            channel_id=channel_id,
            endpoint=far.endpoint,
            caller_id=CALLER,
            context="minivoice-out",
            variables={"TIMER_SECONDS": "0"},
            setup_seconds=10,
        )
        assert asked is Answer.TAKEN
        ears.wait_for(channel_id, Kind.ENTERED)
        yield Line(engine, channel_id, far)
        engine.ari.hang_up(channel_id)
        ears.wait_for(channel_id, Kind.ENDED)


def test_music_is_heard_until_it_is_stopped(line: Line) -> None:
    assert not line.hears()

    line.ari.start_music(line.id)
    until(line.hears)
    line.ari.start_music(line.id)  # as a flow does that begins again
    until(line.hears)

    line.ari.stop_music(line.id)
    until(lambda: not line.hears())
    line.ari.stop_music(line.id)


def test_what_plays_ends_the_music_which_must_be_started_again(line: Line, ears: Ears) -> None:
    line.ari.start_music(line.id)
    until(line.hears)

    line.ari.play(line.id, playback_id=str(uuid.uuid4()), media=["sound:beep"])
    ears.wait_for(line.id, Kind.PLAYED)
    until(lambda: not line.hears())

    line.ari.start_music(line.id)
    until(line.hears)


def test_who_is_up_hears_a_ringing_tone_until_it_is_stopped_which_stops_music_too(line: Line) -> None:
    line.ari.ring(line.id)
    until(line.hears)
    line.ari.stop_ringing(line.id)  # while the tone is on: it pauses for four seconds after two
    until(lambda: not line.hears(), seconds=1)

    line.ari.start_music(line.id)
    until(line.hears)
    line.ari.stop_ringing(line.id)
    until(lambda: not line.hears())


def test_what_plays_ends_the_ringing_tone_which_must_be_asked_for_again(line: Line, ears: Ears) -> None:
    line.ari.ring(line.id)
    until(line.hears)

    line.ari.play(line.id, playback_id=str(uuid.uuid4()), media=["sound:beep"])
    ears.wait_for(line.id, Kind.PLAYED)
    until(lambda: not line.hears())
    assert not any(line.hears() for _ in range(8))  # at an engine that takes longer than the tone pauses

    line.ari.ring(line.id)
    until(line.hears, seconds=1)


def test_what_we_send_is_muted_and_heard_again(line: Line) -> None:
    line.ari.start_music(line.id)
    until(line.hears)

    line.ari.mute(line.id, Direction.OUT)
    until(lambda: not line.hears())

    line.ari.unmute(line.id, Direction.OUT)
    until(line.hears)


@pytest.mark.parametrize(
    ("direction", "is_heard"), [(Direction.IN, False), (Direction.BOTH, False), (Direction.OUT, True)]
)
def test_what_the_far_end_sends_is_muted(line: Line, ears: Ears, direction: Direction, is_heard: bool) -> None:
    line.ari.mute(line.id, direction)
    assert (share(recorded(line, ears, count=1), HUM) > 0.5) is is_heard

    line.ari.unmute(line.id, direction)
    assert share(recorded(line, ears, count=2), HUM) > 0.5


def recorded(line: Line, ears: Ears, *, count: int) -> "array[int]":
    """Record a second of what the far end says."""
    name = f"rec-{uuid.uuid4()}"
    line.ari.recordings.record_channel(line.id, name=name)
    ears.wait_for(line.id, Kind.RECORDING_STARTED, count=count)
    time.sleep(1.0)  # recorded
    line.ari.recordings.stop(name)
    ears.wait_for(line.id, Kind.RECORDED, count=count)
    samples, _ = fetched(line.ari, name)
    return samples


def test_a_direction_is_muted_beside_the_other(line: Line) -> None:
    line.ari.start_music(line.id)
    line.ari.mute(line.id, Direction.OUT)
    line.ari.mute(line.id, Direction.IN)
    line.ari.unmute(line.id, Direction.IN)
    until(lambda: not line.hears())

    line.ari.unmute(line.id, Direction.BOTH)
    until(line.hears)


def test_keys_arrive_at_the_far_end_in_their_order(line: Line) -> None:
    line.ari.press(line.id, "15*")
    line.ari.press(line.id, "#0D")

    until(lambda: line.keys() == "15*#0D")


def test_an_ended_call_takes_none_of_it(engine: Engine) -> None:
    gone, ari = str(uuid.uuid4()), engine.ari
    commands: list[Callable[[], None]] = [
        lambda: ari.ring(gone),
        lambda: ari.stop_ringing(gone),
        lambda: ari.start_music(gone),
        lambda: ari.stop_music(gone),
        lambda: ari.mute(gone, Direction.OUT),
        lambda: ari.unmute(gone, Direction.OUT),
        lambda: ari.press(gone, "1"),
    ]
    for command in commands:
        with pytest.raises(ChannelGone):
            command()


@pytest.mark.usefixtures("asterisk")
def test_a_far_end_that_holds_and_resumes_a_call_is_heard_of(line: Line, ears: Ears) -> None:
    assert isinstance(line.far, Humming)

    line.far.phone.hold()
    ears.wait_for(line.id, Kind.HELD)

    line.far.phone.resume()
    ears.wait_for(line.id, Kind.RESUMED)
