"""Recordings over HTTP: begun, stopped, shown, streamed whole and in part, by key and by link, and erased."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from rest_framework.test import APIClient

from applications.models import Customer
from calls.models import Call, Recording
from calls.recordings import files, links
from minivoice import clock, ranges
from telephony.engines.facts import Kind
from tests import factories
from tests.calls import steps
from tests.calls.recordings.tape import Tape, collect, kept, tell
from tests.conftest import Actor, actor, refusal

pytestmark = pytest.mark.django_db


@pytest.fixture
def recording(call: Call) -> Recording:
    """One whose audio is kept."""
    return kept(call)


def audio(actor: Actor, recording: Recording, wanted: str | None = None) -> Any:
    headers = {"Range": wanted} if wanted else {}
    return actor.client().get(f"/v1/recordings/{recording.public_id}/audio", headers=headers)


def another(actor: Actor, number: str) -> Recording:
    """Return a recording of a call of another customer's, whose number it is."""
    factories.NumberFactory(customer=actor.customer, application=actor.application, number_e164=number)
    call = steps.dial(actor, from_number=number)
    steps.answer(call, at=clock.now())
    return kept(call)


def shown(actor: Actor, recording: Recording) -> dict[str, Any]:
    body: dict[str, Any] = actor.client().get(f"/v1/recordings/{recording.public_id}").json()
    return body


def test_a_start_answers_with_the_recording_that_runs(acme: Actor, call: Call) -> None:
    path = f"/v1/calls/{call.public_id}/recordings"

    first, again = (acme.client().post(path, body, format="json").json() for body in ({}, {"action": "start"}))

    assert first["data"]["action"] == "start"
    assert first["data"]["recording"]["id"] == f"rec_{call.public_id}"
    assert first["data"]["recording"]["status"] == "started"
    assert again == first


def test_a_stop_ends_it_and_the_next_one_has_a_number(acme: Actor, call: Call, engine: Tape) -> None:
    client, path = acme.client(), f"/v1/calls/{call.public_id}/recordings"
    client.post(path, {"action": "start"}, format="json")

    stopped = client.post(path, {"action": "stop"}, format="json").json()["data"]
    assert (stopped["action"], stopped["recording"]["id"]) == ("stop", f"rec_{call.public_id}")
    assert engine.live == []
    assert refusal(client.post(path, {"action": "stop"}, format="json")) == (404, "recording_not_started")

    following = client.post(path, {"action": "start"}, format="json").json()["data"]
    assert following["recording"]["id"] == f"rec_{call.public_id}-2"
    listed = client.get(path).json()
    assert [row["id"] for row in listed["data"]] == [f"rec_{call.public_id}-2", f"rec_{call.public_id}"]


@pytest.mark.parametrize("action", ["START", "", 5, True, ["start"], {"start": 1}])
def test_an_action_is_start_or_stop(acme: Actor, call: Call, engine: Tape, action: object) -> None:
    response = acme.client().post(f"/v1/calls/{call.public_id}/recordings", {"action": action}, format="json")

    assert refusal(response) == (400, "invalid_action")
    assert engine.live == []


def test_a_call_that_rings_is_not_up(acme: Actor, engine: Tape) -> None:
    call = steps.dial(acme)

    response = acme.client().post(f"/v1/calls/{call.public_id}/recordings", {}, format="json")

    assert refusal(response) == (404, "active_call_not_found")


def test_the_audio_is_streamed(acme: Actor, recording: Recording, folder: Path) -> None:
    response = audio(acme, recording)

    content = b"".join(response)
    assert (response.status_code, response["Content-Type"]) == (200, "audio/wav")
    assert content == (folder / files.name(recording.public_id)).read_bytes()
    assert int(response["Content-Length"]) == len(content) == shown(acme, recording)["size_bytes"]
    assert response["Accept-Ranges"] == "bytes"


@pytest.mark.parametrize(
    ("wanted", "first", "last"),
    [
        ("bytes=0-3", 0, 3),
        ("bytes=44-", 44, -1),
        ("bytes=-100", -100, -1),
        ("bytes=10-99999999", 10, -1),
        ("bytes=0-0", 0, 0),
        ("bytes=-99999999", 0, -1),
    ],
)
def test_a_range_of_it_too(acme: Actor, recording: Recording, wanted: str, first: int, last: int) -> None:
    whole = b"".join(audio(acme, recording))
    size = len(whole)
    begin, end = first % size, last % size

    response = audio(acme, recording, wanted)

    assert response.status_code == 206
    assert response["Content-Range"] == f"bytes {begin}-{end}/{size}"
    assert b"".join(response) == whole[begin : end + 1]
    assert int(response["Content-Length"]) == end + 1 - begin


def test_readers_who_take_their_time_leave_threads_for_everybody_else(
    acme: Actor, globex: Actor, recording: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once as many as there are threads could keep all of them, and then one customer the places of all."""
    monkeypatch.setattr(ranges, "_places", ranges.Places(4))
    slow = [audio(acme, recording) for _ in range(2)]
    assert audio(acme, recording, "bytes=99999999-").status_code == 416

    refused = audio(acme, recording)

    assert (refusal(refused), refused["Retry-After"]) == ((503, "unavailable"), "2")
    others = [(globex, "+15551230005"), (actor("initech", funds="10"), "+15551230006")]
    theirs = [(other, another(other, number)) for other, number in others]
    slow += [audio(*each) for each in theirs]
    assert [response.status_code for response in slow] == [200] * 4
    assert refusal(audio(*theirs[1])) == (503, "unavailable")
    assert b"".join(slow.pop())
    assert audio(*theirs[1]).status_code == 200


def test_a_reader_whose_audio_is_gone_keeps_no_place(
    acme: Actor, recording: Recording, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ranges, "_places", ranges.Places(1))
    file = folder / files.name(recording.public_id)
    content = file.read_bytes()
    file.unlink()
    assert refusal(audio(acme, recording)) == (404, "not_found")

    file.write_bytes(content)

    assert audio(acme, recording).status_code == 200


@pytest.mark.parametrize("wanted", ["bytes=99999999-", "bytes=-0"])
def test_a_range_behind_the_end_is_refused(acme: Actor, recording: Recording, wanted: str) -> None:
    response = audio(acme, recording, wanted)

    assert refusal(response) == (416, "range_not_satisfiable")
    assert response["Content-Range"] == f"bytes */{recording.size_bytes}"


@pytest.mark.parametrize("wanted", ["bytes=0-1,4-5", "frames=0-1", "bytes=5-1", "bytes=-", "bytes=x-", "bytes=٣-"])
def test_what_is_no_single_range_is_the_whole(acme: Actor, recording: Recording, wanted: str) -> None:
    response = audio(acme, recording, wanted)

    assert (response.status_code, len(b"".join(response))) == (200, recording.size_bytes)


def test_the_link_needs_no_key_for_a_quarter_of_an_hour(
    acme: Actor, recording: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = shown(acme, recording)["file_url"]

    assert APIClient().get(link).status_code == 200
    assert APIClient().get(link, headers={"Authorization": "Bearer of nothing"}).status_code == 200
    later = clock.now() + links.GOOD_FOR - timedelta(seconds=10)
    monkeypatch.setattr(clock, "now", lambda: later)
    assert APIClient().get(link).status_code == 200
    monkeypatch.setattr(clock, "now", lambda: later + timedelta(seconds=11))
    assert refusal(APIClient().get(link)) == (401, "unauthorized")


def test_a_link_leads_to_its_recording_alone(acme: Actor, recording: Recording, call: Call) -> None:
    link, other = shown(acme, recording)["file_url"], kept(call)
    changed = [
        link.replace(recording.public_id, other.public_id),
        link.replace(recording.public_id, "rec_call_20200101T000000.000000000"),
        link.replace("expires=", "expires=9"),
        link[:-1],
        link.replace("signature=", "signature=%00%C3%A9"),
        link.partition("&")[0],
        link.partition("?")[0],
    ]

    for address in changed:
        assert refusal(APIClient().get(address)) == (401, "unauthorized"), address


def test_no_link_opens_anything_but_the_audio(acme: Actor, recording: Recording) -> None:
    link = shown(acme, recording)["file_url"].replace("/audio", "")

    assert refusal(APIClient().get(link)) == (401, "unauthorized")
    assert refusal(APIClient().delete(link)) == (401, "unauthorized")


def test_a_link_of_a_suspended_customer_is_closed(acme: Actor, recording: Recording) -> None:
    link = shown(acme, recording)["file_url"]
    Customer.objects.update(status=Customer.Status.SUSPENDED)

    assert refusal(APIClient().get(link)) == (403, "account_suspended")


def test_a_recording_that_runs_has_no_audio_yet(acme: Actor, call: Call) -> None:
    acme.client().post(f"/v1/calls/{call.public_id}/recordings", {}, format="json")
    recording = Recording.objects.get()
    tell(recording, Kind.RECORDING_STARTED, at=clock.now())

    assert shown(acme, recording)["file_url"] is None
    assert refusal(audio(acme, recording)) == (404, "not_found")


def test_what_is_deleted_is_shown_no_more_and_erased(acme: Actor, recording: Recording, folder: Path) -> None:
    link = shown(acme, recording)["file_url"]

    response = acme.client().delete(f"/v1/recordings/{recording.public_id}")

    assert (response.status_code, response.json()["status"], response.json()["file_url"]) == (200, "deleted", None)
    assert refusal(audio(acme, recording)) == (404, "not_found")
    assert refusal(APIClient().get(link)) == (404, "not_found")
    collect()
    assert list(folder.rglob("*.wav")) == []
    assert acme.client().delete(f"/v1/recordings/{recording.public_id}").json() == response.json()
    assert shown(acme, recording)["status"] == "deleted"


def test_audio_that_somebody_else_removed_is_not_found(acme: Actor, recording: Recording, folder: Path) -> None:
    (folder / files.name(recording.public_id)).unlink()

    assert refusal(audio(acme, recording)) == (404, "not_found")
