"""Lanes: the threads that do the work of calls. A channel is pinned to one, so that its facts stay in order."""

import logging
import queue
import threading
import time
from collections.abc import Callable
from datetime import datetime
from math import inf
from time import monotonic
from typing import Protocol, TypeVar
from uuid import uuid4

from django.db import close_old_connections, connection
from django.db.utils import InterfaceError, OperationalError

from calls import dialing, forwarding, inbound, lifecycle
from calls.flow import fetching, store
from calls.flow.runner import Runner
from calls.models import Call, Flow, Party, Reason, Status
from minivoice import clock, lease, logs
from telephony import link
from telephony.engines.facts import Arrival, EngineError, Fact, Kind

logger = logging.getLogger(__name__)

_FRESH_SECONDS = 1.0  # a connection that idled for longer is looked at before it is used
_RECORD_AGAIN_SECONDS = (0.1, 0.5, 1.0, 2.0)

Work = Callable[["Lane"], None]
Written = TypeVar("Written")


class Board(Protocol):
    """What lanes ask of the event loop; from any thread."""

    def fetch(self, channel_id: str, request: fetching.Request, token: int) -> None:
        """Fetch a document; the channel's lane is told it with `token`."""

    def wake_in(self, seconds: float, channel_id: str, token: int) -> None:
        """Tell the channel's lane `token` after some seconds."""


class Lane:
    """A thread that does the work of the channels pinned to it, one thing after the other."""

    def __init__(self, board: Board, number: int) -> None:
        self._board = board
        self._work: queue.SimpleQueue[tuple[str, Work] | None] = queue.SimpleQueue()
        self._runners: dict[str, Runner | None] = {}  # None: the channel follows nothing (more)
        self._thread = threading.Thread(target=self._loop, name=f"lane-{number}", daemon=True)
        self._thread.start()

    def put(self, channel_id: str, work: Work) -> None:
        """Queue a piece of a channel's work; from any thread."""
        self._work.put((channel_id, work))

    def stop(self) -> None:
        """Take no more work; what is queued is still done."""
        self._work.put(None)

    def join(self) -> None:
        """Wait until a stopped lane has done its work."""
        self._thread.join()

    def take(self, fact: Fact) -> None:
        """Record a fact, and tell the call's flow."""
        now = clock.now()
        if fact.kind is Kind.ENTERED and fact.channel_id in self._runners:
            return  # a listing says again what is known
        call_id = self._told(fact, now)
        if fact.kind in {Kind.ENDED, Kind.LOST}:
            self.drop(fact.channel_id)
            if call_id is not None:
                forwarding.part(call_id, now=now)
        elif fact.kind is Kind.HANGUP_REQUESTED:
            self._runners[fact.channel_id] = None
        elif fact.kind is Kind.ENTERED and call_id is not None:
            self._enter(fact.channel_id, call_id, now)
        elif runner := self._runners.get(fact.channel_id):
            if fact.kind in {Kind.PLAYED, Kind.PLAY_FAILED}:
                runner.played(fact.playback_id, failed=fact.kind is Kind.PLAY_FAILED, now=now)
            elif fact.kind is Kind.DIGIT:
                runner.digit(fact.digit, now=now)

    def _told(self, fact: Fact, now: datetime) -> int | None:
        """Record what calls are about; return the call's id."""
        if fact.kind is Kind.ENTERED and fact.arrival is not None:
            return _take(fact.arrival, fact.channel_id, now)
        return _persistently(lambda: lifecycle.record(fact, now=now)) if fact.kind in _RECORDED else None

    def instruct(self, channel_id: str, call_id: int) -> None:
        """Begin the instructions that have replaced a call's, unless they run already or its channel is ending."""
        is_ending = channel_id in self._runners and self._runners[channel_id] is None
        flow = store.load(call_id)
        if flow is None or flow.running == flow.generation or is_ending:
            return
        if runner := self._runners.get(channel_id):
            runner.abandon()
        self.drop(channel_id)
        self._start(channel_id, flow, clock.now())

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

    def _enter(self, channel_id: str, call_id: int, now: datetime) -> None:
        """Begin what a call that is ours to command is to do: its instructions, or to talk to its other end."""
        flow = store.load(call_id)
        if flow is not None:
            self._start(channel_id, flow, now)
        else:
            forwarding.join(call_id)
            self._runners[channel_id] = None

    def _start(self, channel_id: str, flow: Flow, now: datetime) -> None:
        if not flow.call.intent and store.begun(flow):
            runner = self._runners[channel_id] = Runner(flow, ChannelLine(self._board, channel_id))
            runner.start(now=now)

    def _loop(self) -> None:
        worked_at = -inf
        while item := self._work.get():
            channel_id, work = item
            lease.check()
            if monotonic() - worked_at > _FRESH_SECONDS:
                close_old_connections()
            worked_at = monotonic()
            logs.call_id.set("")  # what comes is of another call, or of none
            try:
                work(self)
            except store.FlowEnded:
                self.drop(channel_id)
            except (OperationalError, InterfaceError, EngineError) as error:
                logger.warning("channel %s goes on from its row: %s", channel_id, error)
                self.drop(channel_id)
                close_old_connections()
            except Exception:
                logger.exception("channel %s goes on from its row", channel_id)
                self.drop(channel_id)
        connection.close()


class ChannelLine:
    """What a flow does with its channel: commands to the engine, the rest to the event loop."""

    def __init__(self, board: Board, channel_id: str) -> None:
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

    def answer(self, timer_seconds: int) -> None:
        # The timer first: no call may be up without one, whatever dies in between. The engine ends it a moment early.
        link.adapter().set_timer(self._channel_id, seconds=timer_seconds)
        link.adapter().answer(self._channel_id)

    def wake_in(self, seconds: float, token: int) -> None:
        self._board.wake_in(seconds, self._channel_id, token)

    def hang_up(self, call_id: int, reason: Reason, by: Party) -> None:
        dialing.hang_up(call=Call.objects.get(pk=call_id), reason=reason, by=by, now=clock.now())


_RECORDED = frozenset({Kind.RINGING, Kind.PROGRESS, Kind.ANSWERED, Kind.ENTERED, Kind.ENDED, Kind.LOST})


def _take(arrival: Arrival, channel: str, now: datetime) -> int | None:
    """Take a call that came in, or refuse it; return its id, None when it was refused."""
    try:
        call = _persistently(lambda: inbound.take(arrival, channel=channel, now=now))
    except inbound.Refused as refused:
        link.adapter().hang_up(channel, reason_code=refused.cause)
        return None
    if call.status == Status.RINGING:
        link.adapter().ring(channel)
    return call.pk


def _persistently(write: Callable[[], Written]) -> Written:
    """Write a fact down; while the database does not answer, try again for some seconds: nobody tells it twice."""
    for wait_seconds in _RECORD_AGAIN_SECONDS:
        try:
            return write()
        except (OperationalError, InterfaceError) as error:
            logger.warning("a fact waits for the database: %s", error)
            close_old_connections()
            time.sleep(wait_seconds)
            lease.check()  # which waits while the lock has gone with the database
    return write()
