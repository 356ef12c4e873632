"""Lanes: the threads that do the work of calls. A channel is pinned to one, so that its facts stay in order."""

import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime
from math import inf
from time import monotonic
from typing import TypeVar

from django.db import close_old_connections, connection
from django.db.utils import InterfaceError, OperationalError

from calls import conferences, inbound, legs, lifecycle
from calls.flow import fetching, store
from calls.flow.line import Board, Line, interjection
from calls.flow.runner import Runner
from calls.lifecycle import Told
from calls.models import Attempt, Flow, Status
from calls.recordings import progress, recorder
from minivoice import clock, lease, logs
from telephony import link
from telephony.audio import Fetched
from telephony.engines.facts import Arrival, EngineError, Fact, Kind

logger = logging.getLogger(__name__)

_FRESH_SECONDS = 1.0  # a connection that idled for longer is looked at before it is used
_RECORD_AGAIN_SECONDS = (0.1, 0.5, 1.0, 2.0)

Work = Callable[["Lane"], None]
Written = TypeVar("Written")


class Lane:
    """A thread that does the work of the channels pinned to it, one thing after the other."""

    def __init__(self, board: Board, number: int) -> None:
        self._board = board
        self._work: queue.SimpleQueue[tuple[str, Work] | None] = queue.SimpleQueue()
        self._entered: set[str] = set()  # channels that are ours to command
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
        if fact.kind in _HANGUPS:
            self._tell_of_hangup(fact.channel_id, now)
        if fact.recording:
            _take_recording(fact, now)
        told = self._told(fact, now)
        if fact.kind in {Kind.ENDED, Kind.LOST}:
            self._entered.discard(fact.channel_id)
            self.drop(fact.channel_id)
        elif fact.kind is Kind.ENTERED and told is not None:
            self._entered.add(fact.channel_id)
            self._enter(fact.channel_id, told.call_id, now)
        elif runner := self._runners.get(fact.channel_id):
            runner.heard(fact, now=now)
        if told is not None and fact.kind in _JOINS_OR_PARTS:
            self._see_to_legs(fact, told, now)

    def _told(self, fact: Fact, now: datetime) -> Told | None:
        """Record what calls are about; return which call that is."""
        if fact.kind is Kind.ENTERED and fact.arrival is not None:
            return _take(fact.arrival, fact.channel_id, now)
        return _persistently(lambda: lifecycle.record(fact, now=now)) if fact.kind in _RECORDED else None

    def instruct(self, channel_id: str, call_id: int) -> None:
        """Begin the instructions that have replaced a call's, unless they run already or its channel is ending.

        On a channel that is not ours to command yet they begin when it is.
        """
        is_ending = channel_id in self._runners and self._runners[channel_id] is None
        if is_ending or channel_id not in self._entered:
            return
        flow = store.load(call_id)
        if flow is None or flow.running == flow.generation:
            return
        if runner := self._runners.get(channel_id):
            runner.abandon(now=clock.now())
        self.drop(channel_id)
        self._start(channel_id, flow, clock.now())

    def drop(self, channel_id: str) -> None:
        """Forget a channel's flow: it ended, or goes on from its row when a listing shows the channel."""
        self._runners.pop(channel_id, None)

    def drop_all(self) -> None:
        """Forget every flow and channel, for what happened while the engine went unheard will not be told again."""
        self._runners.clear()
        self._entered.clear()

    def fetched(self, channel_id: str, token: int, result: fetching.Fetched) -> None:
        """Hand a document to the flow that asked for it, if its call is still up."""
        if runner := self._runners.get(channel_id):
            runner.fetched(token, result, now=clock.now())

    def woken(self, channel_id: str, token: int) -> None:
        """Tell a flow that its wait is over."""
        if runner := self._runners.get(channel_id):
            runner.woken(token, now=clock.now())

    def rendered(self, channel_id: str, playback_id: str, media: Sequence[str]) -> None:
        """Hand the media of a text to the flow that wants it said, none if it cannot be."""
        if runner := self._runners.get(channel_id):
            now = clock.now()
            runner.tell(lambda step: step.rendered(playback_id, media, now=now), now=now)

    def interject(self, channel_id: str, media: Sequence[str]) -> None:
        """Play media after what plays on a channel already, whatever its flow does; never raises EngineError."""
        try:
            link.adapter().play(channel_id, playback_id=interjection(channel_id), media=media)
        except EngineError as error:
            logger.info("%s was not told something: %s", channel_id, error)

    def audio_fetched(self, channel_id: str, request_id: str, fetched: Fetched) -> None:
        """Hand audio to the flow that asked for it, or say why there is none."""
        if runner := self._runners.get(channel_id):
            now = clock.now()
            runner.tell(lambda step: step.audio_fetched(request_id, fetched, now=now), now=now)

    def leg_changed(self, channel_id: str) -> None:
        """Tell a flow that the leg it waits for was answered, or has ended."""
        if runner := self._runners.get(channel_id):
            now = clock.now()
            runner.tell(lambda step: step.leg_changed(now=now), now=now)

    def conference_over(self, channel_id: str, conference_id: int) -> None:
        """Tell a flow that a conference is over: the one that it is in, unless it has gone on already."""
        if runner := self._runners.get(channel_id):
            now = clock.now()
            runner.tell(lambda step: step.conference_over(conference_id, now=now), now=now)

    def _see_to_legs(self, fact: Fact, told: Told, now: datetime) -> None:
        """Hang up the legs of a call that has ended. Have a call told of its leg, whose end empties their bridge."""
        has_ended = fact.kind is not Kind.ENTERED
        if told.parent_id is None:
            if has_ended:
                legs.release(told.call_id, now=now)
            return
        attempt = Attempt.objects.filter(call=told.parent_id).exclude(state=Attempt.State.ENDED).first()
        if attempt is not None:
            self._board.tell_of_leg(attempt.channel)
        if has_ended:
            link.adapter().bridges.destroy(fact.channel_id)

    def _enter(self, channel_id: str, call_id: int, now: datetime) -> None:
        """Begin the instructions of a call that is ours to command; a leg has none."""
        flow = store.load(call_id)
        if flow is not None:
            if not flow.call.intent:
                recorder.start_if_wanted(call=flow.call, now=now)
            self._start(channel_id, flow, now)
        else:
            self._runners[channel_id] = None

    def _start(self, channel_id: str, flow: Flow, now: datetime) -> None:
        if flow.call.intent:
            return
        if flow.running != flow.generation:
            conferences.leave(flow, channel=channel_id)
        if store.begun(flow):
            line = Line(self._board, channel_id, owner=str(flow.call.customer_id))
            runner = self._runners[channel_id] = Runner(flow, line)
            runner.start(now=now)

    def _tell_of_hangup(self, channel_id: str, now: datetime) -> None:
        """Let a flow tell what is to be told before the call's end is."""
        runner, self._runners[channel_id] = self._runners.get(channel_id), None
        if runner is not None:
            with suppress(store.FlowEnded):
                _persistently(lambda: runner.tell(lambda step: step.hung_up(now=now), now=now))

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


_HANGUPS = frozenset({Kind.HANGUP_REQUESTED, Kind.ENDED, Kind.LOST})
_RECORDED = frozenset(
    {
        *(Kind.RINGING, Kind.PROGRESS, Kind.ANSWERED, Kind.ENTERED),
        *(Kind.HELD, Kind.RESUMED, Kind.MEDIA_LOST, Kind.ENDED, Kind.LOST),
    }
)
_JOINS_OR_PARTS = frozenset({Kind.ENTERED, Kind.ENDED, Kind.LOST})


def _take(arrival: Arrival, channel: str, now: datetime) -> Told | None:
    """Take a call that came in, or refuse it; return which it is, None when it was refused."""
    try:
        call = _persistently(lambda: inbound.take(arrival, channel=channel, now=now))
    except inbound.Refused as refused:
        link.adapter().hang_up(channel, reason_code=refused.cause)
        return None
    if call.status == Status.RINGING:
        link.adapter().ring(channel)
    return Told(call.pk)


def _take_recording(fact: Fact, now: datetime) -> None:
    """Write down what is told of a recording; have the engine end one that nobody wants any more."""
    if _persistently(lambda: progress.record(fact, now=now)):
        recorder.give_up(fact.recording)


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
