"""Which addresses and URLs a customer may make us reach.

The rule is our own: `ipaddress.is_private` and `is_global` let NAT64 and 6to4 forms of loopback through.
"""

import re
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from django.conf import settings
from yarl import URL


def check_url(url: str) -> URL:
    """Return `url` parsed, by the parser that also connects, if a customer may name it.

    Judged are the spelling, and hosts that are addresses or plainly inside names. Names are not resolved:
    that would be network in a request, and the answer may change. `minivoice.outbound` decides on connect.

    Raises:
        ValueError: with a sentence for the customer.
    """
    if not url.isprintable() or " " in url or "\\" in url:
        raise ValueError("the URL must not contain spaces, control characters or backslashes")
    try:
        parsed = URL(url)
    except ValueError as error:
        raise ValueError("the URL cannot be understood") from error
    if parsed.scheme not in {"http", "https"} or not parsed.raw_host:
        raise ValueError("the URL must begin with http:// or https:// and a host")
    if parsed.raw_user is not None or parsed.raw_password is not None:
        raise ValueError("the URL must not contain a user name or a password")
    if not parsed.port:
        raise ValueError("the URL's port must be between 1 and 65535")
    if not is_allowed_inside(parsed.raw_host, parsed.port):
        _check_host(parsed.raw_host)
    return parsed


def is_public(address: str) -> bool:
    """Tell whether `address`, IPv4 or IPv6 in its usual spelling, is out in the public internet."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    if isinstance(parsed, IPv6Address):
        embedded = _embedded(parsed)
        if embedded is None:
            return parsed in _PUBLIC_6 and not any(parsed in network for network in _NOT_PUBLIC_6)
        parsed = embedded
    return not any(parsed in network for network in _NOT_PUBLIC_4)


def plain(address: str) -> str:
    """Return the usual spelling of an IP address, an IPv4 address inside an IPv6 one as itself.

    Raises ValueError for what is no IP address, or is one only within a zone.
    """
    parsed = ip_address(address)
    if isinstance(parsed, IPv6Address):
        if parsed.scope_id:
            raise ValueError("an address within a zone")
        parsed = _embedded(parsed) or parsed
    return str(parsed)


def is_allowed_inside(host: str, port: int) -> bool:
    """Tell whether `OUTBOUND_ALLOWED` lists this host and port: the inside that customers' URLs may reach."""
    return f"{host}:{port}" in settings.OUTBOUND_ALLOWED or f"[{host}]:{port}" in settings.OUTBOUND_ALLOWED


def _check_host(host: str) -> None:
    if ":" in host or _NUMBER.search(host):
        # What ends in a number is an address to most resolvers, however it is spelled: 0x7f.1, 2130706433.
        # Only the usual spelling is accepted, so that nobody reads it differently from us.
        if not is_public(host):
            raise ValueError("the URL's host must be a public address")
        return
    if len(host) > 253 or not _NAME.fullmatch(host):
        raise ValueError("the URL's host is not a valid name")
    if f".{host.removesuffix('.')}".endswith(_INSIDE_NAMES):
        raise ValueError("the URL's host must be a public name")


def _embedded(address: IPv6Address) -> IPv4Address | None:
    """Return the IPv4 address behind an IPv4-mapped or NAT64 address."""
    if address.ipv4_mapped:
        return address.ipv4_mapped
    return IPv4Address(int(address) & 0xFFFFFFFF) if address in _NAT64 else None


_NAT64 = IPv6Network("64:ff9b::/96")
_PUBLIC_6 = IPv6Network("2000::/3")
_NOT_PUBLIC_6 = (
    IPv6Network("2001::/23"),  # protocol assignments, Teredo among them
    IPv6Network("2001:db8::/32"),  # documentation
    IPv6Network("2002::/16"),  # 6to4
    IPv6Network("3fff::/20"),  # documentation
)
_NOT_PUBLIC_4 = (
    IPv4Network("0.0.0.0/8"),
    IPv4Network("10.0.0.0/8"),
    IPv4Network("100.64.0.0/10"),  # carriers' NAT
    IPv4Network("127.0.0.0/8"),
    IPv4Network("168.63.129.16/32"),  # a cloud's metadata, though the address looks public
    IPv4Network("169.254.0.0/16"),
    IPv4Network("172.16.0.0/12"),
    IPv4Network("192.0.0.0/24"),  # protocol assignments
    IPv4Network("192.0.2.0/24"),  # documentation
    IPv4Network("192.88.99.0/24"),  # 6to4 relays
    IPv4Network("192.168.0.0/16"),
    IPv4Network("198.18.0.0/15"),  # benchmarks
    IPv4Network("198.51.100.0/24"),  # documentation
    IPv4Network("203.0.113.0/24"),  # documentation
    IPv4Network("224.0.0.0/3"),  # multicast and reserved
)
_NUMBER = re.compile(r"(^|\.)([0-9]+|0x[0-9a-f]*)\.?$")
_NAME = re.compile(r"([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\.)+[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.?")
_INSIDE_NAMES = (".localhost", ".local", ".localdomain", ".internal", ".home.arpa")
