"""hot: `POST /v1/calls` by one customer, whose balance each create locks, beside the same creates by all of them."""

from dataclasses import asdict
from statistics import median
from typing import Any

from bench import results
from bench.accept import Accept, Load
from bench.clients import Failed
from bench.plan import Plan
from bench.stack import Stack
from calls.models import Call

GOAL_OF_SPREAD = 0.80


def run(plan: Plan, stack: Stack) -> dict[str, Any]:
    """Measure, print the table, and return the figures. Raises Failed when an answer or a row is not as it must be."""
    accept = Accept(plan, stack)
    accept.prepare()
    one = stack.state / "caller"
    one.touch(0o600)
    one.write_text(accept.callers.read_text().partition("\n")[0] + "\n")
    rounds = []
    for number in range(1, plan.rounds + 1):
        spread = accept.accept(connections=plan.connections)
        print(f"Round {number} of {plan.rounds}: spread {spread.rate:,.0f}/s", end="", flush=True)
        hot = accept.accept(connections=plan.connections, callers=one)
        print(f", one customer {hot.rate:,.0f}/s")
        if (callers := Call.objects.values("customer").distinct().count()) != 1:
            raise Failed(f"one customer was to call, {callers} did")
        rounds.append((spread, hot))
    _print(rounds)
    return {
        "plan": asdict(plan),
        "of_spread": median(hot.rate / spread.rate for spread, hot in rounds),
        "rounds": [{"spread": asdict(spread), "hot": asdict(hot)} for spread, hot in rounds],
    }


def _print(rounds: list[tuple[Load, Load]]) -> None:
    heads = ("", "spread/s", "hot/s", "of spread", "p50 ms", "p99 ms", "others")
    rows = [
        (
            str(number),
            f"{spread.rate:,.0f}",
            f"{hot.rate:,.0f}",
            f"{hot.rate / spread.rate:.1%}",
            f"{hot.p50_ms:.1f}",
            f"{hot.p99_ms:.1f}",
            f"{max(spread.others_cores, hot.others_cores):.1f} cores",
        )
        for number, (spread, hot) in enumerate(rounds, start=1)
    ]
    ratio = median(hot.rate / spread.rate for spread, hot in rounds)
    goals = [("median share of the spread rate", f"{ratio:.1%}", f"{GOAL_OF_SPREAD:.0%}")]
    spreads, hots = zip(*((spread.cpu_ms, hot.cpu_ms) for spread, hot in rounds), strict=True)
    print(f"\n{results.table(heads, rows)}\n")
    print(f"{results.table(('', 'measured', 'goal'), goals)}\n")
    print(f"{results.costs({'spread': spreads, 'hot': hots})}\n")
