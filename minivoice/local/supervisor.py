"""Starts processes in order, starts a dead one again, and stops them all in reverse order.

Each process leads its own session, so that Ctrl-C in the terminal reaches the supervisor alone, and is known
to the watcher from before its program begins: whatever ends the supervisor ends them too.
"""

import contextlib
import os
import pwd
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from minivoice.local import watcher

_POLL_SECONDS = 0.05
_STOP_SECONDS = 10.0
_KILL_SECONDS = 5.0
_SETTLED_SECONDS = 10.0  # a process that lived this long begins again with the shortest pause
_TAIL_LINES = 15

# The child tells the watcher its group on the pipe (its standard input for that moment) before it becomes its
# program: there is no instant at which a killed supervisor leaves a child that nobody knows.
_ENTER = 'echo "+$$ $0" >&0; exec "$@" </dev/null'


class StartFailed(Exception):
    """A process ended, or was not ready in time; the message holds the end of its log."""


class Cancelled(Exception):
    """A start was called off by `Supervisor.cancel`."""


@dataclass(frozen=True, kw_only=True)
class Process:
    """One program to run: `environment` is all it gets, `ready` is asked until it says True."""

    name: str
    argv: Sequence[str]
    environment: Mapping[str, str]
    folder: Path
    ready: Callable[[], bool] | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    user: str | None = None  # run as this user (only root can)


@dataclass
class _Child:
    process: Process
    popen: subprocess.Popen[bytes]
    started_at: float = field(default_factory=time.monotonic)
    starting: bool = True
    deaths: int = 0
    restart_at: float | None = None


class Supervisor:
    """Runs processes; their output goes to `<logs>/<name>.log`.

    `say` is told in one line of each process that died; `changed` is called after each restart; both in a
    thread of the supervisor's. `lock_fd` is an open file the watcher holds on to until everything has ended.
    """

    pauses_seconds: Sequence[float] = (0.2, 0.5, 1.0, 2.0, 5.0)  # before a start, by how often it died at once

    def __init__(
        self,
        *,
        logs: Path,
        lock_fd: int | None = None,
        say: Callable[[str], None],
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        logs.mkdir(parents=True, exist_ok=True)
        self._logs, self._lock_fd, self._say, self._changed = logs, lock_fd, say, changed
        self._batches: list[list[_Child]] = []
        self._mutex = threading.RLock()
        self._cancelled = self._stopping = False
        self._start_watcher()
        self._thread = threading.Thread(target=self._tend, name="supervisor", daemon=True)
        self._thread.start()

    @property
    def pids(self) -> dict[str, int]:
        """The process id of each process, by name."""
        with self._mutex:
            return {child.process.name: child.popen.pid for child in self._children()}

    def start(self, *processes: Process, timeout_seconds: float = 60) -> None:
        """Start `processes` side by side; return when all are ready. From then on a dead one starts again.

        They stop together too, before those of earlier starts. Raises StartFailed or Cancelled; what was
        started stays until `stop`.
        """
        with self._mutex:
            batch: list[_Child] = []
            self._batches.append(batch)
            for process in processes:
                self._begin_log(process)
                batch.append(_Child(process, self._spawn(process)))
        self._wait_until_ready(batch, timeout_seconds)
        with self._mutex:
            for child in batch:
                child.starting = False

    def run(self, process: Process, *, timeout_seconds: float = 120) -> str:
        """Run `process` to its end; return what it printed. Raises StartFailed if it fails, or Cancelled."""
        self._begin_log(process)
        with tempfile.TemporaryFile() as output:
            child = _Child(process, self._spawn(process, output=output.fileno()))
            try:
                self._wait(lambda: child.popen.poll() is not None, timeout_seconds)
                status = child.popen.returncode
            finally:
                self._end([child])
            output.seek(0)
            printed = output.read().decode(errors="replace")
        if status != 0:
            raise StartFailed(self._report(process, status, printed))
        return printed

    def wait_for(self, name: str, condition: Callable[[], bool], *, timeout_seconds: float = 60) -> None:
        """Wait until `condition` holds. Raises StartFailed, with the log of process `name`, or Cancelled."""
        if not self._wait(condition, timeout_seconds):
            with self._mutex:
                process = next(child.process for child in self._children() if child.process.name == name)
            raise StartFailed(self._report(process, None))

    def kill(self, name: str, signal_number: signal.Signals = signal.SIGKILL) -> int:
        """Send the process called `name` a signal, as a test of faults does; return the pid it had."""
        pid = self.pids[name]
        os.kill(pid, signal_number)
        return pid

    def cancel(self) -> None:
        """Call off a `start` or `run` under way, which raises Cancelled. Safe in a signal handler."""
        self._cancelled = True

    def stop(self) -> None:
        """Stop all, the last started first: asked, then killed with their group after ten seconds. Once."""
        self._stopping = True
        self._thread.join()
        while self._batches:
            self._end(self._batches.pop())
        os.close(self._pipe)
        self._watcher.wait()

    def _children(self) -> list[_Child]:
        return [child for batch in self._batches for child in batch]

    def _log(self, process: Process) -> Path:
        return self._logs / f"{process.name}.log"

    def _begin_log(self, process: Process) -> None:
        """The log of this run begins empty; that of the run before is kept beside it."""
        log = self._log(process)
        if log.exists():
            log.replace(log.with_suffix(".previous.log"))

    def _start_watcher(self) -> None:
        read_end, self._pipe = os.pipe()
        with (self._logs / "watcher.log").open("ab") as log:
            self._watcher = subprocess.Popen(
                [sys.executable, "-I", "-S", watcher.__file__],
                stdin=read_end,
                stdout=log,
                stderr=log,
                pass_fds=() if self._lock_fd is None else (self._lock_fd,),
                cwd="/",
                start_new_session=True,
            )
        os.close(read_end)

    def _spawn(self, process: Process, output: int | None = None) -> subprocess.Popen[bytes]:
        with self._log(process).open("ab") as log:
            return subprocess.Popen(
                ["/bin/sh", "-c", _ENTER, str(int(process.stop_signal)), *process.argv],
                env=dict(process.environment),
                cwd=process.folder,
                stdin=self._pipe,
                stdout=log if output is None else output,
                stderr=log,
                start_new_session=True,
                user=process.user,
                group=None if process.user is None else _group_of(process.user),
                extra_groups=None if process.user is None else [],
            )

    def _wait_until_ready(self, batch: list[_Child], timeout_seconds: float) -> None:
        waiting = batch

        def all_ready() -> bool:
            nonlocal waiting
            for child in batch:
                if (status := child.popen.poll()) is not None:
                    raise StartFailed(self._report(child.process, status))
            waiting = [child for child in waiting if child.process.ready and not child.process.ready()]
            return not waiting

        if not self._wait(all_ready, timeout_seconds):
            raise StartFailed(self._report(waiting[0].process, None))

    def _wait(self, condition: Callable[[], bool], timeout_seconds: float) -> bool:
        deadline = time.monotonic() + timeout_seconds
        while not condition():
            if self._cancelled:
                raise Cancelled
            if time.monotonic() > deadline:
                return False
            time.sleep(_POLL_SECONDS)
        return True

    def _report(self, process: Process, status: int | None, printed: str = "") -> str:
        log = self._log(process)
        lines = [*printed.splitlines(), *log.read_text(errors="replace").splitlines()][-_TAIL_LINES:]
        return "\n    ".join([f"{process.name} {_fate(status)}; the end of {log}:", *lines])

    def _tend(self) -> None:
        while not self._stopping:
            with self._mutex:
                changed = [child for child in self._children() if not child.starting and self._tended(child)]
                if self._watcher.poll() is not None:
                    self._replace_watcher()
            if changed:
                self._changed()
            time.sleep(_POLL_SECONDS)

    def _tended(self, child: _Child) -> bool:
        """Look after one child; return whether it was started again."""
        if child.popen.poll() is None:
            return False
        now = time.monotonic()
        if child.restart_at is None:
            self._clear(child)
            child.deaths = 1 if now - child.started_at > _SETTLED_SECONDS else child.deaths + 1
            child.restart_at = now + self.pauses_seconds[min(child.deaths, len(self.pauses_seconds)) - 1]
            self._note(f"{child.process.name} {_fate(child.popen.returncode)}, starting it again.")
        if now < child.restart_at:
            return False
        child.popen, child.started_at, child.restart_at = self._spawn(child.process), now, None
        return True

    def _note(self, line: str) -> None:
        with (self._logs / "supervisor.log").open("a") as log:
            log.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {line}\n")
        self._say(line)

    def _replace_watcher(self) -> None:
        os.close(self._pipe)
        self._start_watcher()
        for child in self._children():
            if child.popen.poll() is None:
                os.write(self._pipe, f"+{child.popen.pid} {int(child.process.stop_signal)}\n".encode())

    def _end(self, batch: list[_Child]) -> None:
        for child in batch:
            if child.popen.poll() is None:
                child.popen.send_signal(child.process.stop_signal)
        deadline = time.monotonic() + _STOP_SECONDS
        for child in batch:
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.popen.wait(max(0.0, deadline - time.monotonic()))
            self._clear(child)

    def _clear(self, child: _Child) -> None:
        """Kill what is left of a child and its group, and tell the watcher."""
        group = child.popen.pid
        if child.popen.poll() is None or _is_left_behind(group):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(group, signal.SIGKILL)
            child.popen.wait(_KILL_SECONDS)
        with contextlib.suppress(BrokenPipeError):
            os.write(self._pipe, f"-{group}\n".encode())


def _is_left_behind(group: int) -> bool:
    """Whether a group lives without its leader; with one, the number has been given to strangers."""
    table = watcher.living()
    return group not in table and any(process.group == group for process in table.values())


def _group_of(user: str) -> int:
    return pwd.getpwnam(user).pw_gid


def _fate(status: int | None) -> str:
    if status is None:
        return "was not ready in time"
    return f"died of {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
