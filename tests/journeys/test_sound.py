"""What a call says and plays, through every process there is."""

from collections.abc import Callable

from tests.journeys.receiver import Receiver
from tests.journeys.stage import Integrator
from tests.telephony import tones


def test_a_call_speaks_plays_a_sound_for_its_true_length_and_goes_on_without_one_that_is_missing(
    hire: Callable[..., Integrator], receiver: Receiver
) -> None:
    receiver.files["/tone.mp3"] = tones.mp3()
    receiver.answers["/sound"] = {
        "actions": [
            {"say": {"text": "Guten Tag", "language": "de-DE"}},
            {"play": {"url": receiver.url("/tone.mp3"), "loop": 2}},
            {"play": {"url": receiver.url("/missing.wav")}},
            {"hangup": {}},
        ]
    }
    acme = hire(answer="/sound")

    ended = acme.ended(acme.create("+15551230002").json()["id"])

    assert (ended["status"], ended["end_reason"]) == ("completed", "hangup")
    lines = acme.request("GET", f"/v1/calls/{ended['id']}/events").json()["data"]
    failures = [line["data"] for line in lines if line["event"] == "action_failed"]
    assert failures == [{"action": "play", "why": "http_404"}]
    assert 3 <= ended["duration_seconds"] <= 6  # twice a second and a half
