"""A test of the tests: what is excused of a bound on time is what the machine took, and no more."""

import time
from datetime import UTC, datetime

from tests.stillness import Stillness, watched


def test_counts_the_stillest_processor_between_two_moments() -> None:
    watch = Stillness()
    watch.gaps = {0: [(10.0, 11.0), (20.0, 20.5)], 1: [(10.5, 12.0)]}

    assert watch.seconds(0, 9) == 0
    assert watch.seconds(9, 13) == 1.5
    assert watch.seconds(10.75, 11.5) == 0.75
    assert watch.seconds(datetime.fromtimestamp(19, UTC), datetime.fromtimestamp(20.25, UTC)) == 0.25


def test_notes_no_more_than_has_passed_and_ends_with_its_block() -> None:
    began = time.time()
    with watched() as watch:
        time.sleep(0.2)
        so_far = watch.seconds(began, time.time())
    ended = time.time()

    assert 0 <= so_far <= watch.seconds(began, ended) <= ended - began
    gaps = {processor: list(gaps) for processor, gaps in watch.gaps.items()}
    time.sleep(0.05)
    assert watch.gaps == gaps


def test_a_busy_process_is_no_still_machine() -> None:
    """Who is slow is not excused by being slow."""
    with watched() as watch:
        began = time.time()
        while time.time() - began < 1:
            sum(range(1000))
        assert watch.seconds(began, time.time()) < 0.8
