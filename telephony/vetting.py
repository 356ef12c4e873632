"""Which hosts a customer's trunk may name: public ones, and none that the platform's own trunks use.

A carrier of the platform trusts our address; a customer that could name the same carrier would call there as us. The
rule is that of customers' URLs (`minivoice.addresses`, `OUTBOUND_ALLOWED` is exempt), for SIP. A name that does not
resolve is accepted when a trunk is saved: what brings it to the engine judges it again, and hands over the address
that was judged, so that the engine looks up nothing.
"""

import asyncio
from collections.abc import Collection

from minivoice import addresses, errors, outbound
from telephony import sip
from telephony.models import Trunk


def check(*, proxy: str = "", inbound_ip: str = "") -> None:
    """Judge what of a customer's trunk is new: its proxy (`host` or `host:port`), its inbound IP address.

    Asks name servers, two seconds at most: not for use inside a transaction. Raises InvalidRequest naming the field.
    """
    _judge(proxy, inbound_ip)


def addresses_of(trunk: Trunk) -> list[str]:
    """Return where a trunk's proxy is now, IPv4 first; none when its name does not resolve.

    A customer's is judged anew, whatever its name led to when it was saved: raises InvalidRequest as `check` does. The
    platform's own may be anywhere. Asks name servers as `check` does.
    """
    if trunk.customer_id is None:
        place = sip.place(trunk.proxy)
        found = _look_up({place.host})[place.host]
    else:
        found = _judge(trunk.proxy, trunk.inbound_ip or "", known=trunk.address)
    return sorted(found, key=lambda address: (":" in address, address))


def _judge(proxy: str, inbound_ip: str, *, known: str = "") -> set[str]:
    """Return the addresses of `proxy`, judged; while it has none, the one that is `known` is judged in their place."""
    platform = Trunk.objects.filter(customer=None).values_list("proxy", "inbound_ip", "address")
    theirs = {place for name, *_ in platform if (place := _place(name))}
    wanted = _public_place(proxy, theirs) if proxy else None
    if wanted is None and not inbound_ip:
        return set()
    found = _look_up({place.host for place in theirs} | ({wanted.host} if wanted else set()))
    taken = {plain for place in theirs for plain in found[place.host]}
    # Those known count whatever name servers say at this moment: who waits for them to fail gains nothing.
    taken |= {addresses.plain(address) for _, *known_ones in platform for address in known_ones if address}
    if wanted and not addresses.is_allowed_inside(wanted.host, wanted.sip_port):
        judged = found[wanted.host] or ({addresses.plain(known)} if known else set())
        if not all(map(addresses.is_public, judged)):
            raise errors.InvalidRequest("proxy must be a public host or host:port", param="proxy")
        if taken & judged:
            _refuse_platforms("proxy")
    if inbound_ip in taken:
        _refuse_platforms("inbound_ip")
    return found[wanted.host] if wanted else set()


def _public_place(proxy: str, theirs: Collection[sip.Place]) -> sip.Place:
    """Return the place whose addresses are to be judged, unless the operator exempts it."""
    wanted = _place(proxy)
    if wanted is None:
        raise errors.InvalidRequest("proxy must be a public host or host:port", param="proxy")
    if (wanted.host, wanted.sip_port) in {(place.host, place.sip_port) for place in theirs}:
        _refuse_platforms("proxy")
    if addresses.is_allowed_inside(wanted.host, wanted.sip_port):
        return wanted
    host = f"[{wanted.host}]" if ":" in wanted.host else wanted.host
    try:
        addresses.check_url(f"http://{host}:{wanted.sip_port}/")
    except ValueError as error:
        raise errors.InvalidRequest("proxy must be a public host or host:port", param="proxy") from error
    if wanted.host in {place.host for place in theirs}:
        _refuse_platforms("proxy")
    return wanted


def _refuse_platforms(field: str) -> None:
    raise errors.InvalidRequest(f"{field} must not be an address that the platform uses itself", param=field)


def _place(text: str) -> sip.Place | None:
    try:
        return sip.place(text)
    except ValueError:
        return None


def _look_up(hosts: Collection[str]) -> dict[str, set[str]]:
    """Return the addresses of each host in their usual spelling, asked for side by side; none when it has none."""

    async def look_up_all() -> list[set[str]]:
        lookup = outbound.SystemLookup()
        try:
            return await asyncio.gather(*(_addresses(host, lookup) for host in hosts))
        finally:
            await lookup.close()

    return dict(zip(hosts, asyncio.run(look_up_all()), strict=True))


async def _addresses(host: str, lookup: outbound.Lookup) -> set[str]:
    try:
        return {addresses.plain(host)}
    except ValueError:
        pass  # a name
    try:
        found = await lookup(host)
    except outbound.Failure:
        return set()
    return {address if "%" in address else addresses.plain(address) for address in found}
