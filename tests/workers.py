"""A pytest plugin: `-n auto` runs the suite on workers, each with stores of its own (see `tests.servers`).

What shares something dear, a platform or a telephone engine, stays on one worker: a file at least. What takes longest
begins first. Many tests wait for processes and timers, so there is a worker more than there are processors.
"""

import argparse
import os
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

STORES = ("DATABASE_URL", "REDIS_URL")
MOST_WORKERS = 4

# The units that take longest, longest first, by their files. All other files are units of their own, and come later.
UNITS = [
    ("tests/faults/test_crashpoints.py",),  # with a platform of its own: the others' is busy enough
    ("tests/journeys/*", "tests/faults/*"),  # one platform, and one crowd on it at a time
    ("tests/telephony/engines/*",),  # one engine of each kind
    ("tests/calls/test_leadership.py",),
    ("tests/browser/*",),  # one platform, and one browser
    ("tests/bench/*",),  # two benchmarks beside each other would measure each other
    ("tests/races/*",),
    ("tests/api/test_poison.py",),
    ("tests/api/test_schemathesis.py",),
    ("tests/api/test_costs.py",),
    ("tests/local/*",),
]


def is_worker() -> bool:
    """Whether this process is a worker."""
    return "PYTEST_XDIST_WORKER" in os.environ


def distributes(options: argparse.Namespace) -> bool:
    """Whether this process runs no test itself, but hands them out. Raises UsageError when it may not."""
    if is_worker() or options.collectonly or not options.numprocesses:
        return False
    wanted = options.numprocesses if isinstance(options.numprocesses, int) else number(options)
    if wanted and _stores_are_given():
        raise pytest.UsageError(f"Workers need stores of their own: unset {' and '.join(STORES)}, or use -n 0.")
    return wanted > 0


def number(options: argparse.Namespace) -> int:
    """How many workers `-n auto` means: 0, none, when there is one file, a debugger, or a store that somebody gave."""
    if options.usepdb or _stores_are_given():
        return 0
    files = sum(_files(place) for place in options.file_or_dir or ["tests"])
    workers = min(files, (os.cpu_count() or 1) + 1, MOST_WORKERS)
    return workers if workers > 1 else 0


@pytest.hookimpl(tryfirst=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Answer xdist, which asks after the servers had to know."""
    return number(config.option)


@pytest.hookimpl(tryfirst=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    """Hand out units, whatever `--dist` says."""
    return _Scheduling(config, log)


class _Scheduling(LoadScopeScheduling):
    """Units of tests that stay together, the longest first."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        rank = _rank(file)
        return f"{rank:02}" if rank < len(UNITS) else file

    def _assign_work_unit(self, node: Any) -> None:
        # A digit sorts before a letter. The sort is stable: xdist has put files with many tests first.
        first = min(self.workqueue, key=lambda unit: unit if unit.isdigit() else "tests")
        self.workqueue.move_to_end(first, last=False)
        super()._assign_work_unit(node)


def _rank(file: str) -> int:
    """The place of a file's unit among UNITS, or their number."""
    return next(
        (rank for rank, patterns in enumerate(UNITS) if any(fnmatch(file, pattern) for pattern in patterns)),
        len(UNITS),
    )


def _files(place: str) -> int:
    """How many test files there are at a place that the command line names."""
    path = Path(place.partition("::")[0])
    return sum(1 for _ in path.rglob("test_*.py")) if path.is_dir() else 1


def _stores_are_given() -> bool:
    return any(os.environ.get(name) for name in STORES)
