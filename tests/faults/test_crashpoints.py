"""kill -9 at every step: whatever process dies wherever, every call ends, is rung at most once, and all adds up.

`make test` kills at each point once, one after the other, and then waits for all to recover; `make faults`
(FAULTS=full) kills at the first and second pass of each, with one call and with fifty.
"""

import itertools
import os
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pytest
import requests

from calls.models import FINAL, Attempt, Call, Recording
from calls.recordings import files
from minivoice import clock
from minivoice.local.stack import Platform
from telephony.models import Engine
from tests import factories
from tests.journeys.receiver import Receiver
from tests.journeys.stage import Integrator, until

ROOT = Path(__file__).resolve().parent.parent.parent

# Each point, and the end of a number whose call passes it; `talks`: one that is up when it needs more money;
# `comes in`, `is forwarded`: one that somebody else places; `records`: one that is recorded.
POINTS = {
    "admission_read": "0001",
    "hold_taken": "0001",
    "call_written": "0001",
    "admission_before_commit": "0001",
    "call_committed": "0901",
    "attempt_claimed": "0901",
    "engine_answered": "0901",
    "fact_read": "0901",
    "fact_stored": "0901",
    "answer_before_commit": "0901",
    "document_received": "0742",
    "action_begun": "0742",
    "arrival_before_commit": "comes in",
    "arrival_committed": "comes in",
    "recording_opened": "records",
    "recording_stopped": "records",
    "recording_fetched": "records",
    "recording_kept": "records",
    "leg_before_commit": "is forwarded",
    "extension_before_commit": "talks",
    "extended_before_timer": "talks",
    "timer_moved": "talks",
    "next_trunk_due": "0503",
    "refusal_before_release": "refused",
    "refusal_after_release": "refused",
    "end_before_settlement": "0901",
    "end_before_commit": "0901",
    "end_after_commit": "0901",
    "webhook_claimed": "0486",
    "webhook_sent": "0486",
    "webhook_seen": "0486",
}
_ANSWERS = {"talks": "/talk", "records": "/recorded"}
ROUNDS = [(1, 1), (2, 1), (1, 50), (2, 50)]  # the pass that kills, calls under way
_areas = itertools.count(2000)


def test_every_point_in_the_code_is_tried_and_stands_once() -> None:
    apps = ("calls", "webhooks", "billing", "telephony", "applications")
    code = "".join(file.read_text() for app in apps for file in (ROOT / app).rglob("*.py"))

    assert sorted(re.findall(r'crashpoint\("(\w+)"\)', code)) == sorted(POINTS)


@dataclass
class Stage:
    """Where the kills happen."""

    hire: Callable[..., Integrator]
    receiver: Receiver
    simulator: str
    crashpoints: Path

    def kill_at(self, point: str, *, passes: int = 1, calls: int = 1) -> Integrator:
        """Place calls until a process has died at `point`; return whose calls they are."""
        acme = self.hire(answer=_ANSWERS.get(POINTS[point], "/menu"))
        _give_trunks(acme)
        is_refused = POINTS[point] == "refused"
        ending = POINTS[point] if POINTS[point].isdigit() else "0001"
        numbers = [f"+1{next(_areas)}55{ending}" for _ in range(max(calls, passes))]
        self.refuse(acme if is_refused else None)
        self.crashpoints.write_text(f"{point} {passes}")
        place = {"comes in": self.ring, "is forwarded": self.ring_forwarded}.get(POINTS[point], _place)
        with ThreadPoolExecutor(8) as threads:
            list(threads.map(lambda number: place(acme, number), numbers))
        until(lambda: not self.crashpoints.exists(), seconds=30, what=f"{point} was reached")
        died_at = clock.now()
        self.refuse(None)
        until(lambda: _is_whole(acme, since=died_at), seconds=30, what="the platform is whole again")
        return acme

    def ring_forwarded(self, customer: Integrator, number: str) -> None:
        """Have somebody call a number of the customer's that is forwarded to one who hangs up."""
        self.ring(customer, number, route_mode="sip", routing_target=f"{number[:-4]}0901")

    def ring(self, customer: Integrator, number: str, **routed: str) -> None:
        """Have somebody call a number of the customer's, by a trunk of its own."""
        name = f"in-{number[1:]}"
        trunk = factories.TrunkFactory(customer=customer.customer, gateway_name=name, direction="inbound")
        routed = routed or {"route_mode": "webhook"}
        factories.NumberFactory(
            customer=customer.customer, application=customer.application, number_e164=number, **routed
        )
        body = {"trunk": trunk.endpoint, "from": "+15557654321", "to": number}
        requests.post(f"{self.simulator}/simulator/inbound", json=body, timeout=5).raise_for_status()

    def expect_recovery(self, customer: Integrator) -> None:
        """All calls end, all their events arrive, no channel was dialled twice, and what is shown is there."""
        mine = Call.objects.filter(customer=customer.customer)
        until(lambda: not mine.exclude(status__in=FINAL).exists(), seconds=60, what="all calls have ended")
        recorded = Recording.objects.filter(call__in=mine)
        until(lambda: not recorded.filter(state="started").exists(), seconds=60, what="all recordings are kept")
        assert all(
            files.exists(recording.public_id, kept_in=files.LOCAL) for recording in recorded.filter(state="completed")
        )
        until(lambda: _all_told(customer, self.receiver), seconds=60, what="every call's events arrived")
        for attempt in Attempt.objects.filter(call__customer=customer.customer):
            address = f"{self.simulator}/simulator/channels?id={attempt.channel_id}"
            history = requests.get(address, timeout=5).json()
            assert sum(len(record["dialled_at"]) for record in history) <= 1

    def refuse(self, customer: Integrator | None) -> None:
        """Have the engine refuse this customer's trunks, or none."""
        trunks = customer.customer.trunk_set.values_list("endpoint", flat=True) if customer else []
        address = f"{self.simulator}/simulator/trunks"
        requests.post(address, json={"refused": list(trunks)}, timeout=5).raise_for_status()


@pytest.fixture
def stage(hire: Callable[..., Integrator], receiver: Receiver, platform: Platform, crashpoints: Path) -> Stage:
    receiver.answers["/menu"] = {"actions": [{"gather": {"prompt": "Press", "num_digits": 2, "timeout_seconds": 1}}]}
    receiver.answers["/recorded"] = {
        "actions": [
            {"start_recording": {}},
            {"pause": {"seconds": 1}},
            {"stop_recording": {}},
            {"pause": {"seconds": 1}},
        ]
    }
    receiver.answers["/talk"] = {"actions": [{"pause": {"seconds": 9}}]}
    if platform.real_network:
        pytest.skip("the simulator refuses on request, and remembers what it dialled: it is the judge here")
    return Stage(hire, receiver, str(platform.facts["simulator_url"]), crashpoints)


@pytest.mark.timeout(900)  # two dozen kills, and as many starts of a process
def test_survives_a_kill_at_every_point(stage: Stage) -> None:
    customers = [stage.kill_at(point) for point in POINTS]

    for customer in customers:
        stage.expect_recovery(customer)


if os.environ.get("FAULTS") == "full":

    @pytest.mark.timeout(400)
    @pytest.mark.parametrize(("passes", "calls"), ROUNDS)
    @pytest.mark.parametrize("point", POINTS)
    def test_survives_a_kill(stage: Stage, point: str, passes: int, calls: int) -> None:
        stage.expect_recovery(stage.kill_at(point, passes=passes, calls=calls))


def _give_trunks(customer: Integrator) -> None:
    """Two trunks of the customer's own, so that a refusal has somewhere to go."""
    for number in (1, 2):
        name = f"{customer.customer.public_id}-{number}".replace("_", "-").replace(".", "-")
        factories.TrunkFactory(customer=customer.customer, gateway_name=name.lower())


def _place(customer: Integrator, number: str) -> None:
    try:
        customer.create(number)
    except requests.ConnectionError:
        return


def _all_told(customer: Integrator, receiver: Receiver) -> bool:
    """Whether every call's last event, and so by their numbers all, arrived at the customer's server."""
    calls = Call.objects.filter(customer=customer.customer)
    return all(len(receiver.events(call.public_id)) == call.events for call in calls)


def _is_whole(customer: Integrator, *, since: datetime) -> bool:
    """Whether the web answers, and the switchboard has heard the engine after `since`."""
    try:
        ready = requests.get(f"{customer.base_url}/readyz", timeout=5).status_code == 200
    except requests.RequestException:  # not there, or not in time
        return False
    return ready and Engine.objects.filter(seen_at__gt=since).exists()
