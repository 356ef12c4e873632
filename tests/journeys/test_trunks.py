"""A customer's trunk, made by API on a running platform with a real engine: called over, wrong, full, and back."""

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from minivoice import clock
from minivoice.local import engine
from minivoice.local.carrier import Carrier
from minivoice.local.kept import free_port
from minivoice.local.stack import Platform
from minivoice.local.supervisor import Supervisor
from telephony.models import Trunk
from tests import factories
from tests.journeys.receiver import Receiver
from tests.journeys.scripted import Script, ScriptedCarrier
from tests.journeys.stage import Integrator, running, until
from tests.telephony.engines.registrar import Registrar

INSTALLATION = engine.find()
pytestmark = pytest.mark.skipif(INSTALLATION is None, reason="no Asterisk here: run 'make engine' as root")

HOST = "127.0.0.33"  # the customer's carrier, on the inside here: the operator exempts it
OPEN, DEMANDING, FIRST, SECOND, PLATFORMS, NOBODY = *(free_port() for _ in range(5)), 9
# A number for each script of the first carrier's: SIP codes, none for silence.
NO_RING = (401, 403, 407, 408, 480, 488, 500, 502, 503, 504)  # of telephony.md: the next trunk may try
MAY_HAVE_RUNG = (404, 410, 433, 484, 486, 487, 501, 580, 600, 603, 604, 607)
SCRIPTS = {
    f"+1555124{number:04}": script
    for number, script in enumerate(
        [
            (),
            *((code,) for code in (*NO_RING, *MAY_HAVE_RUNG)),
            *((ring, code) for ring in (180, 183) for code in (403, 408, 480, 486, 500, 503)),
        ]
    )
}
HEALTH_SECONDS = 30  # that are promised


def answering(_number: str) -> Script:
    return 180, 200


@pytest.fixture(scope="module")
def carriers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """SIPp as the customer's carriers: one takes every call, the other wants a password."""
    assert INSTALLATION is not None
    folder = tmp_path_factory.mktemp("carriers")
    supervisor = Supervisor(logs=folder / "logs", say=print)
    for name, port, first in (("open", OPEN, 26_000), ("demanding", DEMANDING, 27_000)):
        carrier = Carrier(
            name=f"customers-{name}",
            installation=INSTALLATION,
            folder=folder,
            host=HOST,
            port=port,
            rtp_ports=(first, first + 999),
            by_info=True,
            is_demanding=name == "demanding",
        )
        supervisor.start(replace(carrier.process(), stop_signal=signal.SIGKILL))
    yield
    supervisor.stop()


@pytest.fixture(scope="module")
def platform_database() -> str:
    """Of this module's own platform."""
    return "trunk_journeys"


@pytest.fixture(scope="module")
def platform(
    tmp_path_factory: pytest.TempPathFactory, receiver: Receiver, carriers: None, platform_database: str
) -> Iterator[Platform]:
    """A platform on a real engine, whatever engine the other journeys use."""
    allowed = [receiver.address, *(f"{HOST}:{port}" for port in (OPEN, DEMANDING, FIRST, SECOND, NOBODY))]
    environment = {"ENGINE": "asterisk", "OUTBOUND_ALLOWED": ",".join(allowed)}
    state = tmp_path_factory.mktemp("state")
    with running(state, receiver, database=platform_database, **environment) as platform:
        yield platform


@pytest.fixture
def acme(hire: Callable[..., Integrator], receiver: Receiver) -> Integrator:
    """A customer that will bring its own carrier, and whose calls last until they are ended."""
    receiver.answers["/wait"] = {"actions": [{"pause": {"seconds": 60}}]}
    return hire(answer="/wait")


def make(acme: Integrator, *, port: int, **fields: Any) -> dict[str, Any]:
    body = {"name": "Own carrier", "proxy": f"{HOST}:{port}", **fields}
    response = acme.request("POST", "/v1/trunks", body)
    assert response.status_code == 201, response.text
    made: dict[str, Any] = response.json()
    return made


def settled(acme: Integrator, trunk_id: str, *states: str, seconds: float = HEALTH_SECONDS) -> dict[str, Any]:
    """The trunk, once its state is one of those."""

    def look() -> dict[str, Any] | None:
        body: dict[str, Any] = acme.request("GET", f"/v1/trunks/{trunk_id}").json()
        return body if body["state"] in states else None

    found: dict[str, Any] = until(look, seconds=seconds, what=f"{trunk_id} is {states}", every=0.2)
    return found


def provisioned(trunk_id: str) -> None:
    until(
        lambda: Trunk.objects.get(public_id=trunk_id).provisioned_for is not None,
        seconds=6,
        what=f"{trunk_id} is on the engine",
    )


def test_a_call_goes_over_a_trunk_made_seconds_before(acme: Integrator) -> None:
    trunk = make(acme, port=OPEN)
    provisioned(trunk["id"])

    call_id = acme.create("+15551230901").json()["id"]

    ended = acme.ended(call_id)
    assert (ended["status"], ended["trunk_id"]) == ("completed", trunk["id"])
    assert settled(acme, trunk["id"], "up")["state_reason"] is None


def test_a_carrier_that_wants_a_password_and_a_registration_gets_them(acme: Integrator) -> None:
    trunk = make(acme, port=DEMANDING, username="acme", password="right!one", registers=True)

    settled(acme, trunk["id"], "up")

    ended = acme.ended(acme.create("+15551230002").json()["id"])
    assert (ended["status"], ended["end_reason"], ended["trunk_id"]) == ("completed", "hangup", trunk["id"])


def test_what_is_wrong_with_a_trunk_is_shown_within_thirty_seconds(acme: Integrator) -> None:
    wrong = make(acme, port=DEMANDING, username="acme", password="wrong", registers=True)
    silent = make(acme, port=NOBODY)
    unknown = make(acme, port=NOBODY, proxy="nowhere.invalid")

    refused = settled(acme, unknown["id"], "refused", "down")
    assert refused["state_reason"] == "nowhere.invalid does not resolve"
    told = settled(acme, silent["id"], "refused", "down")
    assert told["state_reason"] == f"no answer to OPTIONS from {HOST} ({HOST}:{NOBODY}, udp)"
    told = settled(acme, wrong["id"], "refused", "down")
    assert told["state_reason"].startswith("the carrier does not take our registration")


def test_a_wrong_password_without_registration_is_shown_after_a_call(acme: Integrator) -> None:
    trunk = make(acme, port=DEMANDING, username="acme", password="wrong")
    provisioned(trunk["id"])

    ended = acme.ended(acme.create("+15551230002").json()["id"])

    assert (ended["status"], ended["end_reason"]) == ("failed", "trunk_failed")
    assert "user name and password" in settled(acme, trunk["id"], "down")["state_reason"]


def test_a_full_trunk_says_so_and_the_next_call_waits_for_its_channel(acme: Integrator) -> None:
    trunk = make(acme, port=OPEN, max_channels=1)
    provisioned(trunk["id"])
    first = acme.create("+15551230908").json()["id"]
    until(lambda: acme.call(first)["status"] == "in_progress", seconds=5, what="the first call is up")

    second = acme.create("+15551230901").json()["id"]

    assert settled(acme, trunk["id"], "full")["state_reason"] == "all 1 channels are in use"
    assert acme.call(second)["status"] == "queued"
    both = [acme.ended(call_id, seconds=30) for call_id in (first, second)]
    assert [call["status"] for call in both] == ["completed", "completed"]
    assert both[0]["ended_at"] <= both[1]["dialing_at"]


def test_two_customers_on_one_channel_of_the_platform_have_one_call_at_a_time(
    acme: Integrator, hire: Callable[..., Integrator], receiver: Receiver
) -> None:
    receiver.answers["/hang-up"] = {"actions": [{"hangup": {}}]}
    customers = [hire(name, answer="/hang-up") for name in ("globex", "initech")]
    platforms = Trunk.objects.filter(customer=None, is_active=True)
    usual = list(platforms.values_list("pk", flat=True))
    platforms.update(is_active=False)
    only = factories.TrunkFactory(gateway_name="one-channel", proxy=f"{HOST}:{PLATFORMS}", max_channels=1)
    try:
        with ScriptedCarrier(host=HOST, port=PLATFORMS, script=answering) as carrier:
            provisioned(only.public_id)
            calls = [(each, each.create(f"+1555124900{n}").json()["id"]) for n, each in enumerate(customers * 2)]
            ended = [each.ended(call_id, seconds=30) for each, call_id in calls]
    finally:
        Trunk.objects.filter(pk=only.pk).update(is_active=False)
        Trunk.objects.filter(pk__in=usual).update(is_active=True)

    assert [(call["status"], call["trunk_id"]) for call in ended] == [("completed", only.public_id)] * 4
    assert (carrier.most_at_once, set(carrier.invited.values()), len(carrier.invited)) == (1, {1}, 4)


def test_a_refused_call_goes_on_over_the_next_trunk_only_where_no_phone_can_have_rung(
    hire: Callable[..., Integrator], receiver: Receiver
) -> None:
    receiver.answers["/hang-up"] = {"actions": [{"hangup": {}}]}
    acme = hire(funds="1000", answer="/hang-up")
    with (
        ScriptedCarrier(host=HOST, port=FIRST, script=SCRIPTS.__getitem__, is_open=False) as first,
        ScriptedCarrier(host=HOST, port=SECOND, script=answering) as second,
    ):
        for priority, port in enumerate((FIRST, SECOND), start=1):
            provisioned(make(acme, port=port, priority=priority)["id"])
        with ThreadPoolExecutor(4) as creating:
            calls = dict(
                zip(SCRIPTS, creating.map(lambda number: acme.create(number).json()["id"], SCRIPTS), strict=True)
            )
        until(lambda: len(first.invited) == len(SCRIPTS), seconds=15, what="every call is at the first carrier")
        first.open()
        ended = {number: acme.ended(call_id) for number, call_id in calls.items()}

    goes_on = {number for number, script in SCRIPTS.items() if not script or script[0] in NO_RING}
    assert set(second.invited) == goes_on
    assert {number for number, call in ended.items() if call["status"] == "completed"} == goes_on
    assert set(first.invited.values()) == set(second.invited.values()) == {1}
    assert set((first.rung + second.rung).values()) == {1}


def test_a_trunk_that_cannot_be_reached_and_one_that_is_full_are_passed_over(acme: Integrator) -> None:
    with (
        ScriptedCarrier(host=HOST, port=FIRST, script=lambda _: (180,)) as ringing,
        ScriptedCarrier(host=HOST, port=SECOND, script=answering) as carrier,
    ):
        make(acme, port=NOBODY, transport="tcp", priority=1)
        full = make(acme, port=FIRST, priority=2, max_channels=1)
        provisioned(full["id"])
        provisioned(make(acme, port=SECOND, priority=3)["id"])
        first = acme.create("+15551249101").json()["id"]
        until(lambda: acme.call(first)["status"] == "ringing", seconds=10, what="the only channel is in use")

        second = acme.create("+15551249102").json()["id"]

        until(lambda: acme.call(second)["status"] == "in_progress", seconds=10, what="the next call is up")
        for call_id in (first, second):
            acme.request("POST", f"/v1/calls/{call_id}/hangup")
            acme.ended(call_id)
    assert (dict(ringing.invited), dict(carrier.invited)) == ({"+15551249101": 1}, {"+15551249102": 1})


def test_all_trunks_are_back_after_the_engines_state_was_wiped(acme: Integrator, platform: Platform) -> None:
    with Registrar(host=HOST, port=FIRST, passwords={"acme": "right!one"}) as registrar:
        made = [make(acme, port=OPEN, name=f"Carrier {number}")["id"] for number in range(10)]
        made.append(make(acme, port=FIRST, username="acme", password="right!one", registers=True, priority=99)["id"])
        until(lambda: registrar.contacts, seconds=10, what="one is registered")
        database: Path = platform.state / "asterisk" / "db"
        os.kill(platform.pids["asterisk"], signal.SIGSTOP)  # it writes there, and registers again, no more
        shutil.rmtree(database)
        database.mkdir()
        registrar.contacts.clear()
        killed_at = clock.now()
        died = platform.kill("asterisk")
        assert platform.real_network is not None
        asterisk = platform.real_network.asterisk
        until(lambda: platform.pids["asterisk"] != died and asterisk.is_ready(), seconds=20, what="the engine is back")

        missing = Trunk.objects.filter(public_id__in=made).exclude(provisioned_at__gt=killed_at)
        until(lambda: registrar.contacts and not missing.exists(), seconds=30, what="all trunks are back", every=0.2)

    ended = acme.ended(acme.create("+15551230901").json()["id"])
    assert (ended["status"], ended["trunk_id"]) == ("completed", made[0])
