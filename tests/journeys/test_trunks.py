"""A customer's trunk, made by API on a running platform with a real engine: called over, wrong, full, and back."""

import shutil
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from minivoice.local import engine
from minivoice.local.carrier import Carrier
from minivoice.local.kept import free_port
from minivoice.local.stack import Platform
from minivoice.local.supervisor import Supervisor
from telephony.models import Trunk
from tests.journeys.receiver import Receiver
from tests.journeys.stage import Integrator, running, until

INSTALLATION = engine.find()
pytestmark = pytest.mark.skipif(INSTALLATION is None, reason="no Asterisk here: run 'make engine' as root")

HOST = "127.0.0.33"  # the customer's carrier, on the inside here: the operator exempts it
OPEN, DEMANDING, NOBODY = free_port(), free_port(), 9
HEALTH_SECONDS = 35  # 30 are promised; the machine may be slow


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
    allowed = [receiver.address, *(f"{HOST}:{port}" for port in (OPEN, DEMANDING, NOBODY))]
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


def test_all_trunks_are_back_after_the_engines_state_was_wiped(acme: Integrator, platform: Platform) -> None:
    trunk = make(acme, port=OPEN)
    provisioned(trunk["id"])
    database: Path = platform.state / "asterisk" / "db"
    shutil.rmtree(database)
    database.mkdir()
    platform.kill("asterisk")

    def goes_through() -> bool:
        response = acme.create("+15551230901")
        return response.status_code == 201 and acme.ended(response.json()["id"])["status"] == "completed"

    until(goes_through, seconds=40, what="a call over the trunk", every=0.5)
    settled(acme, trunk["id"], "up")
