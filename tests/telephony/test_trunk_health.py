"""What a trunk's page says of it: wrong password, unreachable, full, silent, each with its reason."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest

from calls import capacity, dialing
from minivoice import clock
from telephony import link, routing
from telephony.engines.ari_config import TrunkConfig
from telephony.models import Trunk
from telephony.provisioning import Load, Provisioner
from tests import factories
from tests.calls.steps import FakeEngine, answer, dial, end, latest
from tests.conftest import Actor

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("names")]


@dataclass
class FakeTrunks:
    """The engine's trunks at the edge: it takes each, and tells of them what a test says."""

    carrier_answers: bool = True
    registration: Mapping[str, bool] | None = None
    marks: dict[str, str] = field(default_factory=dict)

    @property
    def trunks(self) -> "FakeTrunks":
        return self

    def started_at(self) -> str:
        return "now"

    def mark(self, name: str) -> str:
        return self.marks.get(name, "")

    def put(self, config: TrunkConfig, *, mark: str) -> None:
        self.marks[config.name] = mark

    def remove(self, name: str) -> None:
        self.marks.pop(name, None)

    def reachable(self) -> dict[str, bool]:
        return dict.fromkeys(self.marks, self.carrier_answers)

    def registered(self) -> Mapping[str, bool] | None:
        return self.registration


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> FakeTrunks:
    fake = FakeTrunks()
    monkeypatch.setattr(link, "adapter", lambda: fake)
    return fake


@pytest.fixture
def trunk(engine: FakeTrunks, acme: Actor) -> Trunk:
    """The platform's trunk, just brought to the engine."""
    Trunk.objects.update(username="us", registers=True)
    return Trunk.objects.get()


def look(trunk: Trunk, *, later: float = 30, load: Load | None = None) -> str:
    """Bring the trunk to the engine, look again some seconds later, and return its state and reason."""
    provisioner, now = Provisioner(), clock.now()
    provisioner.linked()
    for at in (now, now + timedelta(seconds=later)):
        provisioner.step(now=at, load=lambda: load or Load())
    trunk.refresh_from_db()
    return f"{trunk.state}: {trunk.state_reason}"


def test_a_carrier_that_answers_and_registers_us_is_up(trunk: Trunk, engine: FakeTrunks) -> None:
    engine.registration = {"sip:us@carrier.example": True}
    assert look(trunk) == "up: "


def test_a_registration_refused_is_a_wrong_password(trunk: Trunk, engine: FakeTrunks) -> None:
    engine.registration = {"sip:us@carrier.example": False}
    assert look(trunk, later=5) == "pending: registering with the carrier"
    assert look(trunk) == "down: the carrier does not take our registration: are user name and password right?"


def test_a_carrier_that_is_silent_is_down(trunk: Trunk, engine: FakeTrunks) -> None:
    engine.carrier_answers = False
    assert look(trunk, later=5) == "pending: waiting for the carrier's first answer"
    assert look(trunk) == "down: no answer to OPTIONS from 9.9.9.9 (carrier.example, udp)"


def test_a_carrier_over_tls_that_is_silent_may_have_shown_a_wrong_certificate(trunk: Trunk, engine: FakeTrunks) -> None:
    Trunk.objects.update(transport="tls")
    engine.carrier_answers = False
    reason = "no answer to OPTIONS from 9.9.9.9 (carrier.example, tls): is its certificate valid for carrier.example?"
    assert look(trunk) == f"down: {reason}"


def test_an_engine_that_tells_nothing_of_registrations_is_believed_the_rest(trunk: Trunk, engine: FakeTrunks) -> None:
    engine.registration = None
    assert look(trunk) == "up: "


@pytest.mark.parametrize(("after_push", "state"), [(1, "down"), (-1, "up")])
def test_a_call_refused_for_its_credentials_counts_until_they_change(
    trunk: Trunk, engine: FakeTrunks, after_push: int, state: str
) -> None:
    refused_at: datetime = clock.now() + timedelta(seconds=after_push)
    said = look(trunk, load=Load(refusals={trunk.pk: (403, refused_at)}))
    assert said.partition(":")[0] == state
    assert ("with 403" in said) is (state == "down")


@pytest.mark.parametrize(("channels", "said"), [(2, "full: all 2 channels are in use"), (1, "up: ")])
def test_a_trunk_without_a_free_channel_is_full(trunk: Trunk, engine: FakeTrunks, channels: int, said: str) -> None:
    Trunk.objects.update(max_channels=2)
    assert look(trunk, load=Load(channels={trunk.pk: channels})) == said


def test_a_trunk_that_is_down_is_tried_last(trunk: Trunk) -> None:
    spare = factories.TrunkFactory(priority=200)
    for state, first in (("up", trunk), ("full", trunk), ("down", spare), ("refused", spare)):
        Trunk.objects.filter(pk=trunk.pk).update(state=state)
        customer = factories.CustomerFactory()
        routes = routing.outbound_trunks(customer_id=customer.pk, number="+15551230002")
        assert (routes[0].trunk_id, len(routes)) == (first.pk, 2)


@pytest.mark.usefixtures("nobody_dials")
def test_a_number_that_a_carrier_bars_sends_nobody_elses_calls_over_the_spare_trunk(
    trunk: Trunk, engine: FakeTrunks, acme: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once one 403 put the trunk last for an hour, and as no call went over it nothing could show better."""
    Trunk.objects.update(registers=False)
    factories.TrunkFactory(priority=200)
    exchange = FakeEngine()
    exchange.trunks = engine  # type: ignore[attr-defined]
    monkeypatch.setattr(link, "adapter", lambda: exchange)
    provisioner = Provisioner()
    provisioner.linked()
    provisioner.step(now=clock.now(), load=Load)
    answered = dial(acme)
    answer(answered, at=clock.now())
    end(answered, at=clock.now(), cause=16)

    end(dial(acme), at=clock.now(), sip_code=403)
    dialing.drain()
    later = clock.now() + timedelta(seconds=5)
    provisioner.step(now=later, load=lambda: capacity.load(now=later))

    assert latest(dial(acme)).trunk == trunk
