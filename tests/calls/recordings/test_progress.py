"""A recording from its start to its audio, whatever is told when, twice or not at all."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import IO

import pytest

from calls.models import Call, Recording
from calls.recordings import collecting, files, progress, recorder
from minivoice import clock
from telephony.engines.facts import ChannelGone, Direction, EngineUnreachable, Kind
from tests.calls import steps
from tests.calls.recordings.tape import Tape, channel_of, collect, events, tell
from tests.calls.recordings.test_wav import read
from tests.telephony.engines.phone import share
from webhooks.models import WebhookEvent

pytestmark = pytest.mark.usefixtures("audited")


@pytest.fixture
def recording(call: Call) -> Recording:
    """One that was just asked for."""
    return recorder.start(call=call, now=clock.now())


@pytest.fixture(autouse=True)
def ended(audited: None, call: Call) -> Iterator[None]:
    """The auditor sees the call ended."""
    yield
    call.refresh_from_db()
    if not call.is_final:
        steps.end(call, at=clock.now(), cause=16)


def run(engine: Tape, recording: Recording, *, seconds: float = 1.0) -> None:
    """The recording begins, and ends."""
    tell(recording, Kind.RECORDING_STARTED, at=clock.now())
    finish(engine, recording, seconds=seconds)


def finish(engine: Tape, recording: Recording, *, seconds: float = 1.0) -> None:
    for name in list(engine.live):
        engine.end(name, seconds=seconds)
    tell(recording, Kind.RECORDED, at=clock.now())


def test_each_direction_is_listened_to_and_recorded_by_a_channel_of_its_own(
    call: Call, engine: Tape, recording: Recording
) -> None:
    said, heard = f"rec_{call.public_id}-said", f"rec_{call.public_id}-heard"

    assert recording.public_id == f"rec_{call.public_id}"
    assert engine.listening == {
        said: (channel_of(call), Direction.IN),
        heard: (channel_of(call), Direction.OUT),
    }
    assert engine.live == [said, heard]


def test_is_told_started_once_both_tracks_are(call: Call, recording: Recording) -> None:
    tell(recording, Kind.RECORDING_STARTED, at=clock.now(), sides=("said",))
    assert events(call) == []

    tell(recording, Kind.RECORDING_STARTED, at=clock.now(), sides=("heard",))
    tell(recording, Kind.RECORDING_STARTED, at=clock.now())

    assert events(call) == ["recording.started"]


def test_the_audio_is_kept_as_it_was_heard_and_told_of(
    call: Call, engine: Tape, recording: Recording, folder: Path
) -> None:
    run(engine, recording, seconds=2.0)
    collect()

    recording.refresh_from_db()
    assert (recording.state, recording.duration_seconds, recording.due_at) == ("completed", 2, None)
    content = (folder / files.name(recording.public_id)).read_bytes()
    (left, right), seconds = read(content)
    assert recording.size_bytes == len(content)
    assert seconds == 2.25  # the second track began a quarter of a second later
    assert (share(left[:8000], 440) > 0.9, share(right[8000:], 880) > 0.9) == (True, True)
    assert events(call) == ["recording.started", "recording.completed"]
    told = WebhookEvent.objects.get(type="recording.completed").body
    assert f"/v1/recordings/{recording.public_id}/audio".encode() in bytes(told)
    assert engine.files == {}


def test_is_completed_after_the_final_event_when_it_ends_with_the_call(
    call: Call, engine: Tape, recording: Recording
) -> None:
    tell(recording, Kind.RECORDING_STARTED, at=clock.now())
    steps.end(call, at=clock.now(), cause=0)
    finish(engine, recording)
    collect()

    assert events(call) == ["recording.started", "recording.completed"]
    last = WebhookEvent.objects.filter(call_id=call.public_id).latest("sequence")
    assert (last.type, last.sequence) == ("recording.completed", call.events)


def test_what_went_unheard_is_found_when_the_call_has_ended(call: Call, engine: Tape, recording: Recording) -> None:
    steps.end(call, at=clock.now(), cause=0)
    for name in list(engine.live):
        engine.end(name)

    collecting.look(now=clock.now() + timedelta(seconds=6))
    collect()

    assert events(call) == ["recording.started", "recording.completed"]


def test_a_stop_is_enough_when_the_engine_is_not_heard(call: Call, engine: Tape, recording: Recording) -> None:
    recorder.stop(recording, now=clock.now())
    assert (engine.live, engine.listening) == ([], {})

    collect()

    assert events(call) == ["recording.started", "recording.completed"]


def test_a_second_recording_has_a_number_and_its_events_too(call: Call, engine: Tape, recording: Recording) -> None:
    run(engine, recording)
    second = recorder.start(call=call, now=clock.now())
    run(engine, second)
    collect()

    assert second.public_id == f"rec_{call.public_id}-2"
    assert events(call).count("recording.completed") == 2
    keys = [bytes(event.body).partition(b'"event_key":"')[2] for event in WebhookEvent.objects.order_by("sequence")]
    assert [key.partition(b'"')[0].rpartition(b".")[2] for key in keys if b"recording.completed" in key] == [
        b"completed",
        b"completed:2",
    ]


def test_one_of_a_call_runs_at_a_time(call: Call, engine: Tape, recording: Recording) -> None:
    assert recorder.start(call=call, now=clock.now()) == recording
    assert len(engine.live) == 2


def test_a_channel_that_enters_late_is_waited_for(call: Call, engine: Tape) -> None:
    engine.entering = 3

    recorder.start(call=call, now=clock.now())

    assert len(engine.live) == 2


def test_a_start_that_the_engine_refuses_is_told_and_leaves_nobody_listening(call: Call, engine: Tape) -> None:
    engine.fails_with["record_channel"] = EngineUnreachable("frozen")

    with pytest.raises(EngineUnreachable):
        recorder.start(call=call, now=clock.now())

    assert events(call) == ["recording.failed"]
    assert Recording.objects.get().state == "failed"
    collect()
    assert engine.listening == {}


def test_a_track_that_cannot_be_recorded_fails_the_recording(call: Call, engine: Tape, recording: Recording) -> None:
    tell(recording, Kind.RECORDING_STARTED, at=clock.now(), sides=("said",))
    tell(recording, Kind.RECORDING_FAILED, at=clock.now(), sides=("heard",))
    collect()

    assert events(call) == ["recording.failed"]
    assert (engine.live, engine.listening, engine.files) == ([], {}, {})


def test_what_begins_after_it_was_given_up_is_ended(call: Call, recording: Recording) -> None:
    progress.failed(recording.pk, why="nobody answered", now=clock.now())

    assert tell(recording, Kind.RECORDING_STARTED, at=clock.now()) == [True, True]
    assert tell(recording, Kind.RECORDED, at=clock.now()) == [False, False]


def test_what_begins_after_it_was_stopped_is_ended(call: Call, recording: Recording) -> None:
    progress.stopped(recording.pk, at=clock.now(), now=clock.now())

    assert tell(recording, Kind.RECORDING_STARTED, at=clock.now()) == [True, True]


def test_a_call_that_waits_for_its_legs_is_recorded_no_more(call: Call) -> None:
    Call.objects.filter(pk=call.pk).update(hung_up_at=clock.now())

    with pytest.raises(progress.NotUp):
        progress.prepare(call_id=call.pk, kind=Recording.Kind.CALL, now=clock.now())


def test_one_whose_process_died_before_the_engine_heard_is_begun_by_the_next(call: Call, engine: Tape) -> None:
    recording = progress.prepare(call_id=call.pk, kind=Recording.Kind.CALL, now=clock.now())

    collecting.look(now=clock.now() + timedelta(seconds=6))

    assert len(engine.live) == 2
    recording.refresh_from_db()
    assert recording.began_at is not None
    collecting.look(now=clock.now() + timedelta(seconds=12))
    assert events(call) == ["recording.started"]


def test_one_whose_process_died_before_the_engine_heard_goes_on_when_its_action_runs_again(
    call: Call, engine: Tape
) -> None:
    left = progress.prepare(call_id=call.pk, kind=Recording.Kind.CALL, now=clock.now())

    assert recorder.start(call=call, now=clock.now()) == left
    assert len(engine.live) == 2


def test_a_call_that_was_created_to_be_recorded_is_begun_by_who_takes_it_over(call: Call, engine: Tape) -> None:
    call.metadata = {"record": True}
    left = progress.prepare(call_id=call.pk, kind=Recording.Kind.CALL, now=clock.now())
    recorder.start_if_wanted(call=call, now=clock.now())
    assert len(engine.live) == 2

    progress.stopped(left.pk, at=clock.now(), now=clock.now())
    recorder.start_if_wanted(call=call, now=clock.now())
    assert call.recordings.count() == 1


def test_one_that_cannot_begin_is_given_up(call: Call, engine: Tape) -> None:
    progress.prepare(call_id=call.pk, kind=Recording.Kind.CALL, now=clock.now())
    engine.fails_with["snoop"] = ChannelGone("no such channel")

    collecting.look(now=clock.now() + timedelta(seconds=10))
    assert events(call) == []

    collecting.look(now=clock.now() + timedelta(seconds=40))
    assert events(call) == ["recording.failed"]


def test_an_engine_that_is_away_is_waited_for(call: Call, engine: Tape, recording: Recording) -> None:
    run(engine, recording)
    engine.fails_with["save"] = EngineUnreachable("away")
    for _ in range(3):
        collect()
        assert in_seconds(recording) > 4
    del engine.fails_with["save"]
    collect()

    assert events(call) == ["recording.started", "recording.completed"]


def in_seconds(recording: Recording) -> float:
    """When the next try is due."""
    recording.refresh_from_db()
    due_at = recording.due_at
    assert isinstance(due_at, datetime)
    return (due_at - clock.now()).total_seconds()


def test_tries_come_to_an_end(call: Call, engine: Tape, recording: Recording) -> None:
    run(engine, recording)
    engine.fails_with["save"] = EngineUnreachable("away")
    while Recording.objects.get().state == "started":
        collect()
        assert Recording.objects.get().attempts <= 9

    assert events(call) == ["recording.started", "recording.failed"]


def test_what_the_engine_does_not_have_is_given_up_soon(call: Call, engine: Tape, recording: Recording) -> None:
    run(engine, recording)
    engine.files.clear()
    for _ in range(4):
        collect()

    assert events(call) == ["recording.started", "recording.failed"]


def test_a_worker_that_died_after_it_kept_the_audio_is_followed_by_another(
    call: Call, engine: Tape, recording: Recording, folder: Path
) -> None:
    run(engine, recording)
    name = folder / files.name(recording.public_id)
    name.parent.mkdir(parents=True)
    name.write_bytes(b"half of it")

    collect()

    assert [file.name for file in folder.rglob("*.wav")] == [name.name]
    assert len(read(name.read_bytes())[0]) == 2


def test_two_workers_do_not_fetch_one_recording(
    call: Call, engine: Tape, recording: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(engine, recording)
    fetch, depth = collecting._collect, []

    def meanwhile(wanted: Recording) -> None:
        depth.append(wanted)
        Recording.objects.update(due_at=clock.now())
        assert another_worker() == 0
        fetch(wanted)

    monkeypatch.setattr(collecting, "_collect", meanwhile)
    collect()

    assert len(depth) == 1


def another_worker() -> int:
    """What a worker in another process, with a connection of its own, finds to do."""
    from concurrent.futures import ThreadPoolExecutor

    from django.db import connection

    def work() -> int:
        try:
            return collecting.drain()
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as threads:
        return threads.submit(work).result()


def test_one_deleted_while_it_runs_is_ended_and_erased(
    call: Call, engine: Tape, recording: Recording, folder: Path
) -> None:
    tell(recording, Kind.RECORDING_STARTED, at=clock.now())

    progress.deleted(recording.pk, now=clock.now())
    collect()

    assert (engine.live, engine.listening, engine.files) == ([], {}, {})
    assert events(call) == ["recording.started"]


def test_one_deleted_while_it_is_fetched_is_erased(
    call: Call, engine: Tape, recording: Recording, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(engine, recording)
    keep = files.save

    def meanwhile(public_id: str, content: IO[bytes], *, kept_in: str) -> None:
        progress.deleted(recording.pk, now=clock.now())
        keep(public_id, content, kept_in=kept_in)

    monkeypatch.setattr(files, "save", meanwhile)
    collect()
    collect()

    recording.refresh_from_db()
    assert (recording.state, recording.due_at) == ("deleted", None)
    assert list(folder.rglob("*.wav")) == []
    assert events(call) == ["recording.started"]


def test_a_call_asked_to_be_recorded_is_once_however_often_it_enters(call: Call, engine: Tape) -> None:
    call.metadata = {"record": True}

    recorder.start_if_wanted(call=call, now=clock.now())
    recorder.stop(Recording.objects.get(), now=clock.now())
    recorder.start_if_wanted(call=call, now=clock.now())

    assert Recording.objects.count() == 1


def test_other_calls_are_not_recorded(call: Call, engine: Tape) -> None:
    call.metadata = {"record": "true"}

    recorder.start_if_wanted(call=call, now=clock.now())

    assert engine.live == []


def test_a_call_that_cannot_be_recorded_goes_on(call: Call, engine: Tape) -> None:
    call.metadata = {"record": True}
    engine.fails_with["snoop"] = EngineUnreachable("frozen")

    recorder.start_if_wanted(call=call, now=clock.now())

    assert events(call) == ["recording.failed"]
