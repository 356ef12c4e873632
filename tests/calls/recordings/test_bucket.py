"""Recordings in S3, or in a service like it: the same to everybody but the operator."""

import io
import logging
import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.config import Config

from calls.models import Call, Recording
from calls.recordings import commands, files, orphans, rendering
from minivoice import clock
from tests.calls.recordings.bucket import BUCKET, Bucket, serving
from tests.calls.recordings.tape import collect, kept
from tests.conftest import Actor, refusal

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def service() -> Iterator[Bucket]:
    with serving() as bucket:
        yield bucket


@pytest.fixture
def bucket(service: Bucket, call: Call, settings: Any) -> Bucket:
    """The bucket that the settings name, read as a process reads them."""
    service.objects.clear()
    service.fetched.clear()
    service.trouble = ""
    service.is_over.clear()
    environment = {
        **os.environ,
        "RECORDINGS_BUCKET": BUCKET,
        "RECORDINGS_BUCKET_URL": service.url,
        "RECORDINGS_BUCKET_REGION": "eu-central-1",
        "RECORDINGS_BUCKET_KEY": "an-access-key",
        "RECORDINGS_BUCKET_SECRET": "its-secret",
    }
    bucket_of = "settings.STORAGES['recordings-s3']"
    show = f"import pickle; from minivoice import settings; print(pickle.dumps({bucket_of}).hex())"
    read = subprocess.run([sys.executable, "-c", show], env=environment, check=True, capture_output=True, text=True)
    ours = pickle.loads(bytes.fromhex(read.stdout))  # noqa: S301  we have just written it
    settings.STORAGES = {**settings.STORAGES, "recordings-s3": ours}
    settings.RECORDINGS_BUCKET = BUCKET
    return service


def test_audio_is_kept_shown_in_part_and_erased(acme: Actor, call: Call, bucket: Bucket) -> None:
    recording = kept(call)
    path = f"/v1/recordings/{recording.public_id}/audio"

    assert list(bucket.objects) == [files.name(recording.public_id)]
    assert bucket.signed_by == {"an-access-key"}
    shown = rendering.recording(commands.find(acme.application.pk, recording.public_id), now=clock.now())
    assert (shown["storage_type"], shown["status"]) == ("s3", "completed")
    whole = b"".join(acme.client().get(path))
    assert [whole] == list(bucket.objects.values())
    part = acme.client().get(path, headers={"Range": "bytes=4-7"})
    assert (part.status_code, b"".join(part)) == (206, whole[4:8])
    assert bucket.fetched == [len(whole), 4]  # no more of it than was wanted

    acme.client().delete(f"/v1/recordings/{recording.public_id}")
    collect()
    assert bucket.objects == {}


def test_what_is_left_behind_is_found(acme: Actor, call: Call, bucket: Bucket) -> None:
    recording = kept(call)
    bucket.objects[files.name(f"rec_{call.public_id}-99")] = b"RIFF"

    assert orphans.tidy(now=clock.now()) == 1
    assert list(bucket.objects) == [files.name(recording.public_id)]

    bucket.objects.clear()
    assert orphans.tidy(now=clock.now()) == 1
    assert refusal(acme.client().get(f"/v1/recordings/{recording.public_id}/audio")) == (404, "not_found")


def test_what_was_kept_in_the_folder_before_stays_there_and_is_shown_and_erased(
    acme: Actor, call: Call, bucket: Bucket, folder: Path, settings: Any
) -> None:
    """Once all of it was looked for in the bucket, and found gone."""
    settings.RECORDINGS_BUCKET = ""
    recording = kept(call)
    settings.RECORDINGS_BUCKET = BUCKET

    assert orphans.tidy(now=clock.now()) == 0
    answer = acme.client().get(f"/v1/recordings/{recording.public_id}/audio")
    assert (answer.status_code, len(b"".join(answer))) == (200, recording.size_bytes)

    acme.client().delete(f"/v1/recordings/{recording.public_id}")
    collect()
    assert list(folder.rglob("*.wav")) == []
    assert (bucket.objects, bucket.fetched) == ({}, [])


def test_what_is_in_a_bucket_that_is_named_no_more_is_not_found(
    acme: Actor, call: Call, bucket: Bucket, settings: Any
) -> None:
    recording = kept(call)
    settings.RECORDINGS_BUCKET = ""

    assert refusal(acme.client().get(f"/v1/recordings/{recording.public_id}/audio")) == (404, "not_found")
    assert orphans.tidy(now=clock.now()) == 0
    recording.refresh_from_db()
    assert recording.state == "completed"


def test_a_stray_in_one_place_is_no_other_places(call: Call, bucket: Bucket, folder: Path) -> None:
    recording = kept(call)
    files.save(recording.public_id, io.BytesIO(b"RIFF"), kept_in=files.LOCAL)

    assert orphans.tidy(now=clock.now()) == 1

    assert list(folder.rglob("*.wav")) == []
    assert list(bucket.objects) == [files.name(recording.public_id)]


@pytest.mark.parametrize("trouble", ["SlowDown", "AccessDenied", "silent", "away", "no bucket"])
def test_a_bucket_in_trouble_is_said_so_soon_and_nothing_is_lost(
    acme: Actor, call: Call, bucket: Bucket, settings: Any, caplog: pytest.LogCaptureFixture, trouble: str
) -> None:
    """Once whoever listened had a 500, some of them after five minutes."""
    recording = kept(call)
    path = f"/v1/recordings/{recording.public_id}/audio"
    options = settings.STORAGES["recordings-s3"]["OPTIONS"]
    client = options["client_config"].merge(Config(read_timeout=0.5))
    assert (options["client_config"].read_timeout, client.connect_timeout) == (10, 2)
    there = settings.STORAGES
    changed = {"client_config": client, **({"endpoint_url": "http://127.0.0.1:1"} if trouble == "away" else {})}
    bucket.trouble = {"away": "", "no bucket": "NoSuchBucket"}.get(trouble, trouble)
    settings.STORAGES = {**there, "recordings-s3": {**there["recordings-s3"], "OPTIONS": {**options, **changed}}}

    with caplog.at_level(logging.WARNING, logger="calls"):
        answer = acme.client().get(path)
        acme.client().delete(f"/v1/recordings/{recording.public_id}")
        collect()

    assert (refusal(answer), answer["Retry-After"]) == ((503, "unavailable"), "10")
    told = [record.getMessage() for record in caplog.records if record.name.startswith("calls.")]
    assert [recording.public_id in line for line in told] == [True, True]  # that it is not read, and not erased
    assert not any(secret in line for line in told for secret in ("an-access-key", "its-secret"))
    assert len(bucket.objects) == 1

    bucket.trouble, settings.STORAGES = "", there
    bucket.is_over.set()
    Recording.objects.update(due_at=clock.now())
    collect()
    assert bucket.objects == {}
