"""One supervisor to a state folder: an `flock`, free again only when all the last one started is gone."""

import fcntl
import os
import time
from collections.abc import Callable
from pathlib import Path

from minivoice.local.watcher import living

_POLL_SECONDS = 0.1


class InUse(Exception):
    """The state folder belongs to a supervisor that lives, or to the remains of one that do not end."""


class StateLock:
    """The lock on a state folder. The watcher inherits `fd`: it outlives a killed supervisor's children."""

    def __init__(self, fd: int) -> None:
        self.fd = fd

    @classmethod
    def take(cls, state: Path, *, say: Callable[[str], None], timeout_seconds: float = 20) -> "StateLock":
        """Take the lock on the folder `state`; wait `timeout_seconds` for the remains of a dead supervisor.

        `say` is told once when there is something to wait for. Raises InUse, with a sentence for the user.
        """
        lock = cls(os.open(state / "lock", os.O_RDWR | os.O_CREAT, 0o600))
        deadline = time.monotonic() + timeout_seconds
        waiting = False
        while not lock._taken():
            if owner := lock._owner():
                lock.release()
                raise InUse(f"MiniVoice is already running with {state} (process {owner}).")
            if time.monotonic() > deadline:
                lock.release()
                raise InUse(f"What an earlier run left in {state} does not end; see its logs folder.")
            if not waiting:
                say("Waiting for the processes of a killed run to end ...")
                waiting = True
            time.sleep(_POLL_SECONDS)
        os.ftruncate(lock.fd, 0)
        os.pwrite(lock.fd, f"{os.getpid()} {living()[os.getpid()].started}".encode(), 0)
        return lock

    def release(self) -> None:
        """Let go of the lock (the watcher may hold on to it until it has cleaned up)."""
        os.close(self.fd)

    def _taken(self) -> bool:
        try:
            fcntl.flock(self.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _owner(self) -> int | None:
        """The process that wrote itself into the lock, if it still lives."""
        pid, _, started = os.pread(self.fd, 200, 0).decode().partition(" ")
        process = living().get(int(pid)) if pid else None
        return int(pid) if process and process.started == started else None
