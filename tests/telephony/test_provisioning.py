"""Trunks come to the engine by themselves, and are judged again before they do: a simulated engine, real PostgreSQL."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db.models import Value

from minivoice import clock
from telephony import link, provisioning, trunks
from telephony.engines.facts import Answer, EngineUnreachable
from telephony.models import Trunk
from telephony.provisioning import Load, Provisioner
from tests import factories
from tests.conftest import Actor
from tests.telephony.engines.listening import SimulatedEngine, answers, order, until

pytestmark = pytest.mark.django_db

DYNAMIC = "/asterisk/config/dynamic/res_pjsip"


@pytest.fixture(scope="module")
def engine() -> Iterator[SimulatedEngine]:
    """A simulated engine."""
    simulated = SimulatedEngine()
    yield simulated
    simulated.stop()


@pytest.fixture
def provisioner(engine: SimulatedEngine, names: dict[str, list[str]], monkeypatch: pytest.MonkeyPatch) -> Provisioner:
    """What the switchboard runs, linked to an engine without trunks."""
    monkeypatch.setattr(link, "adapter", lambda: engine.ari)
    for name in engine.ari.trunks.reachable():
        engine.ari.trunks.remove(name)
    made = Provisioner()
    made.linked()
    return made


def step(provisioner: Provisioner, *, at: datetime | None = None, load: Load | None = None) -> int:
    return provisioner.step(now=at or clock.now(), load=lambda: load or Load())


def pushed(engine: SimulatedEngine, trunk: Trunk, kind: str = "endpoint") -> dict[str, str]:
    """Return the fields of one of the trunk's objects on the engine, none when it is not there."""
    simulator: Any = engine._simulator
    return dict(simulator.network.pushed.get((kind, trunk.endpoint), {}))


def test_a_trunk_made_by_api_is_on_the_engine_by_its_vetted_address(
    acme: Actor, acme_trunk: dict[str, Any], provisioner: Provisioner, engine: SimulatedEngine
) -> None:
    assert step(provisioner) == 2  # the platform's too

    trunk = Trunk.objects.get(public_id=acme_trunk["id"])
    assert pushed(engine, trunk, "aor")["contact"] == "sip:sip.acme.example"
    assert pushed(engine, trunk)["outbound_proxy"] == "sip:8.8.4.4:5060;lr;hide"
    assert (trunk.address, trunk.provisioned_for) == ("8.8.4.4", trunk.updated_at)
    shown = acme.client().get(f"/v1/trunks/{trunk.public_id}").json()
    assert (shown["state"], shown["state_reason"]) == ("up", None)
    assert step(provisioner) == 0


def test_a_change_replaces_what_was_there(
    acme: Actor, acme_trunk: dict[str, Any], provisioner: Provisioner, engine: SimulatedEngine
) -> None:
    trunk = Trunk.objects.get(public_id=acme_trunk["id"])
    changes = {"username": "acme", "password": "secret!", "registers": True, "transport": "tls", "srtp": True}
    trunks.change(trunk=trunk, changes=changes)
    step(provisioner)
    assert pushed(engine, trunk, "auth")["password"] == "secret!"
    assert pushed(engine, trunk, "registration")["server_uri"] == "sip:sip.acme.example;transport=tls"
    # Over TLS by its name, which the certificate is checked for.
    assert pushed(engine, trunk)["outbound_proxy"] == "sip:sip.acme.example:5061;transport=tls;lr;hide"
    assert (pushed(engine, trunk)["media_encryption"], pushed(engine, trunk)["outbound_auth"]) == (
        "sdes",
        trunk.endpoint,
    )

    row = Trunk.objects.get(pk=trunk.pk)
    trunks.change(trunk=row, changes={"registers": False, "srtp": False, "codecs": ["g722"]})
    assert step(provisioner) == 1

    assert pushed(engine, trunk, "registration") == {}
    assert (pushed(engine, trunk)["media_encryption"], pushed(engine, trunk)["allow"]) == ("no", "g722")


@pytest.mark.parametrize("how", ["deleted", "deactivated", "disabled"])
def test_a_trunk_out_of_use_is_taken_away(
    acme_trunk: dict[str, Any], provisioner: Provisioner, engine: SimulatedEngine, how: str
) -> None:
    trunk = Trunk.objects.get(public_id=acme_trunk["id"])
    step(provisioner)
    if how == "deleted":
        trunks.delete(trunk=trunk, now=clock.now())
    elif how == "disabled":
        trunks.switch(trunk=trunk, is_active=False, now=clock.now())
    else:
        trunks.change(trunk=trunk, changes={"is_active": False})

    assert step(provisioner) == 1

    assert [pushed(engine, trunk, kind) for kind in ("auth", "aor", "identify", "endpoint")] == [{}] * 4
    assert order(engine.ari, "after", "+15551230002", trunk=trunk.endpoint) is Answer.REFUSED
    trunk.refresh_from_db()
    assert (trunk.state, trunk.state_reason) == ("off", "disabled by support" if how == "disabled" else "")


def test_calls_from_an_address_are_let_in_once_it_is_approved(
    acme_trunk: dict[str, Any], provisioner: Provisioner, engine: SimulatedEngine
) -> None:
    trunk = Trunk.objects.get(public_id=acme_trunk["id"])
    trunks.change(trunk=trunk, changes={"inbound_ip": "8.8.8.8"})
    step(provisioner)
    assert pushed(engine, trunk, "identify") == {}

    assert trunks.approve_inbound_ip(trunk=trunk, inbound_ip="8.8.8.8", now=clock.now())
    assert step(provisioner) == 1

    assert pushed(engine, trunk, "identify") == {"endpoint": trunk.endpoint, "match": "8.8.8.8"}


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("10.0.0.5", "proxy must be a public host or host:port"),
        ("169.254.169.254", "proxy must be a public host or host:port"),
        ("::ffff:127.0.0.1", "proxy must be a public host or host:port"),
        ("9.9.9.9", "proxy must not be an address that the platform uses itself"),
    ],
)
@pytest.mark.parametrize("when", ["before it comes to the engine", "when it is there"])
def test_a_name_that_leads_elsewhere_after_it_was_saved_is_refused(
    acme_trunk: dict[str, Any],
    names: dict[str, list[str]],
    provisioner: Provisioner,
    engine: SimulatedEngine,
    address: str,
    reason: str,
    when: str,
) -> None:
    trunk, now = Trunk.objects.get(public_id=acme_trunk["id"]), clock.now()
    if when == "when it is there":
        step(provisioner, at=now)
        assert pushed(engine, trunk)
    names["sip.acme.example"] = [address]

    step(provisioner, at=now + timedelta(minutes=6))

    trunk.refresh_from_db()
    assert pushed(engine, trunk) == {}
    assert (trunk.state, trunk.state_reason) == ("refused", reason)


def test_a_platform_trunk_made_later_takes_its_carrier_from_a_customers(
    acme_trunk: dict[str, Any], provisioner: Provisioner, engine: SimulatedEngine
) -> None:
    trunk, now = Trunk.objects.get(public_id=acme_trunk["id"]), clock.now()
    step(provisioner, at=now)
    factories.TrunkFactory(proxy="8.8.4.4")

    step(provisioner, at=now + timedelta(minutes=6))

    assert pushed(engine, trunk) == {}


def test_a_name_server_that_is_silent_takes_nothing_away(
    acme_trunk: dict[str, Any], names: dict[str, list[str]], provisioner: Provisioner, engine: SimulatedEngine
) -> None:
    trunk, now = Trunk.objects.get(public_id=acme_trunk["id"]), clock.now()
    step(provisioner, at=now)
    names.clear()

    step(provisioner, at=now + timedelta(minutes=6))

    assert pushed(engine, trunk)["outbound_proxy"] == "sip:8.8.4.4:5060;lr;hide"
    trunks.change(trunk=trunk, changes={"proxy": "other.example"})
    step(provisioner, at=now + timedelta(minutes=7))
    trunk.refresh_from_db()
    assert (pushed(engine, trunk), trunk.state_reason) == ({}, "other.example does not resolve")


def test_strangers_are_taken_away_and_what_is_missing_is_brought_on_every_connect(
    acme_trunk: dict[str, Any], provisioner: Provisioner, engine: SimulatedEngine
) -> None:
    trunk = Trunk.objects.get(public_id=acme_trunk["id"])
    step(provisioner)
    engine.ari.trunks.remove(trunk.endpoint)
    stranger = factories.TrunkFactory(gateway_name="stranger")
    step(provisioner)
    Trunk.objects.filter(pk=stranger.pk).delete()

    provisioner.linked()
    step(provisioner)

    assert pushed(engine, trunk)
    assert "stranger" not in engine.ari.trunks.reachable()


def test_all_trunks_are_back_after_the_engine_lost_them(
    acme_trunk: dict[str, Any], provisioner: Provisioner, engine: SimulatedEngine
) -> None:
    step(provisioner)
    engine.restart()
    provisioner.unlinked()
    assert step(provisioner) == 0
    until(lambda: answers(engine.ari))
    provisioner.linked()

    step(provisioner)

    assert set(engine.ari.trunks.reachable()) == set(Trunk.objects.values_list("endpoint", flat=True))


def test_a_link_that_comes_while_trunks_are_compared_has_them_compared_again(
    acme_trunk: dict[str, Any], provisioner: Provisioner, engine: SimulatedEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    started_at = engine.ari.trunks.started_at

    def restarted_meanwhile() -> str:
        before = started_at()
        engine.restart()
        until(lambda: answers(engine.ari))
        provisioner.linked()
        return before

    with monkeypatch.context() as patched:
        patched.setattr(engine.ari.trunks, "started_at", restarted_meanwhile)
        step(provisioner)

    assert step(provisioner) == 2
    assert step(provisioner) == 0


def test_what_is_there_already_is_not_brought_again(
    acme_trunk: dict[str, Any], provisioner: Provisioner, engine: SimulatedEngine
) -> None:
    step(provisioner)
    before = list(Trunk.objects.order_by("pk").values_list("provisioned_at", flat=True))

    provisioner.linked()
    step(provisioner)

    assert list(Trunk.objects.order_by("pk").values_list("provisioned_at", flat=True)) == before


def test_an_engine_that_is_away_leaves_every_trunk_due(
    acme_trunk: dict[str, Any], provisioner: Provisioner, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away() -> None:
        raise EngineUnreachable("away")

    with monkeypatch.context() as patched:
        patched.setattr(link, "adapter", away)
        with pytest.raises(EngineUnreachable):
            step(provisioner)
    assert Trunk.objects.filter(provisioned_for=None).count() == Trunk.objects.count()

    assert step(provisioner) == Trunk.objects.count()


def test_what_the_engine_refuses_says_so(
    acme_trunk: dict[str, Any], provisioner: Provisioner, engine: SimulatedEngine
) -> None:
    Trunk.objects.filter(public_id=acme_trunk["id"]).update(codecs=["opus"])
    step(provisioner)
    trunk = Trunk.objects.get(public_id=acme_trunk["id"])
    assert (trunk.state, trunk.state_reason) == ("refused", "the engine does not take these settings")
    assert pushed(engine, trunk, "aor") == {}


def test_a_change_made_meanwhile_is_not_overlooked(
    acme_trunk: dict[str, Any], provisioner: Provisioner, engine: SimulatedEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    trunk = Trunk.objects.get(public_id=acme_trunk["id"])
    put = engine.ari.trunks.put

    def changed_meanwhile(*given: Any, **named: Any) -> None:
        put(*given, **named)
        if given[0].name == trunk.endpoint:
            trunks.change(trunk=Trunk.objects.get(pk=trunk.pk), changes={"codecs": ["g722"]})

    with monkeypatch.context() as patched:
        patched.setattr(engine.ari.trunks, "put", changed_meanwhile)
        step(provisioner)

    assert step(provisioner) == 1
    assert pushed(engine, trunk)["allow"] == "g722"


def test_a_remembered_address_is_judged_though_names_lead_nowhere_now(
    acme_trunk: dict[str, Any], provisioner: Provisioner, engine: SimulatedEngine, names: dict[str, list[str]]
) -> None:
    """Who waits for a name server to fail must not keep a carrier of the platform's."""
    step(provisioner)
    trunk = Trunk.objects.get(public_id=acme_trunk["id"])
    Trunk.objects.filter(customer=None).update(address=trunk.address)
    names.clear()
    Trunk.objects.filter(pk=trunk.pk).update(check_at=clock.now())

    step(provisioner)

    trunk.refresh_from_db()
    assert (trunk.state, trunk.address) == ("refused", "")
    assert pushed(engine, trunk) == {}


def test_a_password_that_cannot_be_read_stops_that_trunk_alone(
    acme_trunk: dict[str, Any], provisioner: Provisioner, engine: SimulatedEngine
) -> None:
    trunk = Trunk.objects.defer("password").get(public_id=acme_trunk["id"])
    Trunk.objects.filter(pk=trunk.pk).update(password=Value("of a key that is gone"))

    assert step(provisioner) == 2

    row = Trunk.objects.defer("password").get(pk=trunk.pk)
    assert (row.state, row.state_reason) == ("refused", "its password cannot be read")
    assert pushed(engine, Trunk.objects.get(customer=None)) != {}


def test_what_was_changed_comes_before_what_is_looked_up_again(
    acme_trunk: dict[str, Any], provisioner: Provisioner, engine: SimulatedEngine
) -> None:
    step(provisioner)
    Trunk.objects.update(check_at=clock.now() - timedelta(hours=1))
    changed = trunks.change(
        trunk=Trunk.objects.get(public_id=acme_trunk["id"]), changes={"name": "Changed", "username": "new"}
    )
    Trunk.objects.filter(pk=changed.pk).update(check_at=clock.now() + timedelta(minutes=5))

    assert provisioning._due(clock.now())[0].pk == changed.pk


def test_an_address_is_taken_from_the_trunk_that_had_it_before_another_has_it(
    acme: Actor, acme_trunk: dict[str, Any], provisioner: Provisioner
) -> None:
    """Once the new trunk came first: a call in that moment was the old one's, and refused."""
    step(provisioner)
    trunks.delete(trunk=Trunk.objects.get(public_id=acme_trunk["id"]), now=clock.now())
    made = factories.TrunkFactory(customer=acme.customer)

    assert [trunk.public_id for trunk in provisioning._due(clock.now())] == [acme_trunk["id"], made.public_id]
