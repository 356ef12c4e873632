"""A call that comes in over SIP to a real engine, through a trunk made by API and approved by staff seconds before."""

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest

from calls.models import Call
from minivoice import clock
from minivoice.local import engine
from minivoice.local.stack import Platform
from telephony import trunks
from telephony.models import Trunk
from tests import factories
from tests.journeys.receiver import Receiver
from tests.journeys.stage import Integrator, running, until
from tests.telephony.engines.caller import Caller

pytestmark = pytest.mark.skipif(engine.find() is None, reason="no Asterisk here: run 'make engine' as root")

HOST, STRANGER = "127.0.0.41", "127.0.0.42"
CALLER, NUMBER = "+15557654321", "+15551234100"


@pytest.fixture(scope="module")
def platform_database() -> str:
    """Of this module's own platform."""
    return "inbound_journeys"


@pytest.fixture(scope="module")
def platform(
    tmp_path_factory: pytest.TempPathFactory, receiver: Receiver, platform_database: str
) -> Iterator[Platform]:
    """A platform on a real engine, whatever engine the other journeys use."""
    environment = {"ENGINE": "asterisk", "OUTBOUND_ALLOWED": f"{receiver.address},{HOST}:5060"}
    state = tmp_path_factory.mktemp("state")
    with running(state, receiver, database=platform_database, **environment) as platform:
        yield platform


@pytest.fixture
def acme(hire: Callable[..., Integrator], receiver: Receiver) -> Integrator:
    """A customer with a number at 0.12 a minute, and a trunk of its own that takes calls from HOST."""
    receiver.answers["/menu"] = {
        "actions": [{"gather": {"prompt": "Press two keys", "num_digits": 2, "timeout_seconds": 20}}, {"hangup": {}}]
    }
    acme = hire(funds="10", answer="/menu")
    factories.NumberFactory(
        customer=acme.customer,
        application=acme.application,
        number_e164=NUMBER,
        inbound_price_per_minute=Decimal("0.12"),
    )
    made = acme.request("POST", "/v1/trunks", {"name": "Own carrier", "proxy": f"{HOST}:5060"})
    assert made.status_code == 201, made.text
    trunk = Trunk.objects.get(public_id=made.json()["id"])
    Trunk.objects.filter(pk=trunk.pk).update(inbound_ip=HOST)  # which the API would not take: it is on the inside
    assert trunks.approve_inbound_ip(trunk=trunk, inbound_ip=HOST, now=clock.now())

    def is_on_the_engine() -> bool:
        trunk.refresh_from_db()
        return trunk.provisioned_for == trunk.updated_at

    until(is_on_the_engine, seconds=8, what="the trunk is on the engine")
    return acme


def caller(platform: Platform, *, host: str = HOST, dialled: str = NUMBER) -> Caller:
    assert platform.real_network is not None
    return Caller(host=host, sip_port=platform.real_network.asterisk.sip_port, dialled=dialled, caller_id=CALLER)


def test_a_caller_is_answered_pressed_keys_arrive_and_it_is_charged(
    acme: Integrator, receiver: Receiver, platform: Platform
) -> None:
    before = Call.objects.count()
    with caller(platform, host=STRANGER) as stranger:
        assert stranger.refused() == 401
    with caller(platform, dialled="+15551234199") as lost:
        assert lost.refused() == 404
    assert Call.objects.count() == before

    with caller(platform) as somebody:
        somebody.wait_for(180)
        somebody.wait_for_answer()
        call_id = Call.objects.latest("pk").public_id
        until(lambda: "action_started" in acme.timeline(call_id), seconds=8, what="the menu began")
        somebody.press("4")
        somebody.press("2")
        somebody.wait_for_bye()

    ended: dict[str, Any] = acme.ended(call_id)
    assert (ended["direction"], ended["from"], ended["to"]) == ("inbound", CALLER, NUMBER)
    assert (ended["status"], ended["end_reason"], ended["hangup_by"]) == ("completed", "hangup", "system")
    assert (ended["cost_amount"], acme.balance()["posted"]) == ("0.12", "9.88")
    expected = ["call.created", "call.answered", "call.gathered", "call.completed"]
    until(lambda: receiver.names(call_id) == expected, seconds=5, what="all four events arrived")
    assert receiver.events(call_id)[2]["data"]["digits"] == "42"
