"""Calls that come in, all the way through: the network, instructions, the charge, webhooks; and calls forwarded."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
import requests

from calls.models import Call
from minivoice.local.stack import Platform
from telephony.models import Number, Trunk
from tests import factories
from tests.journeys.receiver import Receiver
from tests.journeys.stage import FINAL, Integrator, until

TRUNK = "wholesale"
CALLER = "+15557654321"
_dids = iter(range(10_000_000))


class Network:
    """The outside: somebody who calls in."""

    def __init__(self, platform: Platform) -> None:
        if platform.real_network:
            pytest.skip("callers of this file are the simulator's")
        self._url = f"{platform.facts['simulator_url']}/simulator"

    def call(self, to: str, *, trunk: str = TRUNK, **behaviour: Any) -> str:
        """Call a number; return the channel."""
        answer = self._post("inbound", {"trunk": trunk, "from": CALLER, "to": to, **behaviour})
        return str(answer.json()["channel_id"])

    def hang_up(self, channel: str) -> None:
        """The caller puts the phone down."""
        self._post("hangup", {"channel_id": channel})

    def press(self, channel: str, digits: str) -> None:
        """The caller presses keys."""
        self._post("digits", {"channel_id": channel, "digits": digits})

    def record(self, channel: str) -> dict[str, Any]:
        """What the network remembers of a channel."""
        [record] = requests.get(f"{self._url}/channels", params={"id": channel}, timeout=5).json()
        return dict(record)

    def told(self, channel: str) -> int:
        """The SIP code that a caller was refused with."""
        until(lambda: self.record(channel)["ended_at"], seconds=5, what="the caller is refused")
        return int(self.record(channel)["told"])

    def _post(self, path: str, body: dict[str, Any]) -> requests.Response:
        answer = requests.post(f"{self._url}/{path}", json=body, timeout=5)
        answer.raise_for_status()
        return answer


@pytest.fixture
def network(platform: Platform, journeys_database: None) -> Network:
    network = Network(platform)
    if not Trunk.objects.filter(gateway_name=TRUNK).exists():
        factories.TrunkFactory(gateway_name=TRUNK, direction="inbound", proxy="wholesale.example")
    return network


def assign(acme: Integrator, *, price: str = "0.12", **more: Any) -> str:
    """Give acme another number; return it."""
    number = f"+1555{next(_dids):07}"
    Number.objects.filter(number_e164=number).delete()
    factories.NumberFactory(
        customer=acme.customer,
        application=acme.application,
        number_e164=number,
        inbound_price_per_minute=Decimal(price),
        **more,
    )
    return number


def arrived(acme: Integrator, number: str) -> str:
    """Return the id of the one call that came in for `number`."""

    def look() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = acme.request("GET", f"/v1/calls?direction=inbound&to=%2B{number[1:]}").json()[
            "data"
        ]
        return found

    [call] = until(look, seconds=5, what="the call came in")
    return str(call["id"])


def test_goes_from_the_caller_to_the_last_webhook(
    hire: Callable[..., Integrator], receiver: Receiver, network: Network
) -> None:
    receiver.answers["/menu"] = {
        "actions": [{"gather": {"prompt": "Press two keys", "num_digits": 2}}, {"pause": {"seconds": 60}}]
    }
    acme = hire(funds="10", answer="/menu")
    number = assign(acme)

    channel = network.call(number.removeprefix("+"), presses="42", hangs_up_after_seconds=2)

    call_id = arrived(acme, number)
    ended = acme.ended(call_id)
    assert (ended["direction"], ended["from"], ended["to"]) == ("inbound", CALLER, number)
    assert (ended["status"], ended["end_reason"], ended["hangup_by"]) == ("completed", "caller_hung_up", "caller")
    assert (ended["billable_seconds"], ended["cost_amount"]) == (60, "0.12")
    assert acme.balance()["posted"] == "9.88"
    assert network.record(channel)["times_rung"] == 1
    expected = ["call.created", "call.answered", "call.gathered", "call.completed"]
    until(lambda: receiver.names(call_id) == expected, seconds=5, what="all four events arrived")
    created, _, gathered, _ = receiver.events(call_id)
    assert created["call"]["status"] == "ringing"
    assert gathered["data"]["digits"] == "42"
    words = acme.timeline(call_id)
    assert words[0] == "accepted"
    assert {"answer_url_answered", "engine_answered", "gathered", "engine_ended", "call_completed"} <= set(words)
    usage = acme.request("GET", "/v1/usage").json()["summary"]
    assert (usage["calls"], usage["cost_amount"]) == (1, "0.12")


def test_a_caller_who_gives_up_costs_nothing(
    hire: Callable[..., Integrator], receiver: Receiver, network: Network
) -> None:
    receiver.answers["/wait"] = {"actions": [{"pause": {"seconds": 60}}]}
    acme = hire(answer="/wait")
    number = assign(acme)
    channel = network.call(number)
    call_id = arrived(acme, number)

    network.hang_up(channel)

    ended = acme.ended(call_id)
    assert (ended["status"], ended["end_reason"], ended["cost_amount"]) == ("failed", "caller_hung_up", "0.00")


def test_who_is_turned_away_leaves_nothing(
    hire: Callable[..., Integrator], receiver: Receiver, network: Network
) -> None:
    acme, globex = hire(funds="0.05"), hire("globex")
    poor, rejecting = assign(acme), assign(globex, route_mode="reject")
    stranger = factories.TrunkFactory(customer=globex.customer, direction="both")
    before = Call.objects.count()

    assert network.told(network.call("+15559999999")) == 404
    assert network.told(network.call(poor)) == 486
    assert network.told(network.call(rejecting)) == 603
    assert network.told(network.call(poor, trunk=stranger.endpoint)) == 404
    assert network.told(network.call(poor, trunk="unheard-of")) == 404

    assert Call.objects.count() == before


def test_a_call_goes_on_when_the_switchboard_is_killed(
    hire: Callable[..., Integrator], receiver: Receiver, network: Network, platform: Platform
) -> None:
    receiver.answers["/menu"] = {
        "actions": [{"say": {"text": "Hello"}}, {"gather": {"prompt": "Press", "num_digits": 1, "timeout_seconds": 30}}]
    }
    acme = hire(answer="/menu")
    number = assign(acme)
    channel = network.call(number)
    call_id = arrived(acme, number)
    until(lambda: acme.call(call_id)["status"] == "in_progress", seconds=5, what="it was answered")
    until(lambda: acme.timeline(call_id).count("action_started") == 2, seconds=10, what="the menu began")

    platform.kill("switchboard")

    until(lambda: acme.timeline(call_id).count("action_started") == 3, seconds=30, what="the menu began again")
    network.press(channel, "7")
    ended = acme.ended(call_id)
    assert (ended["status"], ended["end_reason"]) == ("completed", "hangup")
    assert network.record(channel)["answered_at"] is not None


def test_is_forwarded_by_a_leg_of_its_own_money(
    hire: Callable[..., Integrator], receiver: Receiver, network: Network
) -> None:
    acme = hire(funds="10")
    number = assign(acme, route_mode="sip", routing_target="+15551230902")  # answers, and hangs up after 2 s

    channel = network.call(number)

    call_id = arrived(acme, number)
    ended = acme.ended(call_id)
    assert (ended["route_mode"], ended["routing_target"]) == ("sip", "+15551230902")
    assert (ended["status"], ended["end_reason"], ended["hangup_by"]) == ("completed", "hangup", "callee")
    [leg] = acme.request("GET", f"/v1/calls?parent_call_id={call_id}").json()["data"]
    assert (leg["direction"], leg["from"], leg["to"]) == ("outbound", number, "+15551230902")
    assert (leg["status"], leg["end_reason"]) == ("completed", "hangup")
    assert Decimal(ended["cost_amount"]) == Decimal("0.12")
    paid = Decimal(ended["cost_amount"]) + Decimal(leg["cost_amount"])
    assert Decimal(acme.balance()["posted"]) == 10 - paid
    assert network.record(channel)["answered_at"] is not None
    assert {"leg_accepted", "leg_joined", "leg_ended"} <= set(acme.timeline(call_id))
    expected = ["call.created", "call.answered", "call.completed"]
    until(lambda: receiver.names(call_id) == expected, seconds=5, what="the events of the call")
    assert receiver.events(call_id)[2]["data"]["legs"][0]["end_reason"] == "hangup"
    assert receiver.names(leg["id"]) == []


def test_a_forwarded_caller_hears_that_nobody_is_to_be_had(
    hire: Callable[..., Integrator], receiver: Receiver, network: Network
) -> None:
    acme = hire()
    number = assign(acme, route_mode="sip", routing_target="+15551230486")

    assert network.told(network.call(number)) == 486

    ended = acme.ended(arrived(acme, number))
    assert (ended["status"], ended["end_reason"], ended["cost_amount"]) == ("failed", "busy", "0.00")


def test_a_forwarded_caller_who_hangs_up_ends_both(
    hire: Callable[..., Integrator], receiver: Receiver, network: Network
) -> None:
    acme = hire()
    number = assign(acme, route_mode="sip", routing_target="+15551230002")
    channel = network.call(number)
    call_id = arrived(acme, number)
    until(lambda: acme.call(call_id)["status"] == "in_progress", seconds=8, what="both talk")

    network.hang_up(channel)

    assert acme.ended(call_id)["end_reason"] == "caller_hung_up"
    [leg] = acme.request("GET", f"/v1/calls?parent_call_id={call_id}").json()["data"]
    ended = acme.ended(leg["id"])
    assert (ended["status"], ended["end_reason"], ended["hangup_by"]) == ("completed", "hangup", "caller")
    assert all(acme.call(each)["status"] in FINAL for each in (call_id, leg["id"]))
