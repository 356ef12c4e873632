"""The pump: sends what is due, many side by side, and notes each result as it ends.

The database stays on the caller's thread, the network has a thread of its own with an event loop, so that
neither waits for the other. What a killed worker had claimed comes due again when its lease runs out.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Self

from minivoice import clock, nudge
from minivoice.crash import crashpoint
from minivoice.outbound import Answer, Client, Failure, Limits
from webhooks import deliveries, signing
from webhooks.deliveries import Claim, Result

logger = logging.getLogger(__name__)

TASK = "webhooks.deliver"
LIMITS = Limits(total_seconds=10.0, max_bytes=64 * 1024, truncate=True)

_POLL_SECONDS = 0.1  # how late a run that waits for a slow receiver may see a new event
_LONGER_SECONDS = 15.0  # that a run goes on at most for others that end: a task may take a minute
_KEPT_BYTES = 4096


def deliver(
    *,
    limits: Limits = LIMITS,
    places: int = 200,
    run_seconds: float = 20.0,
    now: Callable[[], datetime] = clock.now,
) -> int:
    """Deliver what is due, `places` at a time, until nothing is due or in flight; return the attempts made.

    After `run_seconds` nothing more is claimed, and another run is asked for; all in flight is still noted. Runs side
    by side end one after the other: while one waits for what it has in flight, the others go on to claim.
    """
    claims = _claim(places, now())
    if not claims:
        return 0
    ends_at = time.monotonic() + run_seconds
    is_over = False
    attempts = in_flight = 0
    with deliveries.ending() as may_end, _Network(limits=limits, now=now) as network:
        while claims or in_flight:
            network.send(claims)
            in_flight += len(claims)
            results = network.results()
            if results:
                crashpoint("webhook_seen")
                deliveries.note(results, now=now())
            in_flight -= len(results)
            attempts += len(results)
            seconds_over = time.monotonic() - ends_at
            if not is_over and seconds_over >= 0 and (may_end() or seconds_over >= _LONGER_SECONDS):
                is_over = True
                nudge.wake(TASK)
            claims = [] if is_over or in_flight == places else _claim(places - in_flight, now())
    return attempts


def _claim(places: int, now: datetime) -> list[Claim]:
    claims = deliveries.claim(places=places, now=now)
    if claims:
        crashpoint("webhook_claimed")
    return claims


class _Network:
    """A thread with an event loop that sends what it is given and queues what came of it."""

    def __init__(self, *, limits: Limits, now: Callable[[], datetime]) -> None:
        self._limits = limits
        self._now = now
        self._results: SimpleQueue[Result] = SimpleQueue()
        self._sending: set[asyncio.Task[None]] = set()
        self._client = Client()
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever, name="webhooks", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._client.__aenter__(), self._loop).result()
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def send(self, claims: Sequence[Claim]) -> None:
        """Begin to send these."""
        if claims:
            self._loop.call_soon_threadsafe(self._begin, claims)

    def results(self) -> list[Result]:
        """Return what has ended; wait a moment for the first."""
        ended: list[Result] = []
        try:
            ended.append(self._results.get(timeout=_POLL_SECONDS))
            while True:
                ended.append(self._results.get_nowait())
        except Empty:
            return ended

    def _begin(self, claims: Sequence[Claim]) -> None:
        for claim in claims:
            task = self._loop.create_task(self._deliver(claim))
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)

    async def _deliver(self, claim: Claim) -> None:
        """Make one attempt. Whatever happens, a result is queued: the run waits for it."""
        started_at, started = self._now(), time.monotonic()
        outcome: Answer | str
        try:
            outcome = await self._send(claim, started_at)
        except Failure as failure:
            outcome = failure.word
        except Exception:
            logger.exception("event %s cannot be sent", claim.event_id)
            outcome = "connect_failed"
        crashpoint("webhook_sent")
        duration_ms = round((time.monotonic() - started) * 1000)
        self._results.put(_result(claim, outcome, started_at=started_at, duration_ms=duration_ms))

    async def _send(self, claim: Claim, started_at: datetime) -> Answer:
        if claim.secret is None:
            raise Failure("secret_unreadable", claim.delivery_id)
        headers = signing.headers(
            secret=claim.secret,
            previous_secret=claim.previous_secret,
            event_id=claim.event_id,
            event=claim.event,
            delivery_id=claim.delivery_id,
            attempt=claim.attempt,
            body=claim.body,
            now=started_at,
        )
        return await self._client.request("POST", claim.url, limits=self._limits, body=claim.body, headers=headers)

    async def _close(self) -> None:
        """Give up what is still being sent, which is nothing after a run that ended well."""
        for task in self._sending:
            task.cancel()
        await asyncio.gather(*self._sending, return_exceptions=True)
        await self._client.__aexit__(None, None, None)


def _result(claim: Claim, outcome: Answer | str, *, started_at: datetime, duration_ms: int) -> Result:
    if isinstance(outcome, str):
        return Result(claim=claim, started_at=started_at, duration_ms=duration_ms, error=outcome)
    kept = outcome.body[:_KEPT_BYTES].decode(errors="replace")
    return Result(
        claim=claim,
        started_at=started_at,
        duration_ms=duration_ms,
        http_status=outcome.status,
        error="" if 200 <= outcome.status < 300 else f"http_{outcome.status}",
        response=kept.replace("\0", "\N{REPLACEMENT CHARACTER}"),  # PostgreSQL keeps no NUL in text
        retry_after_seconds=deliveries.retry_after(outcome.headers.get("Retry-After", ""), started_at),
    )
