"""What MiniVoice relies on when calls are joined. Runs unchanged on every engine."""

import time
import uuid
import wave
from collections.abc import Iterator
from contextlib import suppress
from io import BytesIO

import pytest

from telephony.engines.ari import Ari
from telephony.engines.facts import ChannelGone, CommandRefused, Fact, Kind, NameTaken
from tests.stillness import Stillness
from tests.telephony.engines.listening import Ears, SimulatedEngine, dial, until
from tests.telephony.engines.real import RealEngine

Engine = SimulatedEngine | RealEngine


@pytest.fixture(scope="module")
def engine(each_engine: Engine) -> Engine:
    """Each engine that must keep the contract."""
    return each_engine


@pytest.fixture
def pair(engine: Engine, ears: Ears) -> Iterator[tuple[str, str]]:
    """Two calls that are up."""
    pair = (answered(engine.ari, ears), answered(engine.ari, ears))
    yield pair
    for channel_id in pair:
        engine.ari.hang_up(channel_id)
        ears.wait_for(channel_id, Kind.ENDED)


@pytest.fixture
def bridge(engine: Engine) -> Iterator[str]:
    """A bridge that is empty."""
    bridge_id = f"bridge-{uuid.uuid4()}"
    engine.ari.bridges.create(bridge_id)
    yield bridge_id
    engine.ari.bridges.destroy(bridge_id)


def test_two_calls_are_joined_and_taken_apart(engine: Engine, ears: Ears, bridge: str, pair: tuple[str, str]) -> None:
    for channel_id in pair:
        engine.ari.bridges.add(bridge, channel_id)
        assert ears.wait_for(channel_id, Kind.JOINED).bridge_id == bridge
    assert sorted(engine.ari.bridges.members(bridge)) == sorted(engine.ari.bridges.all()[bridge]) == sorted(pair)
    assert engine.ari.bridges.remove(bridge, pair[0])
    assert ears.wait_for(pair[0], Kind.LEFT).bridge_id == bridge
    assert engine.ari.bridges.remove(bridge, pair[0]) is False
    assert engine.ari.bridges.members(bridge) == [pair[1]]
    engine.ari.play(pair[0], playback_id=str(uuid.uuid4()), media=["sound:beep"])
    ears.wait_for(pair[0], Kind.PLAYED)  # ours to command as before


def test_one_who_hangs_up_leaves_and_the_others_stay(
    engine: Engine, ears: Ears, bridge: str, pair: tuple[str, str]
) -> None:
    for channel_id in pair:
        engine.ari.bridges.add(bridge, channel_id)
        ears.wait_for(channel_id, Kind.JOINED)
    engine.ari.hang_up(pair[0])
    ears.wait_for(pair[0], Kind.ENDED)
    kinds = ears.kinds(pair[0])
    assert kinds.index(Kind.HANGUP_REQUESTED) < kinds.index(Kind.LEFT) < kinds.index(Kind.ENDED)
    assert engine.ari.bridges.members(bridge) == [pair[1]]
    assert pair[1] in {channel.id for channel in engine.ari.channels()}


def test_the_timer_ends_a_call_in_a_bridge(engine: Engine, ears: Ears, bridge: str, pair: tuple[str, str]) -> None:
    for channel_id in pair:
        engine.ari.bridges.add(bridge, channel_id)
        ears.wait_for(channel_id, Kind.JOINED)
    engine.ari.set_timer(pair[0], seconds=0.5)
    ended = ears.wait_for(pair[0], Kind.ENDED)
    assert ended.cause in (0, 16)
    assert Kind.HANGUP_REQUESTED not in ears.kinds(pair[0])
    assert engine.ari.bridges.members(bridge) == [pair[1]]


def test_a_bridge_destroyed_lets_its_calls_go_on(
    engine: Engine, ears: Ears, bridge: str, pair: tuple[str, str]
) -> None:
    for channel_id in pair:
        engine.ari.bridges.add(bridge, channel_id)
    assert engine.ari.bridges.destroy(bridge)
    for channel_id in pair:
        ears.wait_for(channel_id, Kind.LEFT)
    assert engine.ari.bridges.destroy(bridge) is False
    with pytest.raises(ChannelGone):
        engine.ari.bridges.members(bridge)
    states = {channel.id: (channel.state, channel.entered) for channel in engine.ari.channels()}
    assert [states[channel_id] for channel_id in pair] == [("Up", True)] * 2


def test_a_call_moves_from_one_bridge_to_another(
    engine: Engine, ears: Ears, bridge: str, pair: tuple[str, str]
) -> None:
    other = f"{bridge}-other"
    engine.ari.bridges.create(other)
    engine.ari.bridges.add(bridge, pair[0])
    engine.ari.bridges.add(other, pair[0])
    ears.wait_for(pair[0], Kind.JOINED, count=2)
    facts = [(fact.kind, fact.bridge_id) for fact in ears.of(pair[0]) if fact.bridge_id]
    assert facts == [(Kind.JOINED, bridge), (Kind.LEFT, bridge), (Kind.JOINED, other)]
    assert (engine.ari.bridges.members(bridge), engine.ari.bridges.members(other)) == ([], [pair[0]])
    engine.ari.bridges.destroy(other)


def test_a_call_that_plays_is_let_in_when_that_has_ended(
    engine: Engine, ears: Ears, bridge: str, pair: tuple[str, str]
) -> None:
    engine.ari.play(pair[0], playback_id=str(uuid.uuid4()), media=["sound:hello-world"])
    engine.ari.bridges.add(bridge, pair[0])
    ears.wait_for(pair[0], Kind.JOINED)
    assert ears.kinds(pair[0]).index(Kind.PLAYED) < ears.kinds(pair[0]).index(Kind.JOINED)


def test_a_call_whose_playbacks_are_stopped_is_let_in_at_once(
    engine: Engine, ears: Ears, bridge: str, pair: tuple[str, str], stillness: Stillness
) -> None:
    playbacks = [str(uuid.uuid4()), f"interjected-{pair[0]}"]  # the second waits for the first
    for playback_id in playbacks:
        engine.ari.play(pair[0], playback_id=playback_id, media=["sound:tt-monkeysintro"] * 5)
    for playback_id in playbacks:
        assert engine.ari.stop_playback(playback_id)
    began = time.time()
    engine.ari.bridges.add(bridge, pair[0])
    ears.wait_for(pair[0], Kind.JOINED)
    ended = time.time()
    assert ended - began - stillness.seconds(began, ended) < 0.5


def test_a_bridge_is_recorded_until_the_last_has_left(
    engine: Engine, ears: Ears, bridge: str, pair: tuple[str, str], stillness: Stillness
) -> None:
    for channel_id in pair:
        engine.ari.bridges.add(bridge, channel_id)
    engine.ari.recordings.record_bridge(bridge, name=bridge)
    started = ears.wait(lambda: about(ears, bridge, Kind.RECORDING_STARTED), what="start of the recording")
    with pytest.raises(NameTaken):
        engine.ari.recordings.record_bridge(bridge, name=bridge)
    time.sleep(0.5)  # recorded
    assert engine.ari.bridges.remove(bridge, pair[0])
    assert not about(ears, bridge, Kind.RECORDED)
    assert engine.ari.bridges.remove(bridge, pair[1])
    recorded = ears.wait(lambda: about(ears, bridge, Kind.RECORDED), what="end of the recording")
    assert isinstance(started, Fact)
    assert isinstance(recorded, Fact)
    file = BytesIO()
    engine.ari.recordings.save(bridge, file)
    file.seek(0)
    with wave.open(file) as sound:
        missing = abs(sound.getnframes() / 8000 - (recorded.at - started.at).total_seconds())
    assert missing - stillness.seconds(started.at, recorded.at) < 0.2
    assert engine.ari.recordings.delete(bridge)


def test_a_call_in_a_bridge_cannot_be_recorded_and_one_that_records_is_not_let_in(
    engine: Engine, ears: Ears, bridge: str, pair: tuple[str, str]
) -> None:
    joined, recording = pair
    engine.ari.bridges.add(bridge, joined)
    ears.wait_for(joined, Kind.JOINED)
    engine.ari.recordings.record_channel(joined, name=f"{bridge}-in")
    assert ears.wait_for(joined, Kind.RECORDING_FAILED).recording == f"{bridge}-in"
    engine.ari.recordings.record_channel(recording, name=f"{bridge}-out")
    ears.wait_for(recording, Kind.RECORDING_STARTED)
    with pytest.raises(CommandRefused):
        engine.ari.bridges.add(bridge, recording)


@pytest.mark.parametrize("has_begun", [True, False])
def test_one_whose_recording_was_told_to_stop_is_let_in_within_moments(
    engine: Engine, ears: Ears, bridge: str, pair: tuple[str, str], *, has_begun: bool
) -> None:
    """Asterisk refuses it until the recording has ended, which one that waits its turn does once it has begun."""
    channel, name = pair[0], f"{bridge}-stopped"

    def is_in() -> bool:
        with suppress(CommandRefused):
            engine.ari.bridges.add(bridge, channel)
        return channel in engine.ari.bridges.members(bridge)

    engine.ari.recordings.record_channel(channel, name=name)
    if has_begun:
        ears.wait_for(channel, Kind.RECORDING_STARTED)
    engine.ari.recordings.stop(name)
    if not has_begun:
        ears.wait_for(channel, Kind.RECORDING_STARTED)
        engine.ari.recordings.stop(name)
    until(is_in, seconds=2)
    ears.wait_for(channel, Kind.JOINED)


def test_what_is_not_there_is_not_let_in(engine: Engine, ears: Ears, bridge: str) -> None:
    ringing, nobody = dial(engine.ari, "+15551230480"), str(uuid.uuid4())
    ears.wait_for(ringing, Kind.RINGING)
    for channel_id in (ringing, nobody):
        with pytest.raises(ChannelGone):
            engine.ari.bridges.add(bridge, channel_id)
        assert engine.ari.bridges.remove(bridge, channel_id) is False
    engine.ari.hang_up(ringing)
    up = answered(engine.ari, ears)
    with pytest.raises(ChannelGone):
        engine.ari.bridges.add(f"{bridge}-none", up)
    with pytest.raises(ChannelGone):
        engine.ari.recordings.record_bridge(f"{bridge}-none", name=f"{bridge}-none")
    engine.ari.hang_up(up)
    ears.wait_for(up, Kind.ENDED)


def test_an_id_in_use_makes_no_second_bridge(engine: Engine, bridge: str) -> None:
    with pytest.raises(NameTaken):
        engine.ari.bridges.create(bridge)
    assert engine.ari.bridges.members(bridge) == []


def about(ears: Ears, bridge: str, kind: Kind) -> Fact | None:
    return next((fact for fact in ears.of("") if (fact.bridge_id, fact.kind) == (bridge, kind)), None)


def answered(ari: Ari, ears: Ears) -> str:
    channel_id = dial(ari, "+15551230002")
    ears.wait_for(channel_id, Kind.ENTERED)
    return channel_id
