"""Which trunks may carry a call, in the order they are tried."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.db import connection

from minivoice.prepared import Statement
from telephony import sip


@dataclass(frozen=True, slots=True)
class Route:
    """A trunk a call may take: its row, its endpoint on the engine, and whether it is the customer's own."""

    trunk_id: int
    endpoint: str
    is_own: bool


def outbound_trunks(
    *, customer_id: int, number: str, without: Sequence[int] = (), is_own: bool | None = None, only: int | None = None
) -> list[Route]:
    """Return the routes for a customer's call to `number` (E.164, or a SIP URI), best first.

    A customer with active outbound trunks of its own uses only those, others the platform's. By priority; those that
    are known to be down come last, or they could use up a call's attempts. `without` lists ids of trunks not to use
    again; `is_own` says that only the customer's own will do, or only the platform's: what a call was admitted for, it
    keeps. `only` is the id of the one trunk to use, the customer's or the platform's. A SIP URI is dialled over that
    trunk of the customer's own only to whose host it leads.
    """
    with connection.cursor() as cursor:
        _OUTBOUND.run(cursor, {"customer": customer_id})
        trunks = [trunk for trunk in cursor.fetchall() if only in (None, trunk[0])]
    own = [trunk for trunk in trunks if trunk[2]]
    if number.startswith("sip:"):
        own, trunks = [trunk for trunk in own if leads_to(number, trunk[4])], []
    elif is_own is not None:
        own, trunks = [], [trunk for trunk in trunks if trunk[2] is is_own]
    digits = number.removeprefix("+")
    return [
        Route(trunk_id, endpoint, is_own)
        for trunk_id, endpoint, is_own, prefixes, _ in own or trunks
        if trunk_id not in without and (not prefixes or digits.startswith(("sip:", *prefixes)))
    ]


def leads_to(target: str, proxy: str) -> bool:
    """Whether a SIP URI leads to a trunk's host; one without a port means the trunk's own. Raises ValueError."""
    wanted, there = sip.target_place(target), sip.place(proxy)
    return wanted.host == there.host and wanted.port in {None, there.sip_port}


_OUTBOUND = Statement("""
SELECT id, endpoint, customer_id IS NOT NULL, allowed_prefixes, proxy FROM telephony_trunk
WHERE is_active AND direction IN ('outbound', 'both') AND (customer_id = %(customer)s OR customer_id IS NULL)
ORDER BY state IN ('down', 'refused'), priority, id
""")
