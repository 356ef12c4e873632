"""engine: whole calls on a real Asterisk with SIPp as its carrier, beside a bare ARI script on that same Asterisk.

Both keep as many under way, in turn. The switchboard, else idle, hears of the script's calls too.
"""

import asyncio
from typing import Any

from bench import whole
from bench.bare import Script
from bench.plan import Plan
from bench.stack import Stack
from telephony import link

GOAL_OF_BARE = 0.40
UNDER_WAY = 2  # calls for each connection of the plan


def run(plan: Plan, stack: Stack) -> dict[str, Any]:
    """Measure, print the table, and return the figures. Raises Failed when a call or a row is not as it must be."""
    with whole.platform(stack, engine="asterisk") as (platform, integrator):
        engine = link.engine()
        script = Script(url=engine.url, user=engine.user, password=engine.password, app="bare", endpoint=whole.ENDPOINT)
        pids = whole.pids(stack, platform)
        rounds = asyncio.run(whole.rounds(plan, pids, script, integrator, under_way=plan.connections * UNDER_WAY))
    whole.show(rounds, ("median share of the bare script", f"{whole.of_bare(rounds):.1%}", f"{GOAL_OF_BARE:.0%}"))
    return whole.figures(plan, rounds)
