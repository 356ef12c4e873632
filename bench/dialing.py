"""dialing: `POST /v1/calls` answered with the engine's word, beside a bare originate; nothing else under way.

A create goes through the web process, a Celery worker and the simulated network, and back; the bare originate is an
ARI script's, on a simulated network of its own. One call is made at a time, the next when it is over.
"""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from bench import cpu, results, whole
from bench.bare import Script
from bench.clients import Failed
from bench.plan import Plan
from bench.stack import Stack
from bench.whole import Caller, Integrator

GOAL_MS = 25
_WARM_UP_CALLS = 5
_PAUSE_SECONDS = 0.1  # after a call is over: by then what follows its last webhook is written


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """Milliseconds from the request to its answer, and CPU milliseconds for a whole call by process."""

    calls: int
    p50_ms: float
    slowest_ms: float
    cpu_ms: dict[str, float]
    others_cores: float  # this process, which is script, client and customer's server, is among the others


def run(plan: Plan, stack: Stack) -> dict[str, Any]:
    """Measure, print the table, and return the figures. Raises Failed when a call or a row is not as it must be."""
    script = whole.simulated_script(stack)
    with whole.platform(stack, engine="simulated") as (platform, integrator):
        rounds = asyncio.run(_rounds(plan, whole.pids(stack, platform), script, integrator))
    _print(rounds)
    return {
        "plan": asdict(plan),
        "p50_ms": median(load.p50_ms for _, load in rounds),
        "share_of_bare": median(bare.p50_ms / load.p50_ms for bare, load in rounds),
        "rounds": [{"bare": asdict(bare), "platform": asdict(load)} for bare, load in rounds],
    }


async def _rounds(
    plan: Plan, pids: Mapping[str, int], script: Script, integrator: Integrator
) -> list[tuple[Load, Load]]:
    rounds = []
    async with script, integrator:
        for caller in (script, integrator):
            for _ in range(_WARM_UP_CALLS):
                await _call(caller)
        for number in range(1, plan.rounds + 1):
            bare = await _measure(script, pids, plan.seconds)
            print(f"Round {number} of {plan.rounds}: bare originate {bare.p50_ms:.1f} ms", end="", flush=True)
            dialled = await _measure(integrator, pids, plan.seconds)
            print(f", create {dialled.p50_ms:.1f} ms")
            rounds.append((bare, dialled))
    if without := integrator.statuses["queued"]:
        raise Failed(f"{without} of {integrator.statuses.total()} creates were answered without the engine's word")
    return rounds


async def _measure(caller: Caller, pids: Mapping[str, int], seconds: int) -> Load:
    """Make one call after the other, one at least, until the seconds are over."""
    took_ms: list[float] = []
    meter, ends_at = cpu.Meter(pids), time.monotonic() + seconds
    while not took_ms or time.monotonic() < ends_at:
        took_ms.append(await _call(caller))
    meter.stop()
    return Load(
        calls=len(took_ms),
        p50_ms=median(took_ms),
        slowest_ms=max(took_ms),
        cpu_ms=meter.per_item_ms(len(took_ms)),
        others_cores=meter.others_cores,
    )


async def _call(caller: Caller) -> float:
    """Make a call, and wait until it is over; return the milliseconds until it was answered that it is made."""
    began = time.perf_counter()
    call_id = await caller.create()
    took_ms = (time.perf_counter() - began) * 1000
    try:
        async with asyncio.timeout(whole.CALL_SECONDS):
            await caller.ended(call_id)
    except TimeoutError as error:
        raise Failed(f"a call did not end within {whole.CALL_SECONDS} s") from error
    await asyncio.sleep(_PAUSE_SECONDS)
    return took_ms


def _print(rounds: list[tuple[Load, Load]]) -> None:
    heads = ("", "bare ms", "create ms", "slowest ms", "share", "calls", "others")
    rows = [
        (
            str(number),
            f"{bare.p50_ms:.1f}",
            f"{dialled.p50_ms:.1f}",
            f"{dialled.slowest_ms:.1f}",
            f"{bare.p50_ms / dialled.p50_ms:.1%}",
            str(dialled.calls),
            f"{max(bare.others_cores, dialled.others_cores):.1f} cores",
        )
        for number, (bare, dialled) in enumerate(rounds, start=1)
    ]
    goals = [
        ("median ms", f"{median(dialled.p50_ms for _, dialled in rounds):.1f}", str(GOAL_MS)),
        ("share of a bare originate", f"{median(bare.p50_ms / dialled.p50_ms for bare, dialled in rounds):.1%}", ""),
    ]
    bares, creates = zip(*((bare.cpu_ms, dialled.cpu_ms) for bare, dialled in rounds), strict=True)
    print(f"\n{results.table(heads, rows)}\n")
    print(f"{results.table(('', 'measured', 'goal'), goals)}\n")
    print(f"{results.costs({'bare call': bares, 'call': creates})}\n")
