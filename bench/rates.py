"""rates: what a call's price costs to look up, in a deck of `--rates` prefixes against one of 250."""

import time
from dataclasses import asdict
from random import Random
from statistics import median, quantiles
from typing import Any

from bench import results, world
from bench.clients import Failed
from bench.plan import Plan
from bench.stack import Stack
from billing import rates
from billing.models import Balance, DeckVersion
from minivoice import clock

GOAL_TIMES_SMALL = 1.2
SMALL = 250
LOOKUPS = 5_000
WARM_UP = 200


def run(plan: Plan, stack: Stack) -> dict[str, Any]:
    """Measure, print the table, and return the figures. Raises Failed when a number has no price."""
    print(f"Making decks of {SMALL:,} and {plan.rates:,} rates ...")
    world.make(customers=1, rates=SMALL, callers_file=stack.state / "callers")
    rounds = [_round(plan, number) for number in range(1, plan.rounds + 1)]
    ratio = median(large / small for small, large in rounds)
    rows = [
        (str(number), f"{small:.0f}", f"{large:.0f}", f"{large / small:.2f}")
        for number, (small, large) in enumerate(rounds, start=1)
    ]
    print(f"\n{results.table(('', f'of {SMALL:,}, us', f'of {plan.rates:,}, us', 'times'), rows)}\n")
    goals = [("median of large over small", f"{ratio:.2f}", f"{GOAL_TIMES_SMALL:.1f}")]
    print(f"{results.table(('', 'measured', 'goal'), goals)}\n")
    return {
        "plan": asdict(plan),
        "times_small": ratio,
        "rounds": [{"small_us": small, "large_us": large} for small, large in rounds],
    }


def _round(plan: Plan, number: int) -> tuple[float, float]:
    """Measure with each deck as the only one in the table; return the microseconds that the quickest tenth stay under:
    look-ups that are slower waited for something else on the machine.
    """
    print(f"Round {number} of {plan.rounds} ...")
    measured = []
    for size in (SMALL, plan.rates):
        world.replace_rates(size)
        measured.append(_lookup_us(size))
    return measured[0], measured[1]


def _lookup_us(size: int) -> float:
    customer_id = Balance.objects.values_list("pk", flat=True)[0]
    version_id = DeckVersion.objects.values_list("pk", flat=True)[0]
    dice, took = Random(size), []
    for _ in range(WARM_UP + LOOKUPS):
        number, now = world.number_called(dice.randrange(size)), clock.now()
        began = time.perf_counter()
        quote = rates.quote(customer_id=customer_id, number=number, now=now)
        took.append(time.perf_counter() - began)
        if quote is None or quote.version_id != version_id or not number.startswith(f"+{quote.prefix}"):
            raise Failed(f"{number} was priced by {quote}")
    return quantiles(took[WARM_UP:], n=10)[0] * 1e6
