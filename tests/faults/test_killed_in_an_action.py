"""kill -9 of the switchboard in the middle of each action: it runs again from its start, and nothing before it."""

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

from calls.models import Call, CallEvent, Status
from minivoice import clock
from minivoice.local.stack import Platform
from tests.journeys.crowd import FULL, Crowd
from tests.journeys.receiver import Receiver
from tests.journeys.stage import until
from tests.telephony.tones import wav

BEFORE = {"set_variables": {"variables": {"before": 1}}}
AFTER = {"set_variables": {"variables": {"after": 1}}}
LASTING = {  # longer than it takes, on a machine that does much else, until each is in its action
    "say": [{"say": {"text": "Ten seconds of speech. " * 22}}],
    "pause": [{"pause": {"seconds": 10}}],
    "gather": [{"gather": {"prompt": "Press a key. " * 40, "timeout_seconds": 1}}],
    "send_digits": [{"send_digits": {"digits": "1WWWWWWWWWW2"}}],
    "hold": [{"hold": {}}, {"pause": {"seconds": 10}}, {"resume": {}}],
    "record": [{"record": {"max_seconds": 10}}],
    "play": [],  # of a file there
    "redirect": [],  # to an address there that takes its time
}
AT_ONCE = [
    BEFORE,
    {"hold": {}},
    {"mute": {}},
    {"remove_variables": {"names": ["before"]}},
    {"unmute": {}},
    {"resume": {}},
    {"start_stream": {"stream_url": "wss://example.com/stream"}},
    {"start_recording": {}},
    {"stop_recording": {}},
    {"say": {"text": "Done."}},
]
SILENCE_SECONDS = 10
ANSWERS_AFTER_SECONDS = 3


class Network:
    """What the simulated network knows of calls."""

    def __init__(self, url: str) -> None:
        self._url = f"{url}/simulator/channels"

    def hear_each_other(self, public_id: str, other_id: str | None) -> bool:
        """Whether a call and another, or its leg, hear each other and nobody else."""
        call = Call.objects.get(public_id=public_id)
        other = Call.objects.get(public_id=other_id) if other_id else call.legs.first()
        if other is None:
            return False
        mine, its = self._record(call), self._record(other)
        return (mine["hears"], its["hears"]) == ([its["id"]], [mine["id"]])

    def times_rung(self, call: Call) -> int:
        """How often a call's callee has been rung."""
        return int(self._record(call)["times_rung"])

    def _record(self, call: Call) -> dict[str, Any]:
        [attempt] = call.attempts.all()
        unknown = {"id": attempt.channel, "hears": [], "times_rung": 0}  # before it is dialled
        return dict(next(iter(requests.get(self._url, params={"id": attempt.channel}, timeout=5).json()), unknown))


@pytest.fixture
def network(platform: Platform) -> Network:
    if platform.real_network:
        pytest.skip("the simulator tells who hears whom: it is the judge here")
    return Network(str(platform.facts["simulator_url"]))


@pytest.mark.timeout(240)
def test_what_lasts_runs_again_within_seconds(crowd: Crowd, receiver: Receiver) -> None:
    def slowly(_: dict[str, Any]) -> dict[str, Any]:
        time.sleep(ANSWERS_AFTER_SECONDS)
        return {"actions": [AFTER]}

    receiver.answers["/slow"] = slowly
    receiver.files["/ten-seconds.wav"] = wav(440, seconds=10, rate=8000, channels=1)
    here = {
        "redirect": [{"redirect": {"url": receiver.url("/slow"), "method": "POST"}}],
        "play": [{"play": {"url": receiver.url("/ten-seconds.wav")}}],
    }
    for name, actions in LASTING.items():
        receiver.answers[f"/{name}"] = {"actions": [BEFORE, *here.get(name, actions), AFTER]}
    with ThreadPoolExecutor(len(LASTING)) as threads:
        placed = threads.map(lambda name: crowd.place("+15551230001", answer=f"/{name}")[0], LASTING)
        ids = dict(zip(LASTING, placed, strict=True))
    until(lambda: all(len(begun(one)) > 1 for one in ids.values()), seconds=30, what="each is in its action")

    killed_at = clock.now()
    crowd.kill("switchboard")
    crowd.wait_for(list(ids.values()), Status.COMPLETED, seconds=60)

    for name, public_id in ids.items():
        actions = [line.data["action"] for line in begun(public_id)]
        assert actions.count("set_variables") == 2, name
        again = next(line.at for line in lines(public_id) if line.at > killed_at)
        assert again - killed_at < timedelta(seconds=SILENCE_SECONDS), name
        repeated = [action for action in set(actions) if actions.count(action) > 1 and action != "set_variables"]
        current = "pause" if name == "hold" else name
        assert repeated == ([] if name == "redirect" else [current]), name  # its request is what runs again
        assert crowd.calls([public_id]).get().variables == {"before": 1, "after": 1}
    crowd.wait_for_all(seconds=30)


@pytest.mark.timeout(240)
def test_those_who_are_joined_stay_so_and_nobody_is_rung_twice(
    crowd: Crowd, receiver: Receiver, network: Network
) -> None:
    documents = {
        "talking": [{"transfer": {"to": "+15551230002"}}, AFTER],
        "ringing": [{"transfer": {"to": "+15551230808"}}, AFTER],
        "in_vain": [{"bridge": {"to": "+15551230480", "timeout_seconds": 8, "fallback": [AFTER]}}],
        "bridged": [{"bridge": {"to": "+15551230003", "fallback": [AFTER]}}],
        "host": [{"conference": {"room": "meeting", "end_on_exit": True}}],
        "guest": [{"conference": {"room": "meeting"}}, AFTER],
    }
    ids = {}
    for name, actions in documents.items():
        receiver.answers[f"/{name}"] = {"actions": actions}
        [ids[name]] = crowd.place("+15551230001", answer=f"/{name}")
    pairs = [(ids[name], None) for name in ("talking", "bridged")] + [(ids["host"], ids["guest"])]
    until(lambda: all(network.hear_each_other(*pair) for pair in pairs), seconds=30, what="they talk")
    until(lambda: all(rung(ids[name]) for name in ("ringing", "in_vain")), seconds=30, what="they are rung")

    killed_at = clock.now()
    crowd.kill("switchboard")
    until(lambda: len(begun(ids["guest"])) == 2, seconds=30, what="another goes on", every=0.1)
    until(lambda: network.hear_each_other(ids["ringing"], None), seconds=30, what="who was rung has answered")
    crowd.wait_for([ids["in_vain"]], Status.COMPLETED, seconds=30)

    assert all(network.hear_each_other(*pair) for pair in pairs)
    for name, public_id in ids.items():
        actions = [line.data["action"] for line in begun(public_id)]
        first = documents[name][0]
        assert actions == [*first, *first, *(["set_variables"] if name == "in_vain" else [])], name
        again = next(line.at for line in lines(public_id) if line.at > killed_at)
        assert again - killed_at < timedelta(seconds=SILENCE_SECONDS), name
        kinds = [line.kind for line in lines(public_id)]
        joins = ("leg_joined", "conference_joined")
        assert sum(kind in joins for kind in kinds) == (0 if name == "in_vain" else 1), name
    assert all(network.times_rung(leg) == 1 for leg in Call.objects.filter(parent__public_id__in=ids.values()))

    assert crowd.customer.request("POST", f"/v1/calls/{ids['host']}/hangup").status_code == 200
    crowd.wait_for([ids["guest"]], Status.COMPLETED)
    assert crowd.calls([ids["guest"]]).get().variables == {"after": 1}
    crowd.end_all()
    crowd.wait_for_all(seconds=30)


@pytest.mark.timeout(240)
@pytest.mark.parametrize("position", range(len(AT_ONCE) - 1) if FULL else [1, 4])  # tests/calls kills at each statement
def test_what_is_done_at_once_runs_again_alone(
    crowd: Crowd, receiver: Receiver, crashpoints: Path, position: int
) -> None:
    receiver.answers["/at-once"] = {"actions": AT_ONCE}
    crashpoints.write_text(f"action_begun {position + 1}")

    [public_id] = crowd.place("+15551230001", answer="/at-once")
    crowd.wait_for([public_id], Status.COMPLETED, seconds=60)

    positions = [line.data["position"] for line in begun(public_id)]
    assert positions == sorted([*range(len(AT_ONCE)), position])
    assert [line for line in lines(public_id) if line.kind == "action_failed"] == []
    assert crowd.calls([public_id]).get().variables == {}
    crowd.wait_for_all(seconds=30)


def rung(public_id: str) -> bool:
    """Whether the phone of a call's leg rings."""
    return "leg_ringing" in [line.kind for line in lines(public_id)]


def lines(public_id: str) -> list[CallEvent]:
    return list(CallEvent.objects.filter(call__public_id=public_id).order_by("id"))


def begun(public_id: str) -> list[CallEvent]:
    """Return the actions that were begun, each as often as it was."""
    return [line for line in lines(public_id) if line.kind == "action_started"]
