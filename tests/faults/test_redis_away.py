"""Redis frozen, emptied and killed while events and calls stream in: three hundred in `make test`, 10,000 in full.

It is only a doorbell: creates go on, are dialled by the switchboard's sweep, and no event is lost.
"""

import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from signal import SIGCONT, SIGSTOP
from typing import Any

import pytest
import redis

from applications.models import Application
from minivoice.local.stack import Platform
from minivoice.local.valkey import Valkey
from tests import factories
from tests.journeys.crowd import FULL, Crowd
from tests.journeys.receiver import SECRET, Receiver
from tests.journeys.stage import running, until
from tests.stillness import Stillness

EVENTS, CALLS = (10_000, 200) if FULL else (300, 12)
FROZEN_SECONDS = 30 if FULL else 8  # longer than nudges pause after a failure, and a worker tries to tell of an end
TASKS_AT_ONCE = 2  # of the worker that delivers
SLOW_SECONDS = 0.5
MAY_END_WITHIN_SECONDS = 3.0  # a receiver is not waited for much longer
AT_ONCE_SECONDS = 2.0
CREATED_WITHIN_SECONDS = 1.5
SLACK_SECONDS = 1.0  # on a machine that does much else
CONSUMING_WITHIN_SECONDS = 30
_THREADS = 4
_CALLEE = "+15551230901"


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory, receiver: Receiver) -> Iterator[Platform]:
    """A platform of these tests' own: no other's workers have to find their way back to Redis."""
    state = tmp_path_factory.mktemp("redis-away")
    with running(state, receiver, database="redis_away") as platform:
        yield platform


@pytest.fixture(scope="module")
def platform_database() -> str:
    return "redis_away"


class Stream:
    """Sample events and calls, as fast as the platform takes them, until all are sent."""

    def __init__(self, crowd: Crowd, receiver: Receiver, stillness: Stillness) -> None:
        self.crowd, self._stillness = crowd, stillness
        self.events: list[str] = []
        self.calls: list[str] = []
        self.create_seconds: list[float] = []
        receiver.answers["/bye"] = {"actions": [{"hangup": {}}]}
        self.may_end = threading.Event()  # what is told to `slow`
        receiver.answers["/slow"] = self._end_slowly
        self.slow = self._new_application(receiver.url("/slow"))
        self.bell = self._new_application(receiver.url("/bell"))  # nothing waits before its events

    def _new_application(self, url: str) -> Application:
        customer = self.crowd.customer.customer
        made: Application = factories.ApplicationFactory(customer=customer, webhook_url=url, webhook_secret=SECRET)
        return made

    def _end_slowly(self, _: dict[str, Any]) -> dict[str, Any]:
        self.may_end.wait(MAY_END_WITHIN_SECONDS)
        time.sleep(SLOW_SECONDS)
        return {}

    def send_event(self, application: Application) -> str:
        """Publish a sample event; return its id."""
        sent = self.crowd.customer.request("POST", f"/v1/applications/{application.public_id}/test-event")
        assert sent.status_code == 201, sent.text
        event_id = str(sent.json()["event_id"])
        self.events.append(event_id)
        return event_id

    def place(self) -> list[str]:
        """Create a call whose callee says good-bye; note how long the create took."""
        began = time.time()
        placed = self.crowd.place(_CALLEE, answer="/bye")
        ended = time.time()
        self.create_seconds.append(ended - began - self._stillness.seconds(began, ended))
        self.calls += placed
        return placed

    @contextmanager
    def flowing(self) -> Iterator[None]:
        """Send everything; the block runs once a third is sent, and the rest of it goes on meanwhile."""
        # Not among what is timed: the first creates of a process that has just started connect to the database.
        self.calls += self.crowd.place(*[_CALLEE] * _THREADS, answer="/bye")
        with ThreadPoolExecutor(_THREADS) as threads:
            sent = [threads.submit(self._send, number) for number in range(EVENTS)]
            until(lambda: len(self.events) >= EVENTS // 3, seconds=300, what="a third of the events is sent")
            yield
        for each in sent:
            each.result()

    def _send(self, number: int) -> None:
        if number % (EVENTS // CALLS) == 0:
            self.place()
        self.send_event(self.crowd.customer.application)


@pytest.mark.timeout(1800 if FULL else 300)
@pytest.mark.parametrize("fault", ["frozen", "flushed", "killed", "killed again and again"])
def test_no_event_is_lost_and_calls_are_dialled(
    fault: str, crowd: Crowd, receiver: Receiver, platform: Platform, stillness: Stillness
) -> None:
    stream = Stream(crowd, receiver, stillness)

    with stream.flowing():
        FAULTS[fault](stream, platform)
        wait_until_consuming(stream, receiver)

    until(lambda: not missing(stream, receiver), seconds=300, what="every event arrived", every=0.5)
    crowd.wait_for_all(seconds=60)
    assert len(stream.events) >= EVENTS
    assert max(stream.create_seconds) < CREATED_WITHIN_SECONDS + SLACK_SECONDS
    assert {(call.status, call.end_reason) for call in crowd.calls(stream.calls)} == {("completed", "hangup")}


def freeze(stream: Stream, platform: Platform) -> None:
    """Redis takes connections and answers nothing for a while, each time while a task ends; calls are dialled."""
    for _ in range(TASKS_AT_ONCE):
        stream.may_end.clear()
        stream.send_event(stream.slow)
        under_way = stream.slow.events.filter(is_in_flight=True)
        until(under_way.exists, seconds=CONSUMING_WITHIN_SECONDS, what="a task is under way")
        ends = time.monotonic() + FROZEN_SECONDS
        pid = platform.pids["valkey"]
        os.kill(pid, SIGSTOP)
        stream.may_end.set()
        try:
            placed = stream.place()
            until(lambda ids=placed: is_dialled(stream, ids), seconds=FROZEN_SECONDS, what="a call is dialled")
            time.sleep(max(ends - time.monotonic(), 0))
        finally:
            os.kill(pid, SIGCONT)


def flush(_: Stream, platform: Platform) -> None:
    """Everything in Redis is gone, five times."""
    with redis.Redis.from_url(Valkey(state=platform.state).url, socket_timeout=5) as client:
        for _flush in range(5):
            client.flushall()
            time.sleep(0.2)


def kill(_: Stream, platform: Platform) -> None:
    """Redis is killed, and comes back empty."""
    platform.kill("valkey")


def kill_often(_: Stream, platform: Platform) -> None:
    """Redis is killed whenever it is back, five times."""
    for _kill in range(5):
        killed = platform.kill("valkey")
        until(lambda was=killed: platform.pids["valkey"] != was, seconds=30, what="Redis is started again")


FAULTS: dict[str, Callable[[Stream, Platform], None]] = {
    "frozen": freeze,
    "flushed": flush,
    "killed": kill,
    "killed again and again": kill_often,
}


def is_dialled(stream: Stream, placed: list[str]) -> bool:
    """Whether the engine was told of all these calls."""
    return not stream.crowd.calls(placed).filter(dialing_at=None).exists()


def wait_until_consuming(stream: Stream, receiver: Receiver) -> None:
    """Wait until an event arrives at once: nudged, not found by a sweep."""

    def arrives_at_once() -> bool:
        event = stream.send_event(stream.bell)
        deadline = time.monotonic() + AT_ONCE_SECONDS
        while time.monotonic() < deadline:
            if event in arrived(receiver):
                return True
            time.sleep(0.02)
        return False

    until(arrives_at_once, seconds=CONSUMING_WITHIN_SECONDS, what="events arrive at once again")


def arrived(receiver: Receiver) -> set[str]:
    """The ids of all events that came, however often."""
    return {item.body["id"] for item in list(receiver.received) if "id" in item.body}


def missing(stream: Stream, receiver: Receiver) -> set[str]:
    """The events that were acknowledged and have not arrived."""
    return set(stream.events) - arrived(receiver)
