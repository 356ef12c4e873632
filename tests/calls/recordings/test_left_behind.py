"""Audio goes when it is older than it is kept, and what a dead process left behind is found."""

import io
from datetime import timedelta
from pathlib import Path

import pytest

from applications.models import Customer
from calls import audit
from calls.models import Call, Recording
from calls.recordings import collecting, files, orphans, progress, recorder, retention
from minivoice import clock
from telephony.engines.facts import EngineUnreachable
from tests.calls import steps
from tests.calls.recordings.tape import Tape, collect, events, kept, shown

pytestmark = pytest.mark.django_db


def audio(folder: Path) -> set[str]:
    """Whose audio is kept."""
    return {file.stem for file in folder.rglob("*.wav")}


@pytest.mark.parametrize(("own_days", "kept_days"), [(None, 30), (7, 7), (90, 90)])
def test_audio_is_kept_as_long_as_the_customer_has_it_or_everybody(
    call: Call, folder: Path, own_days: int | None, kept_days: int
) -> None:
    Customer.objects.update(recording_days=own_days)
    recording, now = kept(call), clock.now()

    assert retention.expire(now=now + timedelta(days=kept_days, minutes=-1)) == 0
    assert retention.expire(now=now + timedelta(days=kept_days, minutes=1)) == 1
    assert retention.expire(now=now + timedelta(days=kept_days, minutes=1)) == 0
    Recording.objects.update(due_at=clock.now())  # by the clock that workers read
    collecting.drain()

    recording.refresh_from_db()
    assert (recording.state, recording.due_at) == ("deleted", None)
    assert audio(folder) == set()


def test_no_more_than_a_batch_goes_at_once(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(3):
        shown(call)
    monkeypatch.setattr(retention, "_BATCH", 2)
    later = clock.now() + timedelta(days=31)

    assert [retention.expire(now=later) for _ in range(3)] == [2, 1, 0]


def test_one_that_runs_is_not_too_old(call: Call) -> None:
    recorder.start(call=call, now=clock.now())

    assert retention.expire(now=clock.now() + timedelta(days=400)) == 0


def test_audio_that_no_recording_shows_is_erased(call: Call, folder: Path) -> None:
    seen, gone = shown(call), f"rec_{call.public_id}-99"
    files.save(gone, io.BytesIO(b"RIFF"), kept_in=files.LOCAL)
    failed = shown(call)
    Recording.objects.filter(pk=failed.pk).update(state="failed")

    assert orphans.tidy(now=clock.now()) == 2

    assert audio(folder) == {seen.public_id}
    assert orphans.tidy(now=clock.now()) == 0


def test_audio_that_is_being_kept_at_this_moment_stays(call: Call, folder: Path) -> None:
    recording = recorder.start(call=call, now=clock.now())
    files.save(recording.public_id, io.BytesIO(b"RIFF"), kept_in=files.LOCAL)

    assert orphans.tidy(now=clock.now() + timedelta(hours=1)) == 0
    assert audio(folder) == {recording.public_id}


def test_the_engine_keeps_nothing_that_is_fetched_deleted_or_nobodys(call: Call, engine: Tape) -> None:
    done, runs = shown(call), recorder.start(call=call, now=clock.now())
    strangers = ["rec_call_20200101T000000.000000000-said", "somebody-elses-recording"]
    for name in [f"{done.public_id}-said", f"{runs.public_id}-said", *strangers]:
        engine.files[name] = b"RIFF"

    assert orphans.tidy(now=clock.now()) == 2

    assert set(engine.files) == {f"{runs.public_id}-said", "somebody-elses-recording"}


def test_a_recording_whose_audio_is_gone_is_not_shown(call: Call, folder: Path) -> None:
    recording = kept(call)
    (folder / files.name(recording.public_id)).unlink()

    assert orphans.tidy(now=clock.now()) == 1

    recording.refresh_from_db()
    assert recording.state == "failed"
    assert events(call) == ["recording.started", "recording.completed", "recording.failed"]


def test_a_folder_that_is_not_mounted_costs_no_recording(call: Call, folder: Path) -> None:
    for recording in (kept(call), kept(call)):
        (folder / files.name(recording.public_id)).unlink()

    assert orphans.tidy(now=clock.now()) == 0
    assert set(Recording.objects.values_list("state", flat=True)) == {"completed"}


def test_an_engine_that_is_away_is_tidied_up_later(call: Call, engine: Tape, folder: Path) -> None:
    engine.fails_with["stored"] = EngineUnreachable("away")
    files.save(f"rec_{call.public_id}-99", io.BytesIO(b"RIFF"), kept_in=files.LOCAL)

    assert orphans.tidy(now=clock.now()) == 1
    assert audio(folder) == set()


def test_an_erasure_is_tried_until_it_is_done(call: Call, engine: Tape, folder: Path) -> None:
    recording = kept(call)
    engine.fails_with["delete"] = EngineUnreachable("away")
    progress.deleted(recording.pk, now=clock.now())
    for _ in range(12):
        collect()
    assert Recording.objects.get().due_at is not None
    assert audio(folder) == set()

    engine.fails_with.clear()
    collect()
    assert Recording.objects.get().due_at is None


@pytest.mark.django_db(transaction=True)
def test_the_auditor_finds_one_that_nobody_brings_to_an_end(call: Call) -> None:
    recorder.start(call=call, now=clock.now())
    steps.end(call, at=clock.now(), cause=16)
    assert [finding for finding in audit.run() if finding.violations] == []

    Call.objects.update(ended_at=clock.now() - timedelta(hours=31))

    assert {finding.promise: finding.violations for finding in audit.run()}[
        "what is recorded of an ended call is kept or given up within 30 hours"
    ] == 1


def test_nobody_else_on_the_machine_can_read_a_recording(call: Call, folder: Path) -> None:
    kept(call)

    (file,) = folder.rglob("*.wav")
    rooms = [room for room in file.parents if folder in room.parents]
    assert len(rooms) == 4  # year, month, day, hour
    assert [path.stat().st_mode & 0o077 for path in (file, *rooms)] == [0] * 5
