"""Who hears whom in a bridge, by tones. Runs unchanged on every engine."""

import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Protocol

import pytest

from telephony.engines.facts import Answer, Direction, Kind
from tests.telephony.engines.listening import CALLER, TRUNK, Ears, SimulatedEngine, until
from tests.telephony.engines.phone import Phone, share
from tests.telephony.engines.real import RealEngine

Engine = SimulatedEngine | RealEngine
TONES = (440, 880, 1320)  # what the three hum
NUMBER = "+15551230002"


class Ear(Protocol):
    """What a far end hears with."""

    def hears(self) -> set[int]:
        """Return the tones that it hears at the moment."""


class SimulatedEar:
    def __init__(self, engine: SimulatedEngine, channel_id: str, channels: dict[int, str]) -> None:
        self._engine, self._id, self._channels = engine, channel_id, channels

    def hears(self) -> set[int]:
        [record] = self._engine.records(id=self._id)
        return {tone for tone, channel_id in self._channels.items() if channel_id in record["hears"]}


class PhoneEar:
    def __init__(self, phone: Phone) -> None:
        self._phone = phone

    def hears(self) -> set[int]:
        self._phone.heard()
        time.sleep(0.2)  # listened
        heard = self._phone.heard()
        return {tone for tone in TONES if share(heard, tone) > 0.15}  # of three each would have a third


class Room:
    """Three calls that are up, each of whose far ends hums a tone of its own, and a bridge."""

    def __init__(self, engine: Engine, channels: dict[int, str], ears: dict[int, Ear]) -> None:
        self.bridges = engine.ari.bridges
        self.id = f"room-{uuid.uuid4()}"
        self.channels = channels
        self._ears = ears
        self.bridges.create(self.id)

    def add(self, *tones: int, is_mute: bool = False) -> None:
        for tone in tones:
            self.bridges.add(self.id, self.channels[tone], is_mute=is_mute)

    def until_heard(self, by: dict[int, set[int]]) -> None:
        """Return once each of these hears the tones given, and no other."""
        until(lambda: all(self._ears[tone].hears() == tones for tone, tones in by.items()))


@pytest.fixture(scope="module")
def engine(each_engine: Engine) -> Engine:
    """Each engine that must keep the contract."""
    return each_engine


@pytest.fixture
def room(engine: Engine, ears: Ears) -> Iterator[Room]:
    with ExitStack() as phones:
        channels = {tone: str(uuid.uuid4()) for tone in TONES}
        far_ends: dict[int, Ear] = {}
        for tone, channel_id in channels.items():
            endpoint = f"PJSIP/{NUMBER}@{TRUNK}"
            if isinstance(engine, SimulatedEngine):
                far_ends[tone] = SimulatedEar(engine, channel_id, channels)
            else:
                phone = phones.enter_context(Phone(hertz=tone))
                endpoint = f"PJSIP/{TRUNK}/{phone.uri}"
                far_ends[tone] = PhoneEar(phone)
            asked = engine.ari.originate(
                channel_id=channel_id,
                endpoint=endpoint,
                caller_id=CALLER,
                context="minivoice-out",
                variables={"TIMER_SECONDS": "0"},
                setup_seconds=10,
            )
            assert asked is Answer.TAKEN
            ears.wait_for(channel_id, Kind.ENTERED)
        room = Room(engine, channels, far_ends)
        yield room
        room.bridges.destroy(room.id)
        for channel_id in channels.values():
            engine.ari.hang_up(channel_id)
            ears.wait_for(channel_id, Kind.ENDED)


def test_one_alone_hears_nothing_and_two_hear_each_other(room: Room) -> None:
    room.add(440)
    room.until_heard({440: set()})

    room.add(880)
    room.until_heard({440: {880}, 880: {440}, 1320: set()})


def test_each_of_three_hears_the_two_others_until_they_leave(room: Room) -> None:
    room.add(*TONES)
    room.until_heard({440: {880, 1320}, 880: {440, 1320}, 1320: {440, 880}})

    room.bridges.remove(room.id, room.channels[440])
    room.until_heard({440: set(), 880: {1320}, 1320: {880}})


def test_who_comes_in_mute_hears_all_and_is_heard_by_none(room: Room) -> None:
    room.add(440, 880)
    room.add(1320, is_mute=True)
    room.until_heard({440: {880}, 880: {440}, 1320: {440, 880}})


def test_who_came_in_mute_is_heard_in_the_next_bridge(room: Room) -> None:
    room.add(440)
    room.add(880, is_mute=True)
    room.until_heard({440: set()})

    room.add(880)
    room.until_heard({440: {880}})


def test_a_direction_that_is_mute_is_so_in_a_bridge_too(engine: Engine, room: Room) -> None:
    room.add(440, 880)
    engine.ari.mute(room.channels[440], Direction.IN)
    room.until_heard({440: {880}, 880: set()})

    engine.ari.mute(room.channels[880], Direction.IN)
    engine.ari.unmute(room.channels[440], Direction.IN)
    room.until_heard({440: set(), 880: {440}})


def test_when_a_bridge_is_destroyed_nobody_hears_another(room: Room) -> None:
    room.add(*TONES)
    room.until_heard({440: {880, 1320}})

    room.bridges.destroy(room.id)
    room.until_heard({tone: set() for tone in TONES})
