"""What races share: threads with a database connection each."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connections

THREADS = 16


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    """Threads that let go of their database connections at the end."""
    with ThreadPoolExecutor(THREADS) as pool:
        yield pool
        together = threading.Barrier(THREADS)
        list(pool.map(lambda _: (together.wait(10), connections.close_all()), range(THREADS)))


@pytest.fixture
def calls_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Creates answer at once: a thousand doorbells are another test's business."""
    monkeypatch.setattr("minivoice.nudge.wake", lambda task: False)
