"""CPU time that processes used, with all they have started."""

import resource
from collections.abc import Mapping

import psutil  # type: ignore[import-untyped]

CLIENT = "client"


def used(pids: Mapping[str, int]) -> dict[str, float]:
    """Return the CPU seconds, user and system, that each named process tree has used so far.

    Of processes that have ended their parents know it. `client` is what this process has run to its end: wrk, pgbench.
    """
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = {name: _tree(psutil.Process(pid)) for name, pid in pids.items()}
    return {**seconds, CLIENT: ended.ru_utime + ended.ru_stime}


def per_item_ms(before: Mapping[str, float], after: Mapping[str, float], items: int) -> dict[str, float]:
    """Return the CPU milliseconds that each process used for one of `items`."""
    return {name: (after[name] - before[name]) * 1000 / max(1, items) for name in before}


def _tree(root: psutil.Process) -> float:
    return sum(_own(process) for process in [root, *root.children(recursive=True)])


def _own(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(times.user + times.system + times.children_user + times.children_system)
