"""The switchboard: one process that hears the engine, runs flows, and sweeps.

The event loop reads the engine's socket and fetches documents; a few threads, each with its database connection, do
the work. A channel is pinned to a thread, so that its facts stay in order. The tick needs no broker: it dials what is
due, ends what is overdue, and compares channels.
"""

import asyncio
import logging
import queue
import threading
import time
import zlib
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from functools import partial
from uuid import uuid4

from django.conf import settings
from django.db import close_old_connections, connection
from django.db.utils import InterfaceError, OperationalError

from calls import dialing, lifecycle, sweeps
from calls.flow import fetching, store
from calls.flow.runner import Runner
from calls.models import Call, Party, Reason
from minivoice import clock
from minivoice.outbound import Client
from telephony import link
from telephony.engines.ari import Ari
from telephony.engines.facts import EngineError, EngineUnreachable, Fact, Kind

logger = logging.getLogger(__name__)

TICK_SECONDS = 1.0
RECONCILE_EVERY = timedelta(seconds=5)
SWEEP_DUE_AFTER = timedelta(seconds=2)  # a nudge is faster, unless it was lost
_RECONNECT_SECONDS = 0.5
_RECORD_AGAIN_SECONDS = (0.1, 0.5, 1.0, 2.0)
_LOCK = 0x4D56_5342  # "MVSB": the advisory lock that keeps the switchboard alone

Work = Callable[["Lane"], None]


class Lane:
    """A thread that does the work of the channels pinned to it, one thing after the other."""

    def __init__(self, board: "Switchboard", number: int) -> None:
        self._board = board
        self._work: queue.SimpleQueue[tuple[str, Work] | None] = queue.SimpleQueue()
        self._runners: dict[str, Runner] = {}
        self._thread = threading.Thread(target=self._loop, name=f"lane-{number}", daemon=True)
        self._thread.start()

    def put(self, channel_id: str, work: Work) -> None:
        """Queue a piece of a channel's work; from any thread."""
        self._work.put((channel_id, work))

    def stop(self) -> None:
        """Finish what is queued, then end."""
        self._work.put(None)
        self._thread.join(timeout=10)

    def take(self, fact: Fact) -> None:
        """Record a fact, and tell the call's flow."""
        now = clock.now()
        if fact.kind is Kind.ENTERED and fact.channel_id in self._runners:
            return  # a listing says again what is known
        call_id = _record(fact, now) if fact.kind in _RECORDED else None
        if fact.kind in {Kind.ENDED, Kind.HANGUP_REQUESTED}:
            self.drop(fact.channel_id)
        elif fact.kind is Kind.ENTERED and call_id is not None:
            self._start(fact.channel_id, call_id, now)
        elif runner := self._runners.get(fact.channel_id):
            if fact.kind in {Kind.PLAYED, Kind.PLAY_FAILED}:
                runner.played(fact.playback_id, failed=fact.kind is Kind.PLAY_FAILED, now=now)
            elif fact.kind is Kind.DIGIT:
                runner.digit(fact.digit, now=now)

    def drop(self, channel_id: str) -> None:
        """Forget a channel's flow: it ended, or goes on from its row when a listing shows the channel."""
        self._runners.pop(channel_id, None)

    def drop_all(self) -> None:
        """Forget every flow, for what happened while the engine went unheard will not be told again."""
        self._runners.clear()

    def fetched(self, channel_id: str, token: int, result: fetching.Fetched) -> None:
        """Hand a document to the flow that asked for it, if its call is still up."""
        if runner := self._runners.get(channel_id):
            runner.fetched(token, result, now=clock.now())

    def woken(self, channel_id: str, token: int) -> None:
        """Tell a flow that its wait is over."""
        if runner := self._runners.get(channel_id):
            runner.woken(token, now=clock.now())

    def _start(self, channel_id: str, call_id: int, now: datetime) -> None:
        flow = store.load(call_id)
        if flow is not None:
            runner = self._runners[channel_id] = Runner(flow, ChannelLine(self._board, channel_id))
            runner.start(now=now)

    def _loop(self) -> None:
        while item := self._work.get():
            channel_id, work = item
            close_old_connections()
            try:
                work(self)
            except store.FlowEnded:
                self.drop(channel_id)
            except (OperationalError, InterfaceError, EngineError) as error:
                logger.warning("channel %s goes on from its row: %s", channel_id, error)
                self.drop(channel_id)
            except Exception:
                logger.exception("channel %s goes on from its row", channel_id)
                self.drop(channel_id)
        connection.close()


class ChannelLine:
    """What a flow does with its channel: commands to the engine, the rest to the event loop."""

    def __init__(self, board: "Switchboard", channel_id: str) -> None:
        self._board = board
        self._channel_id = channel_id

    def say(self, text: str) -> str:
        playback_id = str(uuid4())
        link.adapter().play(self._channel_id, playback_id=playback_id, media=[f"say:{text}"])
        return playback_id

    def stop(self, playback_id: str) -> None:
        try:
            link.adapter().stop_playback(playback_id)
        except EngineError as error:
            logger.info("a playback of %s was not stopped: %s", self._channel_id, error)

    def fetch(self, request: fetching.Request, token: int) -> None:
        self._board.fetch(self._channel_id, request, token)

    def wake_in(self, seconds: float, token: int) -> None:
        self._board.wake_in(seconds, self._channel_id, token)

    def hang_up(self, call_id: int, reason: Reason, by: Party) -> None:
        dialing.hang_up(call=Call.objects.get(pk=call_id), reason=reason, by=by, now=clock.now())


class Switchboard:
    """The process. `run` returns after `stop`, with all queued work done."""

    def __init__(self) -> None:
        self._lanes = [Lane(self, number) for number in range(settings.SWITCHBOARD_THREADS)]
        self._ticker = ThreadPoolExecutor(1, thread_name_prefix="tick")
        self._stopping = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._connected = False
        self._reconciled_at: datetime | None = None

    async def run(self) -> None:
        """Serve until stopped."""
        self._loop = asyncio.get_running_loop()
        async with Client() as self._client:
            hearing = asyncio.create_task(self._hear())
            while not self._stopping.is_set():
                await self._loop.run_in_executor(self._ticker, self._tick)
                await _wait(self._stopping, TICK_SECONDS)
            hearing.cancel()
            await asyncio.gather(hearing, return_exceptions=True)
            for lane in self._lanes:
                await asyncio.to_thread(lane.stop)
        self._ticker.shutdown()

    def stop(self) -> None:
        """Let `run` return soon."""
        self._stopping.set()

    def fetch(self, channel_id: str, request: fetching.Request, token: int) -> None:
        """Fetch a document on the loop; the channel's lane is told it with `token`. From any thread."""

        async def work() -> None:
            result = await fetching.fetch(self._client, request)
            self._put(channel_id, lambda lane: lane.fetched(channel_id, token, result))

        self._loop.call_soon_threadsafe(self._spawn, work)

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
            await asyncio.sleep(_RECONNECT_SECONDS)

    def _on_connect(self) -> None:
        """What went unheard meanwhile a listing must tell; flows go on from their rows."""
        logger.info("linked to the engine")
        for lane in self._lanes:
            lane.put("", Lane.drop_all)
        self._connected, self._reconciled_at = True, None

    def _dispatch(self, fact: Fact) -> None:
        if lifecycle.is_uuid(fact.channel_id):
            self._put(fact.channel_id, lambda lane: lane.take(fact))

    def _put(self, channel_id: str, work: Work) -> None:
        self._lanes[zlib.crc32(channel_id.encode()) % len(self._lanes)].put(channel_id, work)

    def _spawn(self, work: Callable[[], Coroutine[None, None, None]]) -> None:
        task = asyncio.create_task(work())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _tick(self) -> None:
        """Beat, compare channels, end what is overdue, dial what is due; a failure waits for the next tick."""
        close_old_connections()
        try:
            if self._connected:
                link.adapter().ping()
                link.beat(now=clock.now())
                self._reconcile()
                sweeps.overdue(now=clock.now())
                dialing.drain(due_before=clock.now() - SWEEP_DUE_AFTER, seconds=TICK_SECONDS)
            else:
                sweeps.expired(now=clock.now())
        except (OperationalError, InterfaceError, EngineError) as error:
            logger.warning("this tick's work waits for the next: %s", error)
        except Exception:
            logger.exception("a tick failed")

    def _reconcile(self) -> None:
        now = clock.now()
        if self._reconciled_at is not None and now - self._reconciled_at < RECONCILE_EVERY:
            return
        findings = sweeps.reconcile(now=now)
        for fact in findings.unheard:
            self._dispatch(fact)
        for channel_id in findings.gone:
            self._put(channel_id, partial(Lane.drop, channel_id=channel_id))
        self._reconciled_at = now


_RECORDED = frozenset({Kind.RINGING, Kind.PROGRESS, Kind.ANSWERED, Kind.ENTERED, Kind.ENDED})


def _record(fact: Fact, now: datetime) -> int | None:
    """Record a fact; while the database does not answer, try again for some seconds: nobody tells it twice."""
    for wait_seconds in _RECORD_AGAIN_SECONDS:
        try:
            return lifecycle.record(fact, now=now)
        except (OperationalError, InterfaceError) as error:
            logger.warning("a fact waits for the database: %s", error)
            close_old_connections()
            time.sleep(wait_seconds)
    return lifecycle.record(fact, now=now)


class Turn:
    """The advisory lock that keeps the switchboard alone, on a connection of its own that nothing else uses."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="turn")

    async def take(self, stopping: asyncio.Event) -> bool:
        """Wait until the lock is ours; return False when `stopping` came first."""
        while not stopping.is_set():
            if await self._ask("SELECT pg_try_advisory_lock(%s)"):
                return True
            await _wait(stopping, TICK_SECONDS)
        return False

    async def keep(self) -> None:
        """Return when the lock's connection, and with it the lock, is lost."""
        while True:
            try:
                await self._ask("SELECT %s IS NOT NULL")
            except (OperationalError, InterfaceError):
                logger.critical("the switchboard's lock is lost")
                return
            await asyncio.sleep(TICK_SECONDS)

    async def _ask(self, question: str) -> bool:
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._query, question)

    @staticmethod
    def _query(question: str) -> bool:
        with connection.cursor() as cursor:
            cursor.execute(question, [_LOCK])
            return bool(cursor.fetchone()[0])


async def _wait(event: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(event.wait(), seconds)
    except TimeoutError:
        return


def _adapter() -> Ari:
    """Return the engine's adapter, read with a connection that is not stale."""
    close_old_connections()
    return link.adapter()
