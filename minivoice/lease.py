"""The right of this process to act, for some seconds at a time. Only the switchboard has one (`calls.leadership`).

A process can stand still without knowing it (stopped, starved, its machine asleep) and go on as if nothing had
happened, while another has long taken its place. So it asks `check` before everything it does: a comparison with a
clock that goes on while the process and its machine do not.

A lease can also be paused, while the right may be another's: then `check` waits. And it can be given up, for good.
"""

import logging
import math
import os
import threading
import time

logger = logging.getLogger(__name__)

_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)  # counts suspension; only Linux knows it by this name
_ends_at_seconds = math.inf  # a process that never had a lease is not bound by one
_LOOK_SECONDS = 0.1
_runs = threading.Event()  # not set: paused
_runs.set()
_given_up = threading.Event()


def clock_seconds() -> float:
    """Return the reading of the clock by which leases run."""
    return time.clock_gettime(_CLOCK)


def renew(*, since_seconds: float, lease_seconds: float) -> None:
    """Let the lease run for `lease_seconds` from the reading `since_seconds` of its clock."""
    global _ends_at_seconds  # noqa: PLW0603  a process has one lease
    _ends_at_seconds = since_seconds + lease_seconds
    _runs.set()


def pause() -> None:
    """Let whoever checks the lease wait until it is renewed, or over."""
    _runs.clear()


def give_up() -> None:
    """Let the lease end now, whatever renews it: what this process still begins ends it, with status 0."""
    _given_up.set()


def check() -> None:
    """Go on if the lease runs, wait while it is paused; else end this process, before it does anything more."""
    while not _runs.wait(_LOOK_SECONDS):
        check_time()
    check_time()


def check_time() -> None:
    """End this process at once if the lease is over. Never waits."""
    if _given_up.is_set() or clock_seconds() >= _ends_at_seconds:
        lose("its lease is over")


def lose(why: str) -> None:
    """End this process at once, nothing tidied up: it may have a successor already."""
    if _given_up.is_set():
        leave()
    logger.critical("this process leads no longer and ends: %s", why)
    os._exit(1)


def leave() -> None:
    """End this process in good order, and with it whatever still waits for a database or an engine that hangs."""
    os._exit(0)
