"""calls: whole calls on the simulated network, beside a bare ARI script on a simulated network of its own.

Both keep as many under way, in turn.
"""

import asyncio
from statistics import median
from typing import Any

from bench import whole
from bench.plan import Plan
from bench.stack import Stack

GOAL_PER_SECOND = 80
UNDER_WAY = 4  # calls for each connection of the plan


def run(plan: Plan, stack: Stack) -> dict[str, Any]:
    """Measure, print the table, and return the figures. Raises Failed when a call or a row is not as it must be."""
    script = whole.simulated_script(stack)
    with whole.platform(stack, engine="simulated") as (platform, integrator):
        pids = whole.pids(stack, platform)
        rounds = asyncio.run(whole.rounds(plan, pids, script, integrator, under_way=plan.connections * UNDER_WAY))
    per_second = median(load.rate for _, load in rounds)
    whole.show(rounds, ("median a second", f"{per_second:,.1f}", f"{GOAL_PER_SECOND}"))
    return {**whole.figures(plan, rounds), "per_second": per_second}
