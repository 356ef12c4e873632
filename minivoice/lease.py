"""The right of this process to act, for some seconds at a time. Only the switchboard has one (`calls.leadership`).

A process can stand still without knowing it (stopped, starved, its machine asleep) and go on as if nothing had
happened, while another has long taken its place. So it asks `check` before everything it does: a comparison with a
clock that goes on while the process and its machine do not.
"""

import logging
import math
import os
import time

logger = logging.getLogger(__name__)

_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)  # counts suspension; only Linux knows it by this name
_ends_at_seconds = math.inf  # a process that never had a lease is not bound by one


def clock_seconds() -> float:
    """Return the reading of the clock by which leases run."""
    return time.clock_gettime(_CLOCK)


def renew(*, since_seconds: float, lease_seconds: float) -> None:
    """Let the lease run for `lease_seconds` from the reading `since_seconds` of its clock."""
    global _ends_at_seconds  # noqa: PLW0603  a process has one lease
    _ends_at_seconds = since_seconds + lease_seconds


def give_up() -> None:
    """Let the lease end now: whatever this process still begins ends it."""
    renew(since_seconds=-math.inf, lease_seconds=0)


def check() -> None:
    """Go on if the lease runs; else end this process at once, before it does anything more."""
    if clock_seconds() >= _ends_at_seconds:
        lose("its lease is over")


def lose(why: str) -> None:
    """End this process at once, nothing tidied up: it may have a successor already."""
    logger.critical("this process leads no longer and ends: %s", why)
    os._exit(1)
