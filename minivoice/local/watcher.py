"""Ends what a supervisor left behind, even one ended by `kill -9`.

A small process in its own session, started by path with `python -I -S` (so: the standard library only). Its
standard input is a pipe whose write end only the supervisor holds; the kernel closes that end however the
supervisor dies. Lines on the pipe, written by each child itself before it becomes its program, and by the
supervisor once a child and its group are gone:

    +<process group> <signal that asks it to stop>
    -<process group>

This works on Linux and macOS alike; PR_SET_PDEATHSIG is Linux only and forgets grandchildren.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from typing import NamedTuple

GRACE_SECONDS = 5.0
KILL_SECONDS = 5.0


class Living(NamedTuple):
    """One process that is not a zombie: its process group, and its start as the system writes it."""

    group: int
    started: str


class Charge(NamedTuple):
    """A group to end: the signal that asks its leader to stop; the leader's start (None: already gone)."""

    signal: signal.Signals
    started: str | None


def main() -> None:
    """Follow the lines on standard input; once it ends, end every group still named."""
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    end(follow(sys.stdin.buffer))


def follow(lines: Iterable[bytes]) -> dict[int, Charge]:
    """Read lines until they end; return the groups named and not withdrawn."""
    charges: dict[int, Charge] = {}
    for line in lines:
        words = line.decode("ascii").split()
        group = int(words[0][1:])
        if words[0].startswith("+"):
            leader = living().get(group)
            charges[group] = Charge(signal.Signals(int(words[1])), leader.started if leader else None)
        else:
            charges.pop(group, None)
    return charges


def end(charges: dict[int, Charge]) -> None:
    """Ask each leader to stop; kill groups that lost theirs and, after GRACE_SECONDS, all that is left."""
    table = living()
    for group in _left(charges, table):
        if group in table:
            _send(os.kill, group, charges[group].signal)
    grace_ends_at = time.monotonic() + GRACE_SECONDS
    while (left := _left(charges, table := living())) and time.monotonic() < grace_ends_at + KILL_SECONDS:
        for group in left:
            if group not in table or time.monotonic() > grace_ends_at:
                _send(os.killpg, group, signal.SIGKILL)
        time.sleep(0.05)


def living() -> dict[int, Living]:
    """Return every process that is not a zombie, by pid."""
    return _from_proc() if os.path.exists("/proc/self/stat") else _from_ps()  # noqa: PTH110  pathlib is slow to load


def _left(charges: dict[int, Charge], table: dict[int, Living]) -> list[int]:
    """Groups with a living member; a leader that started at another time is a stranger with that number."""
    groups = {process.group for process in table.values()}
    return [
        group
        for group, charge in charges.items()
        if group in groups and (group not in table or table[group].started == charge.started)
    ]


def _send(send: Callable[[int, int], None], number: int, signal_number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):  # gone meanwhile; macOS says EPERM for zombies
        send(number, signal_number)


def _from_proc() -> dict[int, Living]:
    table = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):  # noqa: PTH208
        with contextlib.suppress(OSError), open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123
            fields = file.read().rpartition(b")")[2].split()  # the name in brackets may hold anything: see proc(5)
            if fields[0] not in (b"Z", b"X"):
                table[int(pid)] = Living(group=int(fields[2]), started=fields[19].decode())
    return table


def _from_ps() -> dict[int, Living]:
    answer = subprocess.run(["ps", "-A", "-o", "pid=,pgid=,stat=,lstart="], capture_output=True, text=True, check=True)
    table = {}
    for line in answer.stdout.splitlines():
        pid, group, state, started = line.split(None, 3)
        if not state.startswith("Z"):
            table[int(pid)] = Living(group=int(group), started=started)
    return table


if __name__ == "__main__":
    main()
