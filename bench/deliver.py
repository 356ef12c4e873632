"""deliver: webhooks from the outbox to the note of their delivery, beside bare POSTs of the same bytes by aiohttp.

Both run in this process, in turn, against one receiver on loopback. Events are spread over all customers, signed,
guarded, logged and durable; what is measured begins when they are all due and ends when the last is noted. Then once
more against a receiver that takes 200 ms.
"""

import asyncio
import http.client
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

import aiohttp
from django.conf import settings
from django.db import transaction

from applications.models import Application
from bench import cpu, results, world
from bench.clients import Failed
from bench.plan import Plan
from bench.stack import Stack
from minivoice import clock
from minivoice.local import kept
from webhooks import outbox, pump
from webhooks.models import DeliveryAttempt, WebhookEvent

GOAL_PER_SECOND = 2_000
GOAL_IN_FLIGHT = 1_000
SLOW_MS = 200
SLOW_PLACES = 1_200
BARE_CONNECTIONS = 200  # as many as the pump has places


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """Events a second, CPU milliseconds for one by process, and how many the receiver had at once."""

    rate: float
    cpu_ms: dict[str, float]
    others_cores: float
    most_at_once: int


def run(plan: Plan, stack: Stack) -> dict[str, Any]:
    """Measure, print the table, and return the figures. Raises Failed when an event is not delivered as it must be."""
    deliver = Deliver(plan, stack)
    deliver.prepare()
    rounds = [deliver.round(number) for number in range(1, plan.rounds + 1)]
    print(f"Against a receiver that takes {SLOW_MS} ms ...")
    slow = deliver.deliver(path=str(SLOW_MS), places=SLOW_PLACES)
    _print(rounds, slow)
    return {
        "plan": asdict(plan),
        "per_second": median(delivered.rate for _, delivered in rounds),
        "of_bare": median(delivered.rate / bare.rate for bare, delivered in rounds),
        "slow": asdict(slow),
        "rounds": [{"bare": asdict(bare), "deliver": asdict(delivered)} for bare, delivered in rounds],
    }


class Deliver:
    """The two loads on one world and one receiver."""

    def __init__(self, plan: Plan, stack: Stack) -> None:
        self._plan, self._stack = plan, stack
        self._port = kept.free_port()

    def prepare(self) -> None:
        """Make the world and the receiver, and warm both up."""
        print(f"Making {self._plan.customers:,} customers ...")
        world.make(customers=self._plan.customers, rates=1, callers_file=self._stack.state / "callers")
        settings.OUTBOUND_ALLOWED = [f"127.0.0.1:{self._port}"]
        self._stack.start_receiver(port=self._port)
        applications = list(Application.objects.all())
        for application in applications:
            application.webhook_secret = f"the webhook secret of {application.pk}"
        Application.objects.bulk_update(applications, ["webhook_secret"])
        print("Warming up ...")
        self.deliver(path="0", places=BARE_CONNECTIONS)

    def round(self, number: int) -> tuple[Load, Load]:
        """Measure the bare POSTs, then the platform."""
        self._publish(path="0")
        bodies = [bytes(body) for body in WebhookEvent.objects.values_list("body", flat=True)]
        bare = self._measure(lambda: asyncio.run(_post(f"http://127.0.0.1:{self._port}/0", bodies)))
        print(f"Round {number} of {self._plan.rounds}: bare {bare.rate:,.0f}/s", end="", flush=True)
        delivered = self.deliver(path="0", places=BARE_CONNECTIONS)
        print(f", deliver {delivered.rate:,.0f}/s")
        return bare, delivered

    def deliver(self, *, path: str, places: int) -> Load:
        """Measure the pump, from a table that holds these events alone."""
        self._publish(path=path)
        load = self._measure(lambda: self._drain(places))
        delivered = WebhookEvent.objects.filter(status=WebhookEvent.Status.DELIVERED, attempts=1).count()
        logged = DeliveryAttempt.objects.filter(http_status=204).count()
        if not delivered == logged == self._plan.events:
            raise Failed(f"{self._plan.events} were published, {delivered} delivered once, {logged} logged")
        return load

    def _publish(self, *, path: str) -> None:
        """Have the table hold a new event for each of the plan, all due."""
        world.empty()
        url = f"http://127.0.0.1:{self._port}/{path}"
        Application.objects.update(webhook_url=url)
        applications = list(Application.objects.select_related("customer"))
        with transaction.atomic():
            for number in range(self._plan.events):
                _publish(applications[number % len(applications)], number)
        world.settle()

    def _drain(self, places: int) -> None:
        """Run the pump, as often as its runs end in time, until nothing is left."""
        while pump.deliver(places=places):
            pass

    def _measure(self, load: Any) -> Load:
        self._receiver_saw()
        meter = cpu.Meter(self._stack.pids)
        began_seconds, own_seconds = time.monotonic(), time.process_time()
        load()
        took_seconds, own_seconds = time.monotonic() - began_seconds, time.process_time() - own_seconds
        meter.stop()
        saw = self._receiver_saw()
        if saw["came"] != self._plan.events:
            raise Failed(f"{self._plan.events} were to be sent, {saw['came']} came")
        return Load(
            rate=self._plan.events / took_seconds,
            cpu_ms={**meter.per_item_ms(self._plan.events), "client": own_seconds * 1000 / self._plan.events},
            others_cores=max(0.0, meter.others_cores - own_seconds / took_seconds),
            most_at_once=saw["most_at_once"],
        )

    def _receiver_saw(self) -> dict[str, int]:
        asking = http.client.HTTPConnection("127.0.0.1", self._port, timeout=5)
        asking.request("GET", "/")
        saw: dict[str, int] = json.loads(asking.getresponse().read())
        asking.close()
        return saw


def _publish(application: Application, number: int) -> None:
    now = clock.now()
    call_id = f"call_20260529T120000.{number:09}"
    call = {
        "id": call_id,
        "customer_id": application.customer.public_id,
        "application_id": application.public_id,
        "provider_call_id": "a4b315c0-2950-4fa4-9b15-75f3051d4780",
        "status": "queued",
        "direction": "outbound",
        "from": "+15551230001",
        "to": "+15551230742",
        "route_mode": "webhook",
        "routing_target": application.public_id,
        "metadata": {"order": number},
        "created_at": clock.text(now),
    }
    outbox.publish(
        application=application, event="call.created", call=call, call_id=call_id, sequence=1, data={}, now=now
    )


async def _post(url: str, bodies: Sequence[bytes]) -> None:
    """POST every body, over so many connections."""
    left = iter(bodies)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def post() -> None:
            for body in left:
                async with session.post(url, data=body) as answer:
                    await answer.read()

        await asyncio.gather(*(post() for _ in range(BARE_CONNECTIONS)))


def _print(rounds: Sequence[tuple[Load, Load]], slow: Load) -> None:
    rows = [
        (
            str(number),
            f"{bare.rate:,.0f}",
            f"{delivered.rate:,.0f}",
            f"{delivered.rate / bare.rate:.1%}",
            f"{max(bare.others_cores, delivered.others_cores):.1f} cores",
        )
        for number, (bare, delivered) in enumerate(rounds, start=1)
    ]
    goals = [
        ("median a second", f"{median(load.rate for _, load in rounds):,.0f}", f"{GOAL_PER_SECOND:,}"),
        ("median share of bare POSTs", f"{median(load.rate / bare.rate for bare, load in rounds):.1%}", ""),
        (f"in flight at {SLOW_MS} ms", f"{slow.most_at_once:,}", f"{GOAL_IN_FLIGHT:,}"),
        (f"a second at {SLOW_MS} ms", f"{slow.rate:,.0f}", ""),
    ]
    bares, deliveries = zip(*((bare.cpu_ms, load.cpu_ms) for bare, load in rounds), strict=True)
    print(f"\n{results.table(('', 'bare/s', 'deliver/s', 'of bare', 'others'), rows)}\n")
    print(f"{results.table(('', 'measured', 'goal'), goals)}\n")
    print(f"{results.costs({'bare': bares, 'deliver': deliveries})}\n")
