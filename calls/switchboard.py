"""The switchboard: one process that hears the engine, runs flows, and sweeps.

The event loop reads the engine's socket and fetches documents; a few threads (`calls.lanes`) do the work. The tick
needs no broker: it dials what is due, ends what is overdue, finds money for calls that go on, and compares channels.
Before each thing it does the process makes sure that it still leads (`minivoice.lease`).
"""

import asyncio
import logging
import threading
import zlib
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from time import monotonic

from django.conf import settings
from django.db import close_old_connections
from django.db.utils import InterfaceError, OperationalError

from calls import capacity, conferences, dialing, funding, legs, sweeps
from calls.flow import fetching
from calls.lanes import Lane, Work
from minivoice import clock, lease, logs
from minivoice.outbound import Client
from telephony import link, media, sound
from telephony.audio import Fetched
from telephony.engines.ari import Ari
from telephony.engines.facts import EngineError, EngineUnreachable, Fact
from telephony.provisioning import Provisioner

logger = logging.getLogger(__name__)

TICK_SECONDS = 1.0
RECONCILE_EVERY = timedelta(seconds=5)
SWEEP_DUE_AFTER = timedelta(seconds=2)  # a nudge is faster, unless it was lost
_LISTED_WITHIN = timedelta(seconds=10)  # without a list of channels the link is not alive
_RECONNECT_SECONDS = 0.5
_LEAP = timedelta(seconds=0.5)  # of the engine's clock; less is nothing to wait for
_LANES_SECONDS = 5.0


class Switchboard:
    """The work of the process that leads."""

    def __init__(self) -> None:
        self._lanes = [Lane(self, number) for number in range(settings.SWITCHBOARD_THREADS)]
        self._ticker = ThreadPoolExecutor(1, thread_name_prefix="tick")
        self._tasks: set[asyncio.Task[None]] = set()
        self._connected = False
        self._heard_since: datetime | None = None
        self._reconciled_at: datetime | None = None
        self._answered_at: datetime | None = None  # when the engine last told its time
        self._absence = sweeps.Absence()
        self._trunks = Provisioner()
        self._engine_ahead = timedelta()  # its clock, of ours
        self._has_leapt = False  # that clock, since the tick before

    async def run(self, stopping: asyncio.Event) -> None:
        """Serve until `stopping`, then finish what is queued. Calls stay as they are."""
        self._loop = asyncio.get_running_loop()
        async with media.serving(), Client() as self._client:
            self._audio, self._speech = sound.audio(self._client), sound.speech()
            hearing = asyncio.create_task(self._hear())
            provisioning = asyncio.create_task(self._provision())
            while not stopping.is_set():
                has_leapt = await self._loop.run_in_executor(self._ticker, self._tick)
                with suppress(TimeoutError):
                    await asyncio.wait_for(stopping.wait(), 0 if has_leapt else TICK_SECONDS)
            hearing.cancel()
            provisioning.cancel()
            await asyncio.gather(hearing, provisioning, return_exceptions=True)
            await asyncio.to_thread(self._stop_lanes)
        self._ticker.shutdown()

    def fetch(self, channel_id: str, request: fetching.Request, token: int) -> None:
        """Fetch a document on the loop; the channel's lane is told it with `token`. From any thread."""

        async def work() -> None:
            result = await fetching.fetch(self._client, request)
            self._put(channel_id, lambda lane: lane.fetched(channel_id, token, result))

        self._loop.call_soon_threadsafe(self._spawn, work)

    def render(self, channel_id: str, text: str, voice: str, playback_id: str, owner: str) -> None:
        """Render what is to be said for a customer on the loop; the channel's lane is told of it. From any thread."""

        async def work() -> None:
            media = await sound.said(text, voice=voice, owner=owner, speech=self._speech)
            self._put(channel_id, lambda lane: lane.rendered(channel_id, playback_id, media))

        self._loop.call_soon_threadsafe(self._spawn, work)

    def warn(self, channel_id: str, text: str, owner: str) -> None:
        """Have a text of a customer's said on a channel, whatever its flow does. From any thread."""

        async def work() -> None:
            if media := await sound.said(text, owner=owner, speech=self._speech):
                self._put(channel_id, lambda lane: lane.interject(channel_id, media))

        self._loop.call_soon_threadsafe(self._spawn, work)

    def fetch_audio(self, channel_id: str, url: str, request_id: str, owner: str) -> None:
        """Fetch what is to be played for a customer on the loop; the channel's lane is told of it. From any thread."""

        async def work() -> None:
            fetched = await self._audio.fetch(url, owner=owner) if self._audio else Fetched("", "not_served")
            self._put(channel_id, lambda lane: lane.audio_fetched(channel_id, request_id, fetched))

        self._loop.call_soon_threadsafe(self._spawn, work)

    def tell_of_leg(self, channel_id: str) -> None:
        """Have the channel's lane told that the leg its flow waits for has changed. From any thread."""
        self._put(channel_id, lambda lane: lane.leg_changed(channel_id))

    def wake_in(self, seconds: float, channel_id: str, token: int) -> None:
        """Tell the channel's lane `token` after some seconds. From any thread."""
        wake = partial(self._put, channel_id, lambda lane: lane.woken(channel_id, token))
        self._loop.call_soon_threadsafe(self._loop.call_later, seconds, wake)

    async def _hear(self) -> None:
        """Keep the engine's event socket open, and hand every fact to its lane."""
        while True:
            try:
                adapter = await asyncio.to_thread(_adapter)
                async for fact in adapter.facts(on_connect=self._on_connect):
                    self._dispatch(fact)
            except (EngineUnreachable, OperationalError, InterfaceError) as error:
                logger.warning("no link to the engine: %s", error)
            except Exception:
                logger.exception("no link to the engine")
            self._connected = False
            self._trunks.unlinked()
            await asyncio.sleep(_RECONNECT_SECONDS)

    async def _provision(self) -> None:
        """Bring trunks to the engine as they change; name servers may be slow, and nothing else waits for it."""
        while True:
            await asyncio.to_thread(_do, "bringing trunks to the engine", self._provision_trunks)
            await asyncio.sleep(TICK_SECONDS)

    def _provision_trunks(self) -> None:
        close_old_connections()
        lease.check()
        now = clock.now()
        self._trunks.step(now=now, load=partial(capacity.load, now=now))

    def _on_connect(self) -> None:
        """What went unheard meanwhile a listing must tell; flows go on from their rows."""
        logger.info("linked to the engine")
        for lane in self._lanes:
            lane.put("", Lane.drop_all)
        self._connected, self._heard_since, self._reconciled_at = True, clock.now(), None
        self._trunks.linked()
        self._absence = sweeps.Absence()

    def _dispatch(self, fact: Fact) -> None:
        if fact.channel_id:
            fact = replace(fact, heard_since=self._heard_since)
            self._put(fact.channel_id, lambda lane: lane.take(fact))

    def _put(self, channel_id: str, work: Work) -> None:
        self._lanes[zlib.crc32(channel_id.encode()) % len(self._lanes)].put(channel_id, work)

    def _spawn(self, work: Callable[[], Coroutine[None, None, None]]) -> None:
        task = asyncio.create_task(work())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _stop_lanes(self) -> None:
        for lane in self._lanes:
            lane.stop()
        for lane in self._lanes:
            lane.join()

    def _tick(self) -> bool:
        """Compare channels, beat, fund, end what is overdue, dial what is due. A failure stops no other part.

        Returns whether the next tick must not wait: the engine's clock leaps.
        """
        lease.check()
        close_old_connections()
        self._has_leapt = False
        if not self._connected:
            _do("ending what has expired", lambda: sweeps.expired(now=clock.now()))
            _do("looking for the engine", lambda: self._absence.look(now=clock.now()))
        elif _do("asking the engine for its time", self._read_engine_clock):
            _do("comparing channels", self._reconcile)
            _do("beating", self._beat)
            _do("funding", self._fund)
            _do("changing instructions", self._instruct)
            _do("parting calls", self._part)
            _do("ending conferences", self._end_conferences)
            _do("ending what is overdue", lambda: sweeps.overdue(now=clock.now()))
            _do("dialling", lambda: dialing.drain(due_before=clock.now() - SWEEP_DUE_AFTER, seconds=TICK_SECONDS))
        return self._has_leapt

    def _read_engine_clock(self) -> None:
        """Learn how far the engine's clock is ahead of ours, and whether it has leapt.

        A simulated network's does on request, step by step: it waits for the next tick before each step, and what
        happened in this one must be recorded before the calls' money is seen to.
        """
        asked_at = clock.now()  # before the answer: a timer set by it is early, never late
        engine_now = link.adapter().now()
        self._answered_at = clock.now()
        self._has_leapt = engine_now - self._answered_at - self._engine_ahead > _LEAP  # one that took long is no leap
        self._engine_ahead = engine_now - asked_at
        if self._has_leapt:
            self._wait_for_lanes()

    def _wait_for_lanes(self) -> None:
        """Let the lanes do what they have heard so far, for some seconds at most."""
        done = threading.Semaphore(0)
        for lane in self._lanes:
            lane.put("", lambda _: done.release())
        ends_at = monotonic() + _LANES_SECONDS
        for _ in self._lanes:
            done.acquire(timeout=max(0.0, ends_at - monotonic()))

    def _fund(self) -> None:
        now = clock.now()
        funding.sweep(now=now, engine_now=now + self._engine_ahead, warn=self.warn)

    def _instruct(self) -> None:
        for channel_id, call_id in sweeps.instructed():
            self._put(channel_id, partial(Lane.instruct, channel_id=channel_id, call_id=call_id))

    def _part(self) -> None:
        """Hang up legs that nobody wants, and tell the flows whose leg has ended where no lane has heard it."""
        legs.sweep(now=clock.now())
        for channel_id in legs.ended():
            self.tell_of_leg(channel_id)

    def _end_conferences(self) -> None:
        for channel_id, conference_id in conferences.sweep():
            over = partial(Lane.conference_over, channel_id=channel_id, conference_id=conference_id)
            self._put(channel_id, over)

    def _beat(self) -> None:
        """Note when the engine was last proven alive: not now, for what came since may have waited for it in vain."""
        if self._answered_at and self._reconciled_at and self._answered_at - self._reconciled_at < _LISTED_WITHIN:
            link.beat(now=self._answered_at)

    def _reconcile(self) -> None:
        now = clock.now()
        if self._reconciled_at is not None and now - self._reconciled_at < RECONCILE_EVERY:
            return
        for fact in sweeps.reconcile(now=now, engine_now=now + self._engine_ahead):
            self._dispatch(fact)
        self._reconciled_at = now
        legs.tidy_bridges(now=now)


def _do(what: str, work: Callable[[], object]) -> bool:
    """Do a part of a tick; return whether it succeeded. If not it waits for the next."""
    logs.call_id.set("")  # what comes is of many calls, or of none
    try:
        work()
    except (OperationalError, InterfaceError, EngineError) as error:
        logger.warning("%s waits for the next tick: %s", what, error)
        close_old_connections()
    except Exception:
        logger.exception("%s failed", what)
    else:
        return True
    return False


def _adapter() -> Ari:
    """Return the engine's adapter, read with a connection that is not stale."""
    close_old_connections()
    return link.adapter()
