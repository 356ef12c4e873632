"""Calls that come in over a registration: a carrier that demands digest is registered with, and calls the contact."""

from collections.abc import Iterator

import pytest

from telephony.engines.ari_config import TrunkConfig
from telephony.engines.facts import Arrival, Kind
from tests.telephony.engines.caller import Caller
from tests.telephony.engines.conftest import needs_asterisk
from tests.telephony.engines.listening import Ears, until
from tests.telephony.engines.real import RealEngine
from tests.telephony.engines.registrar import Registrar

pytestmark = needs_asterisk

HOST, OTHER_HOST = "127.0.0.61", "127.0.0.62"  # the carrier's; and one that nobody was told of
NUMBER, CALLER = "+15551230001", "+15557654321"
TRUNKS = {"registered_1": "acme", "registered_2": "globex"}


@pytest.fixture(scope="module")
def engine(asterisk: RealEngine) -> RealEngine:
    """The one that speaks SIP."""
    return asterisk


@pytest.fixture(scope="module")
def registrar(asterisk: RealEngine) -> Iterator[Registrar]:
    """A carrier that two trunks have registered with, as two users."""
    passwords = {user: f"{user}-secret" for user in TRUNKS.values()}
    with Registrar(host=HOST, passwords=passwords) as registrar:
        for name, user in TRUNKS.items():
            trunk = TrunkConfig(
                name=name,
                host=HOST,
                port=registrar.port,
                address=HOST,
                transport="udp",
                username=user,
                password=passwords[user],
                registers=True,
            )
            asterisk.ari.trunks.put(trunk, mark="m")
        until(lambda: registrar.contacts.keys() == set(passwords), seconds=15)
        yield registrar
        for name in TRUNKS:
            asterisk.ari.trunks.remove(name)


def calling(asterisk: RealEngine, contact: str, *headers: str, to: str = NUMBER, host: str = HOST) -> Caller:
    sip_port = asterisk.network.asterisk.sip_port
    return Caller(host=host, sip_port=sip_port, dialled=to, caller_id=CALLER, contact=contact, headers=headers)


@pytest.mark.parametrize(
    ("to", "headers"),
    [
        (NUMBER, ()),
        (NUMBER.removeprefix("+"), ()),
        ("acme", (f"P-Called-Party-ID: <sip:{NUMBER}@carrier.example;user=phone>",)),
        ("acme", (f'P-Called-Party-ID: "Acme, Inc." <sip:{NUMBER}@carrier.example>',)),
    ],
)
@pytest.mark.parametrize(("trunk", "user"), TRUNKS.items())
def test_a_call_to_the_contact_is_the_trunks_and_tells_its_number(
    asterisk: RealEngine, registrar: Registrar, trunk: str, user: str, to: str, headers: tuple[str, ...]
) -> None:
    contact = registrar.contacts[user]
    with Ears(asterisk.ari) as ears, calling(asterisk, contact, *headers, to=to) as caller:
        fact = ears.wait_for_arrival()
        caller.give_up()
        ears.wait_for(fact.channel_id, Kind.ENDED)

    dialled = NUMBER if headers else to
    assert fact.arrival == Arrival(endpoint=trunk, caller=CALLER, dialled=dialled)


def test_a_carrier_that_puts_the_number_in_the_contact_is_understood(
    asterisk: RealEngine, registrar: Registrar
) -> None:
    contact = registrar.contacts["acme"].replace("sip:minivoice@", f"sip:{NUMBER}@")
    with Ears(asterisk.ari) as ears, calling(asterisk, contact, to="acme") as caller:
        fact = ears.wait_for_arrival()
        caller.give_up()
        ears.wait_for(fact.channel_id, Kind.ENDED)
    assert fact.arrival == Arrival(endpoint="registered_1", caller=CALLER, dialled=NUMBER)


def test_the_contact_counts_before_the_address_that_is_another_trunks(
    asterisk: RealEngine, registrar: Registrar
) -> None:
    other = TrunkConfig(
        name="by_address", host=HOST, port=registrar.port, address=HOST, transport="udp", inbound_ip=HOST
    )
    asterisk.ari.trunks.put(other, mark="m")
    arrived = []
    for contact in (registrar.contacts["acme"], ""):
        with Ears(asterisk.ari) as ears, calling(asterisk, contact) as caller:
            fact = ears.wait_for_arrival()
            caller.give_up()
            ears.wait_for(fact.channel_id, Kind.ENDED)
        assert fact.arrival is not None
        arrived.append(fact.arrival.endpoint)
    asterisk.ari.trunks.remove("by_address")
    assert arrived == ["registered_1", "by_address"]


@pytest.mark.parametrize(
    "called",
    [
        "acme",
        "+1555123000a",
        "1,1:minivoice-out,s",
        "1:minivoice-out%2Cs",
        "%0A15551230001",
        "15551230001%0A",
        "$%7BENV(HOME)%7D",
        "%22%5D%20%7C%201",
    ],
)
def test_a_call_to_the_contact_that_tells_no_number_is_refused(
    asterisk: RealEngine, registrar: Registrar, called: str
) -> None:
    header = f"P-Called-Party-ID: <sip:{called}@carrier.example>"
    with Ears(asterisk.ari) as ears, calling(asterisk, registrar.contacts["acme"], header) as caller:
        assert caller.refused() == 404
    assert all(fact.kind is not Kind.ENTERED for fact in ears.heard)


@pytest.mark.parametrize("line", [";line=aaaaaaa", ""])
def test_a_stranger_who_does_not_know_the_contact_is_refused(
    asterisk: RealEngine, registrar: Registrar, line: str
) -> None:
    contact = registrar.contacts["acme"].partition(";")[0] + line
    with calling(asterisk, contact, host=OTHER_HOST) as stranger:
        assert stranger.refused() == 401
