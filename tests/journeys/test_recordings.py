"""A call that is recorded, as its integrator sees it: told of, heard by key and by link, and erased."""

import io
import wave
from collections.abc import Callable

import requests

from calls.recordings import files
from tests.journeys.receiver import Receiver
from tests.journeys.stage import Integrator, until


def test_a_call_is_recorded_from_its_answer_to_its_end(hire: Callable[..., Integrator], receiver: Receiver) -> None:
    receiver.answers["/answer"] = {
        "actions": [{"say": {"text": "Hello, this is recorded."}}, {"pause": {"seconds": 9}}]
    }
    acme = hire()

    call_id = acme.create("+15551230902", record=True).json()["id"]
    acme.ended(call_id)
    until(lambda: len(receiver.names(call_id)) == 5, seconds=20, what="all five events arrived")

    assert receiver.names(call_id) == [
        "call.created",
        "call.answered",
        "recording.started",
        "call.completed",
        "recording.completed",
    ]
    (recording,) = acme.request("GET", f"/v1/calls/{call_id}/recordings").json()["data"]
    assert (recording["id"], recording["status"]) == (f"rec_{call_id}", "completed")
    audio = requests.get(recording["file_url"], timeout=10)
    assert len(audio.content) == recording["size_bytes"]
    with wave.open(io.BytesIO(audio.content)) as sound:
        assert sound.getnchannels() == 2
        seconds = sound.getnframes() / sound.getframerate()
    assert 0.5 < seconds < 3
    assert recording["duration_seconds"] == round(seconds)
    part = requests.get(recording["file_url"], headers={"Range": "bytes=0-43"}, timeout=10)
    assert (part.status_code, part.content) == (206, audio.content[:44])

    erased = acme.request("DELETE", f"/v1/recordings/{recording['id']}").json()
    assert erased["status"] == "deleted"
    assert requests.get(recording["file_url"], timeout=10).status_code == 404
    until(lambda: not files.exists(recording["id"], kept_in=files.LOCAL), seconds=20, what="its audio is erased")


def test_a_call_is_recorded_by_its_instructions_and_a_voicemail_too(
    hire: Callable[..., Integrator], receiver: Receiver
) -> None:
    receiver.answers["/answer"] = {
        "actions": [
            {"start_recording": {}},
            {"say": {"text": "Leave a message."}},
            {"stop_recording": {}},
            {"record": {"max_seconds": 1, "beep": False}},
        ]
    }
    acme = hire()

    call_id = acme.create("+15551230001").json()["id"]
    acme.ended(call_id)
    until(lambda: receiver.names(call_id).count("recording.completed") == 2, seconds=20, what="both are kept")

    voicemail, whole = acme.request("GET", f"/v1/calls/{call_id}/recordings").json()["data"]
    assert [channels(row["file_url"]) for row in (whole, voicemail)] == [2, 1]
    until(lambda: receiver.names(call_id).count("recording.started") == 2, seconds=20, what="both were begun")
    assert "action_failed" not in acme.timeline(call_id)


def test_a_call_is_recorded_on_request(hire: Callable[..., Integrator], receiver: Receiver) -> None:
    receiver.answers["/answer"] = {"actions": [{"pause": {"seconds": 30}}]}
    acme = hire()
    call_id = acme.create("+15551230001").json()["id"]
    until(lambda: acme.call(call_id)["status"] == "in_progress", seconds=10, what="it is answered")
    path = f"/v1/calls/{call_id}/recordings"

    assert acme.request("POST", path).status_code == 200
    until(lambda: "recording.started" in receiver.names(call_id), seconds=10, what="it is recorded")
    stopped = acme.request("POST", path, {"action": "stop"}).json()["data"]["recording"]
    until(lambda: "recording.completed" in receiver.names(call_id), seconds=20, what="its recording is kept")

    kept = acme.request("GET", f"/v1/recordings/{stopped['id']}").json()
    assert channels(kept["file_url"]) == 2
    assert acme.call(call_id)["status"] == "in_progress"
    acme.request("POST", f"/v1/calls/{call_id}/hangup")
    acme.ended(call_id)


def channels(url: str) -> int:
    """How many channels the audio has."""
    with wave.open(io.BytesIO(requests.get(url, timeout=10).content)) as sound:
        return sound.getnchannels()
