"""CPU time that processes use, with all they have started, and what the rest of the machine does meanwhile."""

import resource
import time
from collections.abc import Mapping

import psutil  # type: ignore[import-untyped]

_IDLE = ("idle", "iowait", "guest", "guest_nice")  # guests' time is in that of users already


class Meter:
    """Counts from now on. `client` is what this process has run to its end meanwhile: wrk, pgbench."""

    def __init__(self, pids: Mapping[str, int]) -> None:
        self._processes = {name: psutil.Process(pid) for name, pid in pids.items()}
        self._started = time.monotonic()
        self._before, self._busy_before = self._used(), _busy()

    def stop(self) -> None:
        """Stop counting."""
        seconds = time.monotonic() - self._started
        after = self._used()
        self._seconds = {name: after[name] - self._before[name] for name in after}
        others = _busy() - self._busy_before - sum(self._seconds.values())
        self.others_cores = max(0.0, others / seconds)

    def per_item_ms(self, items: int) -> dict[str, float]:
        """Return the CPU milliseconds, user and system, that each process used for one of `items`."""
        return {name: seconds * 1000 / max(1, items) for name, seconds in self._seconds.items()}

    def _used(self) -> dict[str, float]:
        ended = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds = {name: _tree(process) for name, process in self._processes.items()}
        return {**seconds, "client": ended.ru_utime + ended.ru_stime}


def _tree(root: psutil.Process) -> float:
    return sum(_own(process) for process in [root, *root.children(recursive=True)])


def _own(process: psutil.Process) -> float:
    """Of its children that have ended a process counts the time too."""
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(times.user + times.system + times.children_user + times.children_system)


def _busy() -> float:
    times = psutil.cpu_times()._asdict()
    return float(sum(seconds for name, seconds in times.items() if name not in _IDLE))
