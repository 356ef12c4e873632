"""Which trunks may carry a call, in the order they are tried."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.db import connection

from minivoice.prepared import Statement


@dataclass(frozen=True, slots=True)
class Route:
    """A trunk a call may take: its row, its endpoint on the engine, and whether it is the customer's own."""

    trunk_id: int
    endpoint: str
    is_own: bool


def outbound_trunks(
    *, customer_id: int, number: str, without: Sequence[int] = (), is_own: bool | None = None
) -> list[Route]:
    """Return the routes for a customer's call to `number` (E.164), best first.

    A customer with active outbound trunks of its own uses only those, others the platform's. `without` lists ids of
    trunks not to use again; `is_own` says that only the customer's own will do, or only the platform's: what a call was
    admitted for, it keeps.
    """
    with connection.cursor() as cursor:
        _OUTBOUND.run(cursor, {"customer": customer_id})
        trunks = cursor.fetchall()
    own = [trunk for trunk in trunks if trunk[2]]
    if is_own is not None:
        own, trunks = [], [trunk for trunk in trunks if trunk[2] is is_own]
    digits = number.removeprefix("+")
    return [
        Route(trunk_id, endpoint, is_own)
        for trunk_id, endpoint, is_own, prefixes in own or trunks
        if trunk_id not in without and (not prefixes or digits.startswith(tuple(prefixes)))
    ]


_OUTBOUND = Statement("""
SELECT id, endpoint, customer_id IS NOT NULL, allowed_prefixes FROM telephony_trunk
WHERE is_active AND direction IN ('outbound', 'both') AND (customer_id = %(customer)s OR customer_id IS NULL)
ORDER BY priority, id
""")
