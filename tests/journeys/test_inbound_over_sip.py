"""Calls that come in over SIP to a real engine, through a trunk made by API and approved by staff seconds before."""

from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from calls.models import Call
from minivoice import clock
from minivoice.local import engine
from minivoice.local.kept import free_port
from minivoice.local.stack import Platform
from telephony import trunks
from telephony.models import Trunk
from tests import factories
from tests.journeys.receiver import Receiver
from tests.journeys.sipp import Calling
from tests.journeys.stage import Integrator, running, until
from tests.telephony.engines.caller import Caller
from tests.telephony.engines.listening import until_heard
from tests.telephony.engines.phone import Phone
from tests.telephony.engines.registrar import Registrar

pytestmark = pytest.mark.skipif(engine.find() is None, reason="no Asterisk here: run 'make engine' as root")

HOST, STRANGER, PORT = "127.0.0.41", "127.0.0.42", free_port()
CALLER, CALLEE = "+15557654321", "+15551230777"
PER_MINUTE = Decimal("0.0085")  # of calls to CALLEE, by the demo's deck
CALLERS_HUM, CALLEES_HUM = 880, 1320  # Hz


@pytest.fixture(scope="module")
def platform_database() -> str:
    """Of this module's own platform."""
    return "inbound_journeys"


@pytest.fixture(scope="module")
def platform(
    tmp_path_factory: pytest.TempPathFactory, receiver: Receiver, platform_database: str
) -> Iterator[Platform]:
    """A platform on a real engine, whatever engine the other journeys use."""
    environment = {"ENGINE": "asterisk", "OUTBOUND_ALLOWED": f"{receiver.address},{HOST}:{PORT}"}
    state = tmp_path_factory.mktemp("state")
    with running(state, receiver, database=platform_database, **environment) as platform:
        yield platform


@pytest.fixture
def acme(hire: Callable[..., Integrator], receiver: Receiver) -> Iterator[Integrator]:
    """A customer with a trunk of its own that takes calls from HOST, approved seconds ago."""
    receiver.answers["/menu"] = {
        "actions": [
            {"say": {"text": "Welcome"}},
            {"gather": {"prompt": "Press two keys", "num_digits": 2, "timeout_seconds": 20}},
            {"hangup": {}},
        ]
    }
    acme = hire(funds="10", answer="/menu")
    made = acme.request("POST", "/v1/trunks", {"name": "Own carrier", "proxy": f"{HOST}:{PORT}"})
    assert made.status_code == 201, made.text
    trunk = Trunk.objects.get(public_id=made.json()["id"])
    Trunk.objects.filter(pk=trunk.pk).update(inbound_ip=HOST)  # which the API would not take: it is on the inside
    assert trunks.approve_inbound_ip(trunk=trunk, inbound_ip=HOST, now=clock.now())

    def is_on_the_engine() -> bool:
        trunk.refresh_from_db()
        return trunk.provisioned_for == trunk.updated_at

    until(is_on_the_engine, seconds=8, what="the trunk is on the engine")
    yield acme
    trunks.delete(trunk=trunk, now=clock.now())


def assign(acme: Integrator, number: str, **more: Any) -> str:
    """Give acme a number at 0.12 a minute."""
    price = Decimal("0.12")
    given = {"customer": acme.customer, "application": acme.application, "inbound_price_per_minute": price}
    factories.NumberFactory(number_e164=number, **given, **more)
    return number


def sip_port(platform: Platform) -> int:
    assert platform.real_network is not None
    return platform.real_network.asterisk.sip_port


def calling(platform: Platform, folder: Path, *, host: str = HOST, number: str) -> Calling:
    return Calling(folder=folder, host=host, sip_port=sip_port(platform), number=number, caller_id=CALLER)


def test_a_caller_is_answered_pressed_keys_arrive_and_it_is_charged(
    acme: Integrator, receiver: Receiver, platform: Platform, tmp_path: Path
) -> None:
    number = assign(acme, "+15551234100")
    before = Call.objects.count()
    assert calling(platform, tmp_path, host=STRANGER, number=number).refused() == 401
    assert calling(platform, tmp_path, number="+15551234199").refused() == 404
    assert Call.objects.count() == before

    heard = calling(platform, tmp_path, number=number)
    assert heard.end() == ""

    call_id = Call.objects.latest("pk").public_id
    ended: dict[str, Any] = acme.ended(call_id)
    assert (ended["direction"], ended["from"], ended["to"]) == ("inbound", CALLER, number)
    assert (ended["status"], ended["end_reason"], ended["hangup_by"]) == ("completed", "hangup", "system")
    assert (ended["cost_amount"], acme.balance()["posted"]) == ("0.12", "9.88")
    expected = ["call.created", "call.answered", "call.gathered", "call.completed"]
    until(lambda: receiver.names(call_id) == expected, seconds=5, what="all four events arrived")
    assert receiver.events(call_id)[2]["data"]["digits"] == "42"


@pytest.mark.parametrize(("number", "first"), [("+15551234101", "caller"), ("+15551234102", "callee")])
def test_a_forwarded_caller_and_the_callee_hear_each_other_until_one_hangs_up(
    acme: Integrator, receiver: Receiver, platform: Platform, number: str, first: str
) -> None:
    assign(acme, number, route_mode="sip", routing_target=CALLEE)
    with (
        Phone(host=HOST, port=PORT, hertz=CALLEES_HUM) as phone,
        Caller(host=HOST, sip_port=sip_port(platform), dialled=number, caller_id=CALLER, hertz=CALLERS_HUM) as caller,
    ):
        caller.wait_for_answer()
        until_heard(caller.sound.heard, CALLEES_HUM)
        until_heard(phone.heard, CALLERS_HUM)
        if first == "caller":
            caller.hang_up()
            assert phone.parted.wait(5)
        else:
            phone.hang_up()
            caller.wait_for_bye()
        [invite] = phone.invited
        assert (invite.number, number in invite.header("From")) == (CALLEE, True)

    call = Call.objects.get(to_number=number)
    ended = acme.ended(call.public_id)
    [leg] = acme.request("GET", f"/v1/calls?parent_call_id={call.public_id}").json()["data"]
    leg = acme.ended(leg["id"])
    reason = "caller_hung_up" if first == "caller" else "hangup"
    assert (ended["status"], ended["end_reason"], ended["hangup_by"]) == ("completed", reason, first)
    assert (leg["status"], leg["end_reason"], leg["hangup_by"]) == ("completed", "hangup", first)
    assert (ended["billable_seconds"], ended["cost_amount"]) == (60, "0.12")
    assert Decimal(leg["cost_amount"]) == PER_MINUTE * leg["billable_seconds"] / 60 > 0
    assert Decimal(acme.balance()["posted"]) == Decimal("9.88") - Decimal(leg["cost_amount"])
    assert acme.balance()["held"] == "0.00"
    expected = ["call.created", "call.answered", "call.completed"]
    until(lambda: receiver.names(call.public_id) == expected, seconds=5, what="the events of the call")


def test_callers_meet_in_a_conference_until_its_host_hangs_up(
    acme: Integrator, receiver: Receiver, platform: Platform
) -> None:
    number = assign(acme, "+15551234104")
    receiver.answers["/menu"] = {"actions": [{"conference": {"room": "lobby", "end_on_exit": True}}]}
    where = {"host": HOST, "sip_port": sip_port(platform), "dialled": number, "caller_id": CALLER}
    with Caller(**where, hertz=CALLERS_HUM) as host:
        host.wait_for_answer()
        receiver.answers["/menu"] = {"actions": [{"conference": {"room": "lobby"}}]}
        with Caller(**where, hertz=CALLEES_HUM) as guest:
            guest.wait_for_answer()
            until_heard(host.sound.heard, CALLEES_HUM)
            until_heard(guest.sound.heard, CALLERS_HUM)
            host.hang_up()
            guest.wait_for_bye()

    first, second = (acme.ended(call.public_id) for call in Call.objects.filter(to_number=number).order_by("pk"))
    assert (first["end_reason"], second["end_reason"]) == ("caller_hung_up", "hangup")
    assert "conference_ended" in acme.timeline(second["id"])


def test_a_call_to_the_contact_of_a_registration_reaches_the_customers_number(
    acme: Integrator, platform: Platform
) -> None:
    number = assign(acme, "+15551234103")
    body = {
        "name": "Registering",
        "proxy": f"{HOST}:{PORT}",
        "registers": True,
        "username": "acme",
        "password": "right!one",
    }
    with Registrar(host=HOST, port=PORT, passwords={"acme": "right!one"}) as registrar:
        trunk_id = acme.request("POST", "/v1/trunks", body).json()["id"]
        until(lambda: registrar.contacts, seconds=15, what="it is registered")
        with Caller(
            host=STRANGER,
            sip_port=sip_port(platform),
            dialled=number,
            caller_id=CALLER,
            contact=registrar.contacts["acme"],
        ) as caller:
            caller.wait_for_answer()
            caller.hang_up()

    ended = acme.ended(Call.objects.get(to_number=number).public_id)
    assert (ended["from"], ended["trunk_id"]) == (CALLER, trunk_id)
    assert (ended["status"], ended["end_reason"]) == ("completed", "caller_hung_up")
