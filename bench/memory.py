"""memory: many live calls on one switchboard, each in a menu that asks again and again; does its memory stay flat?

The calls are answered on the simulated network, press keys, listen, wait and fetch their next document; after a
warm-up the memory of each process is sampled. In so short a time a slope is only a hint: what leaks with each step of
a flow shows, an hour's crumbs do not. Webhooks are not delivered: this is about the switchboard.
"""

import json
import os
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]
from django.conf import settings
from django.db import connection

from applications import keys
from applications.models import Application
from bench import cpu, results, world
from bench.clients import Failed
from bench.plan import Plan
from bench.stack import Stack
from calls import commands, dialing
from calls.models import Call, Flow, Party, Reason, Status
from minivoice import clock, nudge
from minivoice.local.kept import free_port
from telephony.models import Engine

SAMPLE_SECONDS = 5
PAUSE_SECONDS = 14
UNDER_WAY = 20  # calls placed that have no document yet, at most
_MIB = 1024 * 1024
_USER = "minivoice"
_TALK = [
    {"gather": {"prompt": "Press two keys, or wait to be asked again, please", "num_digits": 2, "timeout_seconds": 5}},
    {"pause": {"seconds": PAUSE_SECONDS}},
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Resident memory of a process with its children over the samples, and the cores it used meanwhile."""

    first_mib: float
    last_mib: float
    slope_mib_per_hour: float
    cores: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Lateness:
    """Seconds between the moment something was due and its note on the timeline."""

    p50_seconds: float
    p99_seconds: float
    worst_seconds: float


def run(plan: Plan, stack: Stack) -> dict[str, Any]:
    """Measure, print the table, and return the figures. Raises Failed when a call ends early or the audit finds one."""
    world.make(customers=1, rates=100, callers_file=stack.state / "callers")
    settings.HOLD_SECONDS = 3 * 3600  # or the engine's timers end the calls when a minute's hold is used up
    with _answering() as address:
        _start(stack, address)
        placed_seconds = _place_all(plan.calls, stack.state / "callers", f"http://{address}/")
        print(f"{plan.calls} calls are up after {placed_seconds:.0f} s. Letting them settle ...")
        time.sleep(plan.settle_seconds)
        began_at = clock.now()
        memory = _sample(stack, plan.talk_seconds)
        waits, starts = _lateness(_WAITS, [PAUSE_SECONDS, began_at]), _lateness(_STARTS, [])
        _hang_up_all(plan.calls)
    _print(plan, memory, waits, starts)
    return {
        "plan": asdict(plan),
        "processes": {name: asdict(figures) for name, figures in memory.items()},
        "waits": asdict(waits),
        "starts": asdict(starts),
    }


@contextmanager
def _answering() -> Iterator[str]:
    """Serve the customer's documents; yield host:port."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Customer)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()


class _Customer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        again = {"url": f"http://{self.headers['Host']}/", "method": "POST", "max_redirects": 20}
        body = json.dumps({"actions": [*_TALK * 3, {"redirect": again}]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base class's name
        """Stay quiet."""


def _start(stack: Stack, address: str) -> None:
    port = free_port()
    print("Starting the platform on the simulated network ...")
    Application.objects.update(webhook_url="")
    engine = Engine.objects.get()
    engine.url, engine.user, engine.password = f"http://127.0.0.1:{port}/ari", _USER, os.environ["ENGINE_PASSWORD"]
    engine.seen_at = None  # the switchboard's first beat says that it is there
    engine.save()
    stack.start_simulator(port=port, user=_USER)
    stack.start("dial", "switchboard", variables={"OUTBOUND_ALLOWED": address})
    _until(lambda: Engine.objects.filter(seen_at__isnull=False).exists(), seconds=60, what="the link to the engine")


def _place_all(count: int, callers_file: Path, url: str) -> float:
    """Place the calls as the API does, no faster than they get their documents; return the seconds it took."""
    began = time.monotonic()
    key, number = callers_file.read_text().split()
    caller = keys.recognise(key)
    if caller is None:
        raise Failed("the world's key is not known")
    for index in range(count):
        order = commands.Order(
            from_number=number,
            to_number=f"+1{200_000 + index % 100}{index % 10}7{index % 100:02}",  # presses two keys, once
            metadata={},
            answer_url=url,
            ring_seconds=60,
            max_duration_seconds=3 * 3600,
        )
        commands.place(caller=caller, order=order, request_id="bench", now=clock.now())
        nudge.wake("calls.dial")
        _until(partial(_has_room, index), seconds=60, what="documents")
    _until(lambda: _instructed() == count, seconds=60, what="the last documents")
    return time.monotonic() - began


def _has_room(index: int) -> bool:
    return index - _instructed() < UNDER_WAY


def _instructed() -> int:
    return Flow.objects.filter(actions__isnull=False).count()


def _talking() -> int:
    return Call.objects.filter(status=Status.IN_PROGRESS).count()


def _sample(stack: Stack, seconds: int) -> dict[str, Memory]:
    pids = stack.pids
    samples: dict[str, list[tuple[float, float]]] = {name: [] for name in pids}
    meter, began = cpu.Meter(pids), time.monotonic()
    while (elapsed := time.monotonic() - began) < seconds:
        for name, pid in pids.items():
            samples[name].append((elapsed, _resident_mib(pid)))
        time.sleep(SAMPLE_SECONDS)
    meter.stop()
    used_ms = meter.per_item_ms(1)
    return {name: _judge(samples[name], cores=used_ms[name] / 1000 / elapsed) for name in pids}


def _resident_mib(pid: int) -> float:
    root = psutil.Process(pid)
    return float(sum(process.memory_info().rss for process in [root, *root.children(recursive=True)])) / _MIB


def _judge(samples: list[tuple[float, float]], *, cores: float) -> Memory:
    times, sizes = zip(*samples, strict=True)
    slope = statistics.linear_regression(times, sizes).slope if len(samples) > 1 else 0.0
    return Memory(first_mib=sizes[0], last_mib=sizes[-1], slope_mib_per_hour=slope * 3600, cores=cores)


def _lateness(query: str, values: list[Any]) -> Lateness:
    with connection.cursor() as cursor:
        cursor.execute(query, values)
        (figures,) = cursor.fetchone()
    if figures is None:
        raise Failed("nothing was due while it was measured")
    return Lateness(p50_seconds=figures[0], p99_seconds=figures[1], worst_seconds=figures[2])


def _hang_up_all(count: int) -> None:
    if (talking := _talking()) != count:
        raise Failed(f"{count - talking} of {count} calls ended early")
    for call in Call.objects.filter(status=Status.IN_PROGRESS):
        dialing.hang_up(call=call, reason=Reason.HANGUP, by=Party.API, now=clock.now())
    _until(lambda: not _talking(), seconds=60, what="the end of all calls")
    if broken := world.broken_promises():
        raise Failed(f"the audit finds broken: {'; '.join(broken)}")


def _until(holds: Callable[[], bool], *, seconds: float, what: str) -> None:
    ends_at = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > ends_at:
            raise Failed(f"waited {seconds:.0f} s in vain for {what}")
        time.sleep(0.1)


def _print(plan: Plan, memory: dict[str, Memory], waits: Lateness, starts: Lateness) -> None:
    heads = (f"{plan.calls} calls", "first MiB", "last MiB", "MiB an hour", "cores")
    rows = [
        (name, f"{it.first_mib:.1f}", f"{it.last_mib:.1f}", f"{it.slope_mib_per_hour:+.1f}", f"{it.cores:.2f}")
        for name, it in memory.items()
    ]
    print(f"\n{results.table(heads, rows)}\n")
    late = [
        (what, f"{it.p50_seconds:.3f}", f"{it.p99_seconds:.3f}", f"{it.worst_seconds:.3f}")
        for what, it in (("a wait ends late by", waits), ("handed over to the first prompt", starts))
    ]
    print(f"{results.table(('seconds', 'p50', 'p99', 'worst'), late)}\n")


_WAITS = """
SELECT percentile_cont(ARRAY[0.5, 0.99, 1.0]) WITHIN GROUP (ORDER BY extract(epoch FROM next_at - at) - %s)
FROM (
    SELECT at, data ->> 'action' AS action, lead(at) OVER (PARTITION BY call_id ORDER BY id) AS next_at
    FROM calls_callevent WHERE kind = 'action_started'
) AS step
WHERE action = 'pause' AND at > %s AND next_at IS NOT NULL
"""
_STARTS = """
SELECT percentile_cont(ARRAY[0.5, 0.99, 1.0]) WITHIN GROUP (ORDER BY extract(epoch FROM prompt_at - entered_at))
FROM (
    SELECT min(at) FILTER (WHERE kind = 'engine_entered') AS entered_at,
        min(at) FILTER (WHERE kind = 'action_started') AS prompt_at
    FROM calls_callevent GROUP BY call_id
) AS call
"""
