"""Threads that work for many customers in turn."""

import threading
from collections.abc import Iterator

import pytest

from telephony.turns import Turns


class Work:
    """Pieces of work that wait until they are let go on."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.is_enough = threading.Event()
        self._changed = threading.Condition()

    def __call__(self, name: str) -> str:
        with self._changed:
            self.begun.append(name)
            self._changed.notify_all()
        assert self.is_enough.wait(10)
        return name

    def wait_for(self, count: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.begun) >= count, 10)


@pytest.fixture
def work() -> Iterator[Work]:
    work = Work()
    yield work
    work.is_enough.set()


def test_an_owner_has_no_more_than_its_threads_and_all_of_its_work_is_done(work: Work) -> None:
    turns = Turns(3, each=2, name="test")
    acme = [turns.submit("acme", work, f"a{number}") for number in range(6)]
    work.wait_for(2)
    globex = turns.submit("globex", work, "g")
    work.wait_for(3)
    assert work.begun == ["a0", "a1", "g"]

    work.is_enough.set()

    assert [made.result(10) for made in [*acme, globex]] == ["a0", "a1", "a2", "a3", "a4", "a5", "g"]


def test_owners_who_wait_take_turns(work: Work) -> None:
    turns = Turns(1, each=1, name="test")
    names = ["a0", "a1", "a2", "b0", "c0", "b1"]
    made = [turns.submit(name[0], work, name) for name in names]
    work.wait_for(1)

    work.is_enough.set()

    assert [each.result(10) for each in made] == names
    assert work.begun == ["a0", "a1", "b0", "c0", "a2", "b1"]


def test_work_that_fails_or_is_not_wanted_any_more_stops_no_other(work: Work) -> None:
    turns = Turns(1, each=1, name="test")
    first = turns.submit("acme", work, "first")
    work.wait_for(1)
    failing = turns.submit("acme", int, "no number")
    canceled = turns.submit("acme", work, "canceled")
    last = turns.submit("acme", work, "last")
    assert canceled.cancel()

    work.is_enough.set()

    assert (first.result(10), last.result(10)) == ("first", "last")
    assert isinstance(failing.exception(10), ValueError)
    assert work.begun == ["first", "last"]
