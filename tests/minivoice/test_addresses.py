"""Promise 17, on saving a URL: no spelling of an inside address passes."""

import pytest
from pytest_django.fixtures import Settings

from minivoice import addresses
from tests.minivoice.spellings import INSIDE_ADDRESSES, INSIDE_URLS


@pytest.mark.parametrize("url", INSIDE_URLS)
def test_refuses_an_inside_address_in_any_spelling(url: str) -> None:
    with pytest.raises(ValueError, match="the URL"):
        addresses.check_url(url)


@pytest.mark.parametrize("address", INSIDE_ADDRESSES)
def test_knows_what_is_not_public(address: str) -> None:
    assert not addresses.is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        "8.8.8.8",
        "1.1.1.1",
        "100.63.255.255",
        "100.128.0.0",
        "172.15.0.1",
        "172.32.0.1",
        "223.255.255.255",
        "168.63.129.15",
        "2606:4700:4700::1111",
        "2a00:1450:4001:81b::200e",
        "::ffff:8.8.8.8",
        "64:ff9b::8.8.8.8",
    ],
)
def test_knows_what_is_public(address: str) -> None:
    assert addresses.is_public(address)


@pytest.mark.parametrize(
    "url",
    [
        "https://example.test/answer",
        "http://example.com",
        "https://example.com:8443/a/b?c=d&e=%2F#f",
        "https://bücher.example/grüße",
        "https://a_b.example.com/",
        "https://example.com./",
        "https://8.8.8.8/hook",
        "https://[2606:4700:4700::1111]/hook",
        "https://7.example.com/",
        "HTTPS://EXAMPLE.COM/",
    ],
)
def test_accepts_public_urls_also_of_names_that_may_not_resolve(url: str) -> None:
    assert addresses.check_url(url).raw_host


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.com",
        "//example.com/",
        "http:example.com",
        "http:///path",
        "ftp://example.com/",
        "file:///etc/passwd",
        "gopher://example.com/",
        "javascript:alert(1)",
        "http://user@example.com/",
        "http://user:password@example.com/",
        "http://:@example.com/",
        "http://example.com:0/",
        "http://example.com:65536/",
        "http://example.com:http/",
        "http://example.com\\@example.org/",
        "http://exam ple.com/",
        " http://example.com/",
        "http://example.com/a b",
        "http://example.com/\r\nHost: inside",
        "http://example.com/\x00",
        "http://example.com/\u202e",
        "http://ex\u00adample.com/",
        "http://example..com/",
        "http://-example.com/",
        "http://" + "a" * 64 + ".com/",
        "http://" + "a." * 130 + "com/",
        "http://[::1",
    ],
)
def test_refuses_what_is_no_proper_url(url: str) -> None:
    with pytest.raises(ValueError, match="the URL"):
        addresses.check_url(url)


def test_accepts_inside_places_that_are_allowed_with_their_port_only(settings: Settings) -> None:
    settings.OUTBOUND_ALLOWED = ["127.0.0.1:9000", "playground:8001", "[::1]:9000"]

    for url in ("http://127.0.0.1:9000/hook", "http://playground:8001/", "http://[::1]:9000/"):
        assert addresses.check_url(url).port in {9000, 8001}
    for url in ("http://127.0.0.1:9001/", "http://127.1:9000/", "http://playground/", "http://[::1]/"):
        with pytest.raises(ValueError, match="the URL"):
            addresses.check_url(url)


@pytest.mark.parametrize(
    ("address", "usual"),
    [
        ("8.8.8.8", "8.8.8.8"),
        ("2606:4700:4700:0:0:0:0:1111", "2606:4700:4700::1111"),
        ("::ffff:8.8.8.8", "8.8.8.8"),
        ("64:ff9b::808:808", "8.8.8.8"),
    ],
)
def test_spells_one_address_in_one_way(address: str, usual: str) -> None:
    assert addresses.plain(address) == usual


@pytest.mark.parametrize("text", ["", "8.8.8", "0x8.8.8.8", "8.8.8.8/32", "2606:4700::1%eth0", "carrier.example"])
def test_spells_nothing_that_is_no_address_everywhere(text: str) -> None:
    with pytest.raises(ValueError, match="address"):
        addresses.plain(text)
