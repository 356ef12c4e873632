"""engine: whole calls on a real Asterisk with SIPp as its carrier, beside a bare ARI script on that same Asterisk.

A call of the platform's is created over HTTP, dialled, answered, instructed, hung up, charged, and over when its last
webhook has arrived; one of the script's is originated, and hung up when it is answered. Both keep as many under way,
in turn. The callee answers after 0.2 s. The switchboard, else idle, hears of the script's calls too.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass
from decimal import Decimal
from statistics import median
from typing import Any, Self

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
from telephony import link

GOAL_OF_BARE = 0.40
UNDER_WAY = 2  # calls for each connection of the plan
WARM_UP_SECONDS = 5  # of every load, uncounted: by then calls end as fast as they begin
_CALL_SECONDS = 60
_CALLER, _CALLEE = "+15551230001", "+15551230002"
_TRUNK = "simulated"
_CREATED = 201


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """Calls ended a second, and CPU milliseconds for one by process."""

    rate: float
    cpu_ms: dict[str, float]
    others_cores: float  # this process, which is script, client and customer's server, is among the others


def run(plan: Plan, stack: Stack) -> dict[str, Any]:
    """Measure, print the table, and return the figures. Raises Failed when a call or a row is not as it must be."""
    port = kept.free_port()
    platform = Platform(
        state=stack.state / "platform",
        port=kept.free_port(),
        environment={"ENGINE": "asterisk", "OUTBOUND_ALLOWED": f"127.0.0.1:{port}"},
        say=print,
    )
    platform.start()
    try:
        key = _customer(f"http://127.0.0.1:{port}")
        engine = link.engine()
        script = Script(
            url=engine.url, user=engine.user, password=engine.password, endpoint=f"PJSIP/{_CALLEE}@{_TRUNK}"
        )
        pids = {**stack.pids, **platform.pids}
        rounds = asyncio.run(_rounds(plan, pids, script, _Integrator(platform.port, port, key)))
        _check()
    finally:
        platform.stop()
    _print(rounds)
    return {
        "plan": asdict(plan),
        "of_bare": median(whole.rate / bare.rate for bare, whole in rounds),
        "rounds": [{"bare": asdict(bare), "platform": asdict(whole)} for bare, whole in rounds],
    }


class _Integrator:
    """A customer's program: creates calls on the platform at `api_port`, is told of them at its own `port`."""

    def __init__(self, api_port: int, port: int, key: str) -> None:
        self._url, self._port = f"http://127.0.0.1:{api_port}/v1/calls", port
        self._headers = {"Authorization": f"Bearer {key}"}
        self._ended: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(headers=self._headers, connector=aiohttp.TCPConnector(limit=0))
        server = web.Application()
        server.add_routes([web.post("/answer", self._answer), web.post("/webhooks", self._hear)])
        self._runner = web.AppRunner(server, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self._port).start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()
        await self._runner.cleanup()

    async def call(self) -> None:
        """Create a call; return when its last webhook has arrived."""
        async with self._session.post(self._url, json={"from": _CALLER, "to": _CALLEE}) as answer:
            if answer.status != _CREATED:
                raise Failed(f"a create was answered {answer.status}: {await answer.text()}")
            call_id = (await answer.json())["id"]
        await self._ended[call_id].wait()
        del self._ended[call_id]

    async def _answer(self, _: web.Request) -> web.Response:
        return web.json_response({"actions": [{"hangup": {}}]})

    async def _hear(self, request: web.Request) -> web.Response:
        event = await request.json()
        if event["event"] in {"call.completed", "call.failed"}:
            self._ended[event["call"]["id"]].set()
        return web.Response()


async def _rounds(
    plan: Plan, pids: Mapping[str, int], script: Script, integrator: _Integrator
) -> list[tuple[Load, Load]]:
    rounds = []
    async with script, integrator:
        await integrator.call()
        for number in range(1, plan.rounds + 1):
            bare = await _measure(script.call, pids, plan)
            print(f"Round {number} of {plan.rounds}: bare script {bare.rate:,.1f}/s", end="", flush=True)
            whole = await _measure(integrator.call, pids, plan)
            print(f", platform {whole.rate:,.1f}/s")
            rounds.append((bare, whole))
    return rounds


async def _measure(call: Callable[[], Awaitable[None]], pids: Mapping[str, int], plan: Plan) -> Load:
    """Keep calls under way, and count those that end after the warm-up. Raises Failed when one does not end."""
    meter = cpu.Meter(pids)
    began_at = time.monotonic()
    stops_at = began_at + WARM_UP_SECONDS + plan.seconds
    ended_at: list[float] = []

    async def one_after_the_other() -> None:
        while time.monotonic() < stops_at:
            async with asyncio.timeout(_CALL_SECONDS):
                await call()
            ended_at.append(time.monotonic())

    try:
        await asyncio.gather(*(one_after_the_other() for _ in range(plan.connections * UNDER_WAY)))
    except TimeoutError as error:
        raise Failed(f"a call did not end within {_CALL_SECONDS} s") from error
    meter.stop()
    counted = sum(began_at + WARM_UP_SECONDS <= at < stops_at for at in ended_at)
    if not counted:
        raise Failed("no call ended: give the benchmark more --seconds")
    return Load(rate=counted / plan.seconds, cpu_ms=meter.per_item_ms(len(ended_at)), others_cores=meter.others_cores)


def _customer(url: str) -> str:
    """Make a customer with credit and no limits whose server is at `url`; return its key."""
    customer = Customer.objects.create(
        name="Bench",
        max_concurrent_calls=1_000_000,
        max_cps=1_000_000,
        caller_id_policy=Customer.CallerIdPolicy.ANY,
    )
    deck = RateDeck.objects.get(name="Standard")
    Balance.objects.create(customer=customer, deck=deck, currency="USD", credit_limit=Decimal(1_000_000), day_cap=None)
    application = Application.objects.create(
        customer=customer, name="Bench", answer_url=f"{url}/answer", webhook_url=f"{url}/webhooks"
    )
    _, key = keys.issue(application=application, scopes=[ApiKey.Scope.CALLS])
    return key


def _check() -> None:
    """Every call was answered and has ended, and the auditor finds nothing."""
    if Call.objects.exclude(status=Status.COMPLETED).exists():
        raise Failed("not every call was completed")
    if broken := world.broken_promises():
        raise Failed(f"the audit finds broken: {'; '.join(broken)}")


def _print(rounds: list[tuple[Load, Load]]) -> None:
    rows = [
        (str(number), f"{bare.rate:,.1f}", f"{whole.rate:,.1f}", f"{whole.rate / bare.rate:.1%}", _others(bare, whole))
        for number, (bare, whole) in enumerate(rounds, start=1)
    ]
    ratio = median(whole.rate / bare.rate for bare, whole in rounds)
    names = list(rounds[0][0].cpu_ms)
    costs = [
        (kind, *(f"{median(loads[index].cpu_ms[name] for loads in rounds):.1f}" for name in names))
        for index, kind in enumerate(("bare script", "platform"))
    ]
    print(f"\n{results.table(('', 'bare/s', 'platform/s', 'of bare', 'others'), rows)}\n")
    print(f"Median share of the bare script: {ratio:.1%}; the goal is {GOAL_OF_BARE:.0%}.\n")
    print(f"{results.table(('CPU ms for one', *names), costs)}\n")


def _others(bare: Load, whole: Load) -> str:
    return f"{max(bare.others_cores, whole.others_cores):.1f} cores"
