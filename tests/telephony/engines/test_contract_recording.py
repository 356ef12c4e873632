"""What MiniVoice relies on when it records. Runs unchanged on every engine."""

import io
import time
import uuid
import wave
from array import array
from collections.abc import Iterator
from datetime import datetime

import pytest

from calls.recordings import wav
from telephony.engines.ari import Ari
from telephony.engines.facts import Answer, ChannelGone, CommandRefused, Direction, EndsOn, Kind, NameTaken
from tests.stillness import Stillness
from tests.telephony.engines.humming import HUM
from tests.telephony.engines.listening import CALLER, Ears, SimulatedEngine, dial
from tests.telephony.engines.phone import share
from tests.telephony.engines.real import RealEngine

Engine = SimulatedEngine | RealEngine


@pytest.fixture(scope="module")
def engine(each_engine: Engine) -> Engine:
    """Each engine that must keep the contract."""
    return each_engine


@pytest.fixture
def call(engine: Engine, ears: Ears) -> Iterator[str]:
    """A call that is up; its far end hums."""
    channel_id = str(uuid.uuid4())
    with engine.humming() as endpoint:
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
        yield channel_id
        engine.ari.hang_up(channel_id)
        ears.wait_for(channel_id, Kind.ENDED)


@pytest.fixture
def name() -> str:
    """A name that no recording has."""
    return f"rec-{uuid.uuid4()}"


def test_a_recording_comes_back_as_a_wav_of_what_the_far_end_said(
    engine: Engine, ears: Ears, call: str, name: str, stillness: Stillness
) -> None:
    engine.ari.recordings.record_channel(call, name=name)
    started = ears.wait_for(call, Kind.RECORDING_STARTED)
    time.sleep(1.2)  # recorded
    assert engine.ari.recordings.stop(name)
    recorded = ears.wait_for(call, Kind.RECORDED)
    lasted = (recorded.at - started.at).total_seconds()
    assert (started.recording, recorded.recording) == (name, name)
    assert recorded.duration_seconds == int(lasted) >= 1
    samples, seconds = fetched(engine.ari, name)
    assert abs(seconds - lasted) - stillness.seconds(started.at, recorded.at) < 0.2
    assert share(samples, HUM) > 0.5
    assert engine.ari.recordings.stop(name) is False


def test_a_name_is_used_once_until_its_recording_is_deleted(engine: Engine, ears: Ears, call: str, name: str) -> None:
    engine.ari.recordings.record_channel(call, name=name)
    ears.wait_for(call, Kind.RECORDING_STARTED)
    with pytest.raises(NameTaken):
        engine.ari.recordings.record_channel(call, name=name)
    engine.ari.recordings.stop(name)
    ears.wait_for(call, Kind.RECORDED)
    with pytest.raises(NameTaken):
        engine.ari.recordings.record_channel(call, name=name)
    assert engine.ari.recordings.delete(name)
    assert engine.ari.recordings.delete(name) is False
    with pytest.raises(ChannelGone):
        engine.ari.recordings.save(name, io.BytesIO())
    engine.ari.recordings.record_channel(call, name=name)
    ears.wait_for(call, Kind.RECORDING_STARTED, count=2)


def test_a_recording_ends_by_itself_after_the_seconds_given(engine: Engine, ears: Ears, call: str, name: str) -> None:
    engine.ari.recordings.record_channel(call, name=name, max_seconds=1, beep=True)
    started, recorded = (ears.wait_for(call, kind) for kind in (Kind.RECORDING_STARTED, Kind.RECORDED))
    assert 0.9 < (recorded.at - started.at).total_seconds() < 3
    assert 0.9 < fetched(engine.ari, name)[1] < 2.5  # Asterisk counts whole seconds


def test_a_recording_ends_on_the_key_given(engine: Engine, ears: Ears, name: str) -> None:
    channel_id = dial(engine.ari, "+15551230742")
    ears.wait_for(channel_id, Kind.ENTERED)
    engine.ari.play(channel_id, playback_id=str(uuid.uuid4()), media=["sound:beep"])
    engine.ari.recordings.record_channel(channel_id, name=name, ends_on=EndsOn.HASH)
    ears.wait_for(channel_id, Kind.RECORDED)
    kinds = ears.kinds(channel_id)
    assert kinds.index(Kind.PLAYED) < kinds.index(Kind.RECORDING_STARTED) < kinds.index(Kind.DIGIT)
    assert [fact.digit for fact in ears.of(channel_id)[: kinds.index(Kind.RECORDED)] if fact.digit][-1] == "#"
    engine.ari.hang_up(channel_id)


def test_a_recording_keeps_a_playback_waiting(engine: Engine, ears: Ears, call: str, name: str) -> None:
    engine.ari.recordings.record_channel(call, name=name)
    ears.wait_for(call, Kind.RECORDING_STARTED)
    engine.ari.play(call, playback_id=str(uuid.uuid4()), media=["sound:beep"])
    time.sleep(1)  # recorded
    assert Kind.PLAYED not in ears.kinds(call)
    engine.ari.recordings.stop(name)
    ears.wait_for(call, Kind.PLAYED)
    assert ears.kinds(call).index(Kind.RECORDED) < ears.kinds(call).index(Kind.PLAYED)


def test_a_recording_that_waits_takes_a_stop_and_records_all_the_same(
    engine: Engine, ears: Ears, call: str, name: str
) -> None:
    waiting = f"{name}-waiting"
    engine.ari.recordings.record_channel(call, name=name)
    ears.wait_for(call, Kind.RECORDING_STARTED)
    engine.ari.recordings.record_channel(call, name=waiting)
    assert engine.ari.recordings.stop(waiting)
    engine.ari.recordings.stop(name)
    assert ears.wait_for(call, Kind.RECORDING_STARTED, count=2).recording == waiting
    assert engine.ari.recordings.stop(waiting)
    ears.wait_for(call, Kind.RECORDED, count=2)


def test_a_recording_ends_with_its_channel_and_is_kept(
    engine: Engine, ears: Ears, call: str, name: str, stillness: Stillness
) -> None:
    engine.ari.recordings.record_channel(call, name=name)
    started = ears.wait_for(call, Kind.RECORDING_STARTED)
    time.sleep(0.5)  # recorded
    engine.ari.hang_up(call)
    ended = ears.wait_for(call, Kind.ENDED)
    assert ears.wait_for(call, Kind.RECORDED).recording == name
    missing = abs(fetched(engine.ari, name)[1] - (ended.at - started.at).total_seconds())
    assert missing - stillness.seconds(started.at, ended.at) < 0.3


def test_what_is_said_and_what_is_heard_are_recorded_apart(
    engine: Engine, ears: Ears, call: str, name: str, stillness: Stillness
) -> None:
    files = {direction: f"{name}-{direction.value}" for direction in (Direction.IN, Direction.OUT)}
    for direction, file in files.items():
        listen_in(engine, ears, call, snoop_id=file, direction=direction)
        engine.ari.recordings.record_channel(file, name=file)
    started = {file: ears.wait_for(file, Kind.RECORDING_STARTED).at for file in files.values()}
    engine.ari.play(call, playback_id=str(uuid.uuid4()), media=["sound:hello-world"])
    ears.wait_for(call, Kind.PLAYED)  # a snoop's recording keeps nothing of the call waiting
    engine.ari.hang_up(call)
    ended = ears.wait_for(call, Kind.ENDED).at
    for file in files.values():
        ears.wait_for(file, Kind.ENDED)
        ears.wait_for(file, Kind.RECORDED)
    assert set(files.values()) <= set(engine.ari.recordings.stored())
    (left, right), seconds = joined(engine.ari, started)
    assert (share(left, HUM) > 0.5, share(right, HUM) < 0.05, max(right) > 1000) == (True, True, True)
    first = min(started.values())
    assert abs(seconds - (ended - first).total_seconds()) - stillness.seconds(first, ended) < 0.3
    assert not set(files.values()) & set(engine.ari.recordings.stored())


def test_one_who_listens_in_is_listed_and_is_not_missed(engine: Engine, ears: Ears, call: str, name: str) -> None:
    listen_in(engine, ears, call, snoop_id=name, direction=Direction.BOTH)
    listed = {channel.id: channel for channel in engine.ari.channels()}
    assert (listed[name].state, listed[name].entered, listed[name].answered_at) == ("Up", True, None)
    with pytest.raises(CommandRefused):
        engine.ari.snoop(call, snoop_id=name, direction=Direction.IN)
    assert engine.ari.hang_up(name)
    ears.wait_for(name, Kind.ENDED)
    assert call in {channel.id for channel in engine.ari.channels()}


def test_what_is_not_there_cannot_be_recorded_or_listened_to(engine: Engine, ears: Ears, name: str) -> None:
    ringing, nobody = dial(engine.ari, "+15551230480"), str(uuid.uuid4())
    ears.wait_for(ringing, Kind.RINGING)
    for channel_id in (ringing, nobody):
        with pytest.raises(ChannelGone):
            engine.ari.recordings.record_channel(channel_id, name=name)
    with pytest.raises(ChannelGone):
        engine.ari.snoop(nobody, snoop_id=name, direction=Direction.IN)
    with pytest.raises(ChannelGone):
        engine.ari.recordings.save(name, io.BytesIO())
    assert engine.ari.recordings.stop(name) is False
    engine.ari.hang_up(ringing)
    ears.wait_for(ringing, Kind.ENDED)


def listen_in(engine: Engine, ears: Ears, call: str, *, snoop_id: str, direction: Direction) -> None:
    engine.ari.snoop(call, snoop_id=snoop_id, direction=direction)
    ears.wait_for(snoop_id, Kind.ENTERED)


def joined(ari: Ari, started: dict[str, datetime]) -> tuple[list["array[int]"], float]:
    """Return the channels of the file that tracks make, each from the moment it started, and its seconds."""
    tracks, file = [io.BytesIO() for _ in started], io.BytesIO()
    for name, track in zip(started, tracks, strict=True):
        ari.recordings.save(name, track)
        assert ari.recordings.delete(name)
    first = min(started.values())
    sound = wav.join(list(tracks), file, delays_seconds=[(at - first).total_seconds() for at in started.values()])
    file.seek(0)
    with wave.open(file) as whole:
        samples = array("h", whole.readframes(whole.getnframes()))
    return [samples[channel::2] for channel in range(2)], sound.seconds


def fetched(ari: Ari, name: str) -> tuple["array[int]", float]:
    """Return a recording's samples, and its seconds; it is deleted."""
    file = io.BytesIO()
    size_bytes = ari.recordings.save(name, file)
    assert size_bytes == len(file.getvalue())
    file.seek(0)
    with wave.open(file) as sound:
        assert (sound.getnchannels(), sound.getsampwidth(), sound.getframerate()) == (1, 2, 8000)
        samples = array("h", sound.readframes(sound.getnframes()))
    assert ari.recordings.delete(name)
    return samples, len(samples) / 8000
