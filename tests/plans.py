"""How PostgreSQL would go about a statement on a table that is large."""

from typing import Any

from django.db import connection


def plan_of(statement: str, values: Any) -> str:
    """Return the plan of a statement whose rows an index can give in order.

    The tables of a test are so small that reading them through, and sorting what is found, is cheapest: which of the
    indexes the planner then takes is chance. Where nothing but an index gives the order, neither is left to it.
    """
    with connection.cursor() as cursor:
        for way in ("seqscan", "bitmapscan", "sort"):
            cursor.execute(f"SET LOCAL enable_{way} = off")
        cursor.execute(f"EXPLAIN {statement}", values)
        return "\n".join(line for (line,) in cursor.fetchall())
