"""Pumps side by side: what is due goes out while one of them waits for slow receivers."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
from django.db import connection
from pytest_django.fixtures import Settings

from applications.models import Application, Customer
from minivoice import nudge
from tests.webhooks.conftest import SECRET, Publish
from tests.webhooks.receiver import Received, Receiver
from webhooks import deliveries, pump

pytestmark = pytest.mark.django_db(transaction=True)

RUN_SECONDS = 0.3


class Slow:
    """Answers when it is told to."""

    def __init__(self) -> None:
        self.is_over = threading.Event()

    def __call__(self, _: Received, connection: socket.socket) -> None:
        self.is_over.wait(20)
        connection.sendall(b"HTTP/1.1 204 Said\r\n\r\n")


@pytest.fixture
def slow() -> Iterator[Slow]:
    reply = Slow()
    yield reply
    reply.is_over.set()


@pytest.fixture
def slow_receiver(slow: Slow) -> Iterator[Receiver]:
    with Receiver(slow) as started:
        yield started


@pytest.fixture
def slow_application(acme: Customer, receiver: Receiver, slow_receiver: Receiver, settings: Settings) -> Application:
    settings.OUTBOUND_ALLOWED = [receiver.place, slow_receiver.place]
    return Application.objects.create(customer=acme, name="slow", webhook_url=slow_receiver.url, webhook_secret=SECRET)


@pytest.fixture
def ending(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Has an item for each run that has stopped claiming."""
    asked: list[str] = []
    monkeypatch.setattr(nudge, "wake", lambda task: bool(asked.append(threading.current_thread().name)) or True)
    return asked


@pytest.fixture
def run(slow: Slow) -> Iterator[Callable[[], Future[int]]]:
    """Starts a pump with two places on a thread, and a connection, of its own."""

    def deliver() -> int:
        try:
            return pump.deliver(places=2, run_seconds=RUN_SECONDS)
        finally:
            connection.close()

    with ThreadPoolExecutor(3, "pump") as threads:
        yield lambda: threads.submit(deliver)
        slow.is_over.set()


def wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_while_one_run_ends_another_goes_on_to_claim(
    run: Callable[[], Future[int]],
    ending: list[str],
    publish: Publish,
    receiver: Receiver,
    slow: Slow,
    slow_receiver: Receiver,
    slow_application: Application,
) -> None:
    publish(slow_application)
    publish(slow_application)
    first = run()
    slow_receiver.wait_for(2)
    wait_until(lambda: "pump_0" in ending)
    publish(slow_application)
    second = run()
    slow_receiver.wait_for(3)
    time.sleep(RUN_SECONDS + 0.2)  # the second's time is over as well, and it has looked at the clock

    ending.clear()
    publish()

    receiver.wait_for(1, seconds=3)
    assert not first.done()
    assert not second.done()
    assert "pump_1" not in ending
    slow.is_over.set()
    assert (first.result(5), second.result(5)) == (2, 2)


def test_a_run_that_may_not_end_ends_all_the_same_when_it_is_long_over(
    run: Callable[[], Future[int]],
    ending: list[str],
    publish: Publish,
    slow: Slow,
    slow_receiver: Receiver,
    slow_application: Application,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pump, "_LONGER_SECONDS", 0.3)
    publish(slow_application)
    publish(slow_application)
    run()
    slow_receiver.wait_for(2)
    wait_until(lambda: "pump_0" in ending)
    publish(slow_application)
    run()

    wait_until(lambda: "pump_1" in ending)

    slow.is_over.set()


def locks() -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = database "
            "WHERE locktype = 'advisory' AND datname = current_database()"
        )
        return int(cursor.fetchone()[0])


def test_a_run_that_has_ended_lets_the_next_one_end(db: None) -> None:
    for _ in range(2):
        with deliveries.ending() as may_end:
            assert locks() == 0
            assert may_end()
            assert locks() == 1
        assert locks() == 0
