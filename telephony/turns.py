"""Threads that work for many customers in turn, so that none waits behind all that another wants."""

import threading
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Made = TypeVar("Made")


class Turns:
    """So many threads, of which an owner has `each` at one time at most; owners that wait take turns."""

    def __init__(self, threads: int, *, each: int, name: str) -> None:
        self._each = each
        self._lock = threading.Lock()
        self._waiting: dict[str, deque[Callable[[], None]]] = {}  # by owner; whose turn is next is first
        self._working: Counter[str] = Counter()
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix=name)

    def submit(self, owner: str, work: Callable[..., Made], *args: object) -> "Future[Made]":
        """Have a thread do `work`, when it is the owner's turn."""
        future: Future[Made] = Future()

        def run() -> None:
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(work(*args))
                except BaseException as error:  # noqa: BLE001  whoever waits for it is told
                    future.set_exception(error)

        with self._lock:
            self._waiting.setdefault(owner, deque()).append(run)
        self._threads.submit(self._work)
        return future

    def _work(self) -> None:
        """Do what waits, as long as somebody's turn is next: an owner who has enough threads is seen to by them."""
        while (turn := self._next()) is not None:
            owner, run = turn
            run()
            with self._lock:
                self._working -= Counter({owner: 1})

    def _next(self) -> tuple[str, Callable[[], None]] | None:
        with self._lock:
            owner = next((owner for owner in self._waiting if self._working[owner] < self._each), None)
            if owner is None:
                return None
            wanted = self._waiting.pop(owner)
            run = wanted.popleft()
            if wanted:
                self._waiting[owner] = wanted  # behind the others
            self._working[owner] += 1
            return owner, run
