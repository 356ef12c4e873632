"""settle: hang-up to charge and final event, beside the rate at which the same machine accepts calls.

Calls are created over HTTP, answered, and then all hung up at once: their ends are recorded as the switchboard does,
by as many threads, in this one process.
"""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from statistics import median
from typing import Any

from django.conf import settings
from django.db import connection

from bench import cpu, results, world
from bench.accept import Accept
from bench.clients import Failed
from bench.plan import Plan
from bench.stack import Stack
from calls import lifecycle
from calls.models import Call, Status
from minivoice import clock
from telephony.engines.facts import Fact, Kind

GOAL_OF_ACCEPT = 1.0
_NORMAL_CLEARING = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """Calls settled a second, calls accepted a second just before, CPU milliseconds for one by process."""

    rate: float
    accept_rate: float
    cpu_ms: dict[str, float]
    others_cores: float


def run(plan: Plan, stack: Stack) -> dict[str, Any]:
    """Measure, print the table, and return the figures. Raises Failed when a call or a row is not as it must be."""
    accept = Accept(plan, stack)
    accept.prepare()
    rounds = [_round(plan, stack, accept, number) for number in range(1, plan.rounds + 1)]
    _print(rounds)
    return {
        "plan": asdict(plan),
        "of_accept": median(settled.rate / settled.accept_rate for settled in rounds),
        "rounds": [asdict(settled) for settled in rounds],
    }


def _round(plan: Plan, stack: Stack, accept: Accept, number: int) -> Settled:
    """Accept, have some of the accepted be answered, and end those; let the auditor judge."""
    accepted = accept.accept(connections=plan.connections)
    print(f"Round {number} of {plan.rounds}: accept {accepted.rate:,.0f}/s", end="", flush=True)
    channels = _claim(plan.calls)
    with ThreadPoolExecutor(settings.SWITCHBOARD_THREADS) as pool:
        list(pool.map(partial(_tell, Kind.ANSWERED), channels))
        meter = cpu.Meter({name: pid for name, pid in stack.pids.items() if name != "web"})
        began_seconds, own_seconds = time.monotonic(), time.process_time()
        list(pool.map(partial(_tell, Kind.ENDED), channels))
        took_seconds, own_seconds = time.monotonic() - began_seconds, time.process_time() - own_seconds
        meter.stop()
    settled = Call.objects.filter(status=Status.COMPLETED).count()
    if settled != len(channels):
        raise Failed(f"{len(channels)} calls were hung up, {settled} are completed")
    if broken := world.broken_promises():
        raise Failed(f"the audit finds broken: {'; '.join(broken)}")
    print(f", settle {settled / took_seconds:,.0f}/s")
    return Settled(
        rate=settled / took_seconds,
        accept_rate=accepted.rate,
        cpu_ms={**meter.per_item_ms(settled), "client": own_seconds * 1000 / settled},
        others_cores=max(0.0, meter.others_cores - own_seconds / took_seconds),
    )


def _claim(most: int) -> Sequence[str]:
    """Have so many of the calls' attempts be asked of an engine; return their channels."""
    with connection.cursor() as cursor:
        cursor.execute(_CLAIM, [most])
        return [str(channel_id) for (channel_id,) in cursor.fetchall()]


def _tell(kind: Kind, channel_id: str) -> None:
    now = clock.now()
    lifecycle.record(Fact(kind=kind, channel_id=channel_id, at=now, cause=_NORMAL_CLEARING), now=now)


def _print(rounds: Sequence[Settled]) -> None:
    rows = [
        (
            str(number),
            f"{settled.accept_rate:,.0f}",
            f"{settled.rate:,.0f}",
            f"{settled.rate / settled.accept_rate:.1%}",
            f"{settled.others_cores:.1f} cores",
        )
        for number, settled in enumerate(rounds, start=1)
    ]
    ratio = median(settled.rate / settled.accept_rate for settled in rounds)
    print(f"\n{results.table(('', 'accept/s', 'settle/s', 'of accept', 'others'), rows)}\n")
    goals = [("median share of accept", f"{ratio:.1%}", f"{GOAL_OF_ACCEPT:.0%}")]
    print(f"{results.table(('', 'measured', 'goal'), goals)}\n")
    print(f"{results.costs({'settle': [settled.cpu_ms for settled in rounds]})}\n")


_CLAIM = """
UPDATE calls_attempt SET state = 'claimed', claimed_at = now()
WHERE id IN (SELECT id FROM calls_attempt WHERE state = 'due' ORDER BY id LIMIT %s)
RETURNING channel_id
"""
