"""Whole calls on a platform, and on a bare ARI script beside it: who makes them, and how many end a second.

A call of the platform's is created over HTTP, dialled, answered, instructed, hung up, charged, and over when its last
webhook has arrived; one of the script's is originated, and hung up when it is answered. The callee answers after
0.2 s.
"""

import asyncio
import os
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from decimal import Decimal
from itertools import cycle
from statistics import median
from typing import Any, Protocol, Self

import aiohttp
from aiohttp import web

from applications import keys
from applications.models import ApiKey, Application, Customer
from bench import cpu, results, world
from bench.bare import Script
from bench.clients import Failed
from bench.plan import Plan
from bench.stack import Stack
from billing.models import Balance, RateDeck
from calls.models import Call, Status
from minivoice.local import kept
from minivoice.local.stack import Platform
from telephony.simulator import events

WARM_UP_SECONDS = 5  # of every load at most, uncounted: by then calls end as fast as they begin
CALL_SECONDS = 60  # that a call may take
_CALLER, _CALLEE = "+15551230001", "+15551230002"
ENDPOINT = f"PJSIP/{_CALLEE}@simulated"  # over the demo's trunk
_PROCESSES = ("simulator", "carrier-simulated", "asterisk", "web", "dial", "webhooks", "switchboard")  # a call's way
_USER = "bare"
_CUSTOMERS = 50  # of the platform, who call in turn: what one of them reaches alone is `hot`'s
_CREATED = 201


class Caller(Protocol):
    """Who makes calls."""

    async def create(self) -> str:
        """Have a call be made; return its id. Raises Failed when it is not taken."""

    async def ended(self, call_id: str) -> None:
        """Return when a call is over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """Calls ended a second, and CPU milliseconds for one by process."""

    rate: float
    cpu_ms: dict[str, float]
    others_cores: float  # this process, which is script, client and customer's server, is among the others


Rounds = list[tuple[Load, Load]]  # the script's, the platform's


class Integrator:
    """Customers' programs: create calls on the platform at `api_port` with their `keys` in turn, and are told of them
    at their own `port`.
    """

    def __init__(self, *, api_port: int, port: int, keys: Sequence[str]) -> None:
        self._url, self._port = f"http://127.0.0.1:{api_port}/v1/calls", port
        self._headers = cycle([{"Authorization": f"Bearer {key}"} for key in keys])
        self._ended: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self.statuses: Counter[str] = Counter()  # of calls as they were answered

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        server = web.Application()
        server.add_routes([web.post("/answer", self._answer), web.post("/webhooks", self._hear)])
        self._runner = web.AppRunner(server, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self._port).start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()
        await self._runner.cleanup()

    async def create(self) -> str:
        """Create a call; return its id. Raises Failed when it is refused."""
        order = {"from": _CALLER, "to": _CALLEE}
        async with self._session.post(self._url, json=order, headers=next(self._headers)) as answer:
            if answer.status != _CREATED:
                raise Failed(f"a create was answered {answer.status}: {await answer.text()}")
            call = await answer.json()
        self.statuses[call["status"]] += 1
        return str(call["id"])

    async def ended(self, call_id: str) -> None:
        """Return when the last webhook of a call has arrived."""
        await self._ended[call_id].wait()
        del self._ended[call_id]

    async def _answer(self, _: web.Request) -> web.Response:
        return web.json_response({"actions": [{"hangup": {}}]})

    async def _hear(self, request: web.Request) -> web.Response:
        event = await request.json()
        if event["event"] in {"call.completed", "call.failed"}:
            self._ended[event["call"]["id"]].set()
        return web.Response()


@contextmanager
def platform(stack: Stack, *, engine: str) -> Iterator[tuple[Platform, Integrator]]:
    """Run a platform on the stack's stores with an engine of this kind; yield it with customers of its own.

    When all is done, every call must have been answered and have ended, and the audit find nothing. Raises Failed
    when it is not so.
    """
    port = kept.free_port()
    running = Platform(
        state=stack.state / "platform",
        port=kept.free_port(),
        environment={"ENGINE": engine, "OUTBOUND_ALLOWED": f"127.0.0.1:{port}"},
        only=_PROCESSES,
        say=print,
    )
    running.start()
    try:
        issued = [_customer(f"http://127.0.0.1:{port}", f"Bench {number}") for number in range(_CUSTOMERS)]
        yield running, Integrator(api_port=running.port, port=port, keys=issued)
        _check()
    finally:
        running.stop()


def simulated_script(stack: Stack) -> Script:
    """Start a simulated network that no platform listens to; return a script for it."""
    port = kept.free_port()
    stack.start_simulator(port=port, user=_USER)
    return Script(
        url=f"http://127.0.0.1:{port}/ari",
        user=_USER,
        password=os.environ["ENGINE_PASSWORD"],
        app=events.APP,
        endpoint=ENDPOINT,
    )


def pids(stack: Stack, platform: Platform) -> dict[str, int]:
    """Return the process ids of both, by name; the script's network is the `bare simulator`."""
    own = {f"bare {name}" if name == "simulator" else name: pid for name, pid in stack.pids.items()}
    return {**own, **platform.pids}


async def rounds(
    plan: Plan, processes: Mapping[str, int], script: Script, integrator: Integrator, *, under_way: int
) -> Rounds:
    """Measure the script and the platform in turn, each with so many calls under way."""
    measured = []
    async with script, integrator:
        await integrator.ended(await integrator.create())
        for number in range(1, plan.rounds + 1):
            bare = await _measure(script, processes, plan, under_way)
            print(f"Round {number} of {plan.rounds}: bare script {bare.rate:,.1f}/s", end="", flush=True)
            whole = await _measure(integrator, processes, plan, under_way)
            print(f", platform {whole.rate:,.1f}/s")
            measured.append((bare, whole))
    return measured


def show(measured: Rounds, goal: tuple[str, str, str]) -> None:
    """Print the tables of the rounds, of the goal (its name, what was measured, what it is) and of the costs."""
    rows = [
        (str(number), f"{bare.rate:,.1f}", f"{whole.rate:,.1f}", f"{whole.rate / bare.rate:.1%}", _others(bare, whole))
        for number, (bare, whole) in enumerate(measured, start=1)
    ]
    bares, wholes = zip(*((bare.cpu_ms, whole.cpu_ms) for bare, whole in measured), strict=True)
    print(f"\n{results.table(('', 'bare/s', 'platform/s', 'of bare', 'others'), rows)}\n")
    print(f"{results.table(('', 'measured', 'goal'), [goal])}\n")
    print(f"{results.costs({'bare script': bares, 'platform': wholes})}\n")


def of_bare(measured: Rounds) -> float:
    """Return the median share of the script's rate that the platform reached."""
    return median(whole.rate / bare.rate for bare, whole in measured)


def figures(plan: Plan, measured: Rounds) -> dict[str, Any]:
    """Return what is kept of the rounds."""
    return {
        "plan": asdict(plan),
        "of_bare": of_bare(measured),
        "rounds": [{"bare": asdict(bare), "platform": asdict(whole)} for bare, whole in measured],
    }


async def _measure(caller: Caller, processes: Mapping[str, int], plan: Plan, under_way: int) -> Load:
    """Keep calls under way, and count those that end after the warm-up. Raises Failed when one does not end."""
    meter = cpu.Meter(processes)
    counts_from = time.monotonic() + min(WARM_UP_SECONDS, plan.seconds)
    stops_at = counts_from + plan.seconds
    ended_at: list[float] = []

    async def one_after_the_other() -> None:
        while time.monotonic() < stops_at:
            async with asyncio.timeout(CALL_SECONDS):
                await caller.ended(await caller.create())
            ended_at.append(time.monotonic())

    try:
        await asyncio.gather(*(one_after_the_other() for _ in range(under_way)))
    except TimeoutError as error:
        raise Failed(f"a call did not end within {CALL_SECONDS} s") from error
    meter.stop()
    counted = sum(counts_from <= at < stops_at for at in ended_at)
    if not counted:
        raise Failed("no call ended: give the benchmark more --seconds")
    return Load(rate=counted / plan.seconds, cpu_ms=meter.per_item_ms(len(ended_at)), others_cores=meter.others_cores)


def _customer(url: str, name: str) -> str:
    """Make a customer with credit and no limits whose server is at `url`; return its key."""
    customer = Customer.objects.create(
        name=name,
        max_concurrent_calls=1_000_000,
        max_cps=1_000_000,
        caller_id_policy=Customer.CallerIdPolicy.ANY,
    )
    deck = RateDeck.objects.get(name="Standard")
    Balance.objects.create(customer=customer, deck=deck, currency="USD", credit_limit=Decimal(1_000_000), day_cap=None)
    application = Application.objects.create(
        customer=customer, name=name, answer_url=f"{url}/answer", webhook_url=f"{url}/webhooks"
    )
    _, key = keys.issue(application=application, scopes=[ApiKey.Scope.CALLS])
    return key


def _check() -> None:
    """Every call was answered and has ended, and the auditor finds nothing."""
    if Call.objects.exclude(status=Status.COMPLETED).exists():
        raise Failed("not every call was completed")
    if broken := world.broken_promises():
        raise Failed(f"the audit finds broken: {'; '.join(broken)}")


def _others(bare: Load, whole: Load) -> str:
    return f"{max(bare.others_cores, whole.others_cores):.1f} cores"
