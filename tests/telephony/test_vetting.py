"""Promise 17 for SIP: a customer's trunk names public hosts only, and never the platform's own carriers."""

from urllib.parse import unquote

import pytest
from pytest_django.fixtures import Settings

from minivoice import errors
from telephony import sip, vetting
from telephony.models import Trunk
from tests import factories
from tests.minivoice.spellings import INSIDE_ADDRESSES, INSIDE_URLS

pytestmark = pytest.mark.django_db

INSIDE_HOSTS = sorted({unquote(url.removeprefix("http://").removesuffix("/")) for url in INSIDE_URLS})


@pytest.mark.parametrize("host", [*INSIDE_HOSTS, *(url.removeprefix("http://")[:-1] for url in INSIDE_URLS)])
def test_refuses_an_inside_proxy_in_any_spelling(names: dict[str, list[str]], host: str) -> None:
    for proxy in (host, f"{host}:5060"):
        with pytest.raises(errors.InvalidRequest, match="proxy must"):
            vetting.check(proxy=proxy)


@pytest.mark.parametrize("address", INSIDE_ADDRESSES)
def test_refuses_a_name_that_leads_inside(names: dict[str, list[str]], address: str) -> None:
    names["sip.acme.example"] = ["8.8.4.4", address]
    with pytest.raises(errors.InvalidRequest, match="proxy must"):
        vetting.check(proxy="sip.acme.example")


@pytest.mark.parametrize(
    "proxy",
    [
        "",
        " ",
        "sip:acme.example",
        "acme.example:0",
        "acme.example:65536",
        "acme.example:",
        "acme.example:5060:5060",
        "acme.example;transport=tcp",
        "acme.example,10.0.0.1",
        "acme.example\r\nx",
        "acme.example\n",
        "${ENV(HOST)}.example",
        "{acme}.example",
        "user@acme.example",
        "acme.example/x",
        "[8.8.8.8]",
        "8.8.8.8.9",
        "2606:4700:4700::1111",
        "a" * 64 + ".example",
        "acme_.exa_mple",
    ],
)
def test_refuses_what_is_no_host_or_port(names: dict[str, list[str]], proxy: str) -> None:
    with pytest.raises(errors.InvalidRequest, match="proxy must be a public host or host:port"):
        vetting.check(proxy=proxy or "[]")


@pytest.mark.parametrize(
    "proxy",
    [
        "sip.acme.example",
        "SIP.Acme.example.",
        "sip.acme.example:5080",
        "8.8.8.8:5060",
        "[2606:4700:4700::1111]:5061",
        "nobody.knows.example",
    ],
)
def test_accepts_public_hosts_and_names_that_do_not_resolve(names: dict[str, list[str]], proxy: str) -> None:
    factories.TrunkFactory()
    vetting.check(proxy=proxy, inbound_ip="8.8.8.8")


@pytest.mark.parametrize(
    "proxy",
    [
        *("carrier.example", "CARRIER.example.", "carrier.example:5999", "9.9.9.9", "9.9.9.9:5999"),
        *("alias.example", "[64:ff9b::909:909]", "8.8.8.1", "old.carrier.example"),
    ],
)
def test_refuses_a_carrier_of_the_platform_by_any_name(names: dict[str, list[str]], proxy: str) -> None:
    factories.TrunkFactory(proxy="Carrier.example", inbound_ip="8.8.8.1")
    factories.TrunkFactory(proxy="old.carrier.example:5060", is_active=False)
    names["alias.example"] = ["8.8.4.4", "9.9.9.9"]
    with pytest.raises(errors.InvalidRequest, match="proxy must not be an address that the platform uses itself"):
        vetting.check(proxy=proxy)


@pytest.mark.parametrize("address", ["9.9.9.9", "8.8.8.1"])
def test_refuses_an_inbound_address_of_the_platforms_carriers(names: dict[str, list[str]], address: str) -> None:
    factories.TrunkFactory(proxy="carrier.example", inbound_ip="8.8.8.1")
    with pytest.raises(errors.InvalidRequest, match="inbound_ip must not be"):
        vetting.check(inbound_ip=address)


def test_the_operator_may_exempt_a_host_and_port_but_not_a_platform_trunks(
    names: dict[str, list[str]], settings: Settings
) -> None:
    settings.OUTBOUND_ALLOWED = ["127.0.0.1:5070", "127.0.0.1:5071"]
    factories.TrunkFactory(proxy="127.0.0.1:5071")

    vetting.check(proxy="127.0.0.1:5070")
    for proxy in ("127.0.0.1:5071", "127.0.0.1:5072", "127.0.0.1"):
        with pytest.raises(errors.InvalidRequest):
            vetting.check(proxy=proxy)


def test_another_customers_carrier_may_be_named_too(names: dict[str, list[str]]) -> None:
    factories.TrunkFactory(customer=factories.CustomerFactory(), proxy="sip.acme.example")
    vetting.check(proxy="sip.acme.example")
    assert Trunk.objects.filter(customer=None).count() == 0


@pytest.mark.parametrize(
    "uri",
    [
        *("sip:acme.example", "sip:a@", "sips:a@acme.example", "SIP:a@acme.example", "sip:a@b@acme.example"),
        *(
            "sip:a@acme.example;transport=tcp",
            "sip:a@acme.example?x=y",
            "sip:a@acme.example\r\n",
            "sip:a b@acme.example",
        ),
        *("sip:a:secret@acme.example", "sip:${X}@acme.example", "sip:a,b@acme.example", "sip:a@acme.example:99999"),
    ],
)
def test_reads_no_sip_uri_with_more_than_user_host_and_port(uri: str) -> None:
    with pytest.raises(ValueError, match="not a"):
        sip.target_place(uri)
