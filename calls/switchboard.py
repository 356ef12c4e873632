"""The switchboard: one process that hears the engine, runs flows, and sweeps.

The event loop reads the engine's socket and fetches documents; a few threads, each with its database connection, do
the work. A channel is pinned to a thread, so that its facts stay in order. The tick needs no broker: it dials what is
due, ends what is overdue, and compares channels.
"""

import asyncio
import logging
import queue
import threading
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
_LOCK = 0x4D56_5342  # "MVSB": the advisory lock that keeps the switchboard alone

Work = Callable[["Lane"], None]


class Lane:
    """A thread that does the work of the channels pinned to it, one thing after the other."""

    def __init__(self, board: "Switchboard", number: int) -> None:
        self._board = board
        self._work: queue.SimpleQueue[Work | None] = queue.SimpleQueue()
        self._runners: dict[str, Runner] = {}
        self._thread = threading.Thread(target=self._loop, name=f"lane-{number}", daemon=True)
        self._thread.start()

    def put(self, work: Work) -> None:
        """Queue a piece of work; from any thread."""
        self._work.put(work)

    def stop(self) -> None:
        """Finish what is queued, then end."""
        self._work.put(None)
        self._thread.join(timeout=10)

    def take(self, fact: Fact) -> None:
        """Record a fact, and tell the call's flow."""
        now = clock.now()
        if fact.kind is Kind.ENTERED and fact.channel_id in self._runners:
            return  # a listing says again what is known
        call_id = lifecycle.record(fact, now=now) if fact.kind in _RECORDED else None
        if fact.kind is Kind.ENDED:
            self._runners.pop(fact.channel_id, None)
        elif fact.kind is Kind.ENTERED and call_id is not None:
            self._start(fact.channel_id, call_id, now)
        elif runner := self._runners.get(fact.channel_id):
            if fact.kind in {Kind.PLAYED, Kind.PLAY_FAILED}:
                runner.played(fact.playback_id, failed=fact.kind is Kind.PLAY_FAILED, now=now)
            elif fact.kind is Kind.DIGIT:
                runner.digit(fact.digit, now=now)

    def drop(self, channel_id: str) -> None:
        """Forget a channel that ended unheard."""
        self._runners.pop(channel_id, None)

    def fetched(self, channel_id: str, result: fetching.Fetched) -> None:
        """Hand a document to the flow that asked for it, if its call is still up."""
        if runner := self._runners.get(channel_id):
            runner.fetched(result, now=clock.now())

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
        while (work := self._work.get()) is not None:
            close_old_connections()
            try:
                work(self)
            except store.FlowEnded:
                logger.debug("a flow outlived its call by a moment")
            except (OperationalError, InterfaceError, EngineError) as error:
                logger.warning("left to the sweep: %s", error)
            except Exception:
                logger.exception("a piece of work failed")
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
        link.adapter().stop_playback(playback_id)

    def fetch(self, request: fetching.Request) -> None:
        self._board.fetch(self._channel_id, request)

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

    def fetch(self, channel_id: str, request: fetching.Request) -> None:
        """Fetch a document on the loop; the channel's lane is told. From any thread."""

        async def work() -> None:
            result = await fetching.fetch(self._client, request)
            self._lane(channel_id).put(lambda lane: lane.fetched(channel_id, result))

        self._loop.call_soon_threadsafe(self._spawn, work)

    def wake_in(self, seconds: float, channel_id: str, token: int) -> None:
        """Tell the channel's lane `token` after some seconds. From any thread."""
        wake = partial(self._lane(channel_id).put, lambda lane: lane.woken(channel_id, token))
        self._loop.call_soon_threadsafe(self._loop.call_later, seconds, wake)

    async def _hear(self) -> None:
        """Keep the engine's event socket open, and hand every fact to its lane."""
        while True:
            try:
                adapter = await asyncio.to_thread(_adapter)
                async for fact in adapter.facts(on_connect=self._on_connect):
                    self._dispatch(fact)
            except EngineUnreachable as error:
                logger.warning("no link to the engine: %s", error)
            except OperationalError as error:
                logger.warning("the database does not answer: %s", error)
            self._connected = False
            await asyncio.sleep(_RECONNECT_SECONDS)

    def _on_connect(self) -> None:
        logger.info("linked to the engine")
        self._connected, self._reconciled_at = True, None

    def _dispatch(self, fact: Fact) -> None:
        self._lane(fact.channel_id).put(lambda lane: lane.take(fact))

    def _lane(self, channel_id: str) -> Lane:
        return self._lanes[zlib.crc32(channel_id.encode()) % len(self._lanes)]

    def _spawn(self, work: Callable[[], Coroutine[None, None, None]]) -> None:
        task = asyncio.create_task(work())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _tick(self) -> None:
        """Beat, dial what is due, end what is overdue, compare channels; a failure waits for the next tick."""
        close_old_connections()
        now = clock.now()
        try:
            if self._connected:
                link.adapter().ping()
                link.beat(now=now)
                dialing.drain(due_before=now - SWEEP_DUE_AFTER, seconds=TICK_SECONDS)
                sweeps.overdue(now=now)
                self._reconcile(now)
        except (OperationalError, InterfaceError, EngineError) as error:
            logger.warning("this tick's work waits for the next: %s", error)
        except Exception:
            logger.exception("a tick failed")

    def _reconcile(self, now: datetime) -> None:
        if self._reconciled_at is not None and now - self._reconciled_at < RECONCILE_EVERY:
            return
        findings = sweeps.reconcile(now=now)
        for fact in findings.unheard:
            self._dispatch(fact)
        for channel_id in findings.gone:
            self._lane(channel_id).put(partial(Lane.drop, channel_id=channel_id))
        self._reconciled_at = now


_RECORDED = frozenset({Kind.RINGING, Kind.PROGRESS, Kind.ANSWERED, Kind.ENTERED, Kind.ENDED})


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
