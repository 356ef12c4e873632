"""Which switchboard leads: the holder of an advisory lock of PostgreSQL, as long as its heart beats.

The lock alone is not enough: PostgreSQL also keeps it for a process that stands still or was cut off. So the leader
beats: each statement on the lock's own connection is one. A standby sees in `pg_stat_activity` when the holder's last
one began; is that longer ago than the lease and a margin, it ends the holder's connection, and the lock is free.

Why there are never two. A beat begins at b, by the leader's clock, and PostgreSQL sees it at q, not before b. The
leader acts until b + lease (`minivoice.lease`), b being its last beat that was answered. The standby takes over not
before q + lease + margin, q being the last beat that PostgreSQL saw: that one or a later. Both only measure how much
time has passed, so that their clocks need not agree; the margin is for clocks that run unevenly, and for a command
that was sent in time and is still on its way. A lock that PostgreSQL frees earlier, because its connection broke,
breaks off the leader's socket too: that wakes the leader within milliseconds (also one whose clocks all stood still,
in a paused virtual machine), and it pauses. PostgreSQL may only have started again, and what the leader has yet to
record nobody else knows: so it asks for the lock anew until its lease is over, and ends if another has taken it. A
standby looks twice a second.
"""

import asyncio
import logging
import select
import socket
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from django.conf import settings
from django.db import connection
from django.db.utils import InterfaceError, OperationalError

from minivoice import lease

logger = logging.getLogger(__name__)

_LOCK = 0x4D56_5342  # "MVSB"
_BEAT_SECONDS = 1.0
_LOOK_SECONDS = 0.5
_RETAKE_SECONDS = 0.1
_LET_GO_SECONDS = 2.0
_MARGIN_SECONDS = 3.0  # a command to the engine takes no longer


class Turn:
    """One process's turn to lead. The lock's connection lives on a thread that does nothing else."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="turn")
        self._bell, self._door = socket.socketpair()

    async def take(self, stopping: asyncio.Event) -> bool:
        """Wait until this process leads; return False when `stopping` came first.

        From then on it keeps its lease by itself, and the process ends at once if the lease or the lock is lost. Its
        thread may still wait for a database that hangs when False is returned: end the process by `lease.leave`.
        """
        loop, waits = asyncio.get_running_loop(), False
        stop = asyncio.create_task(stopping.wait())
        while not stopping.is_set():
            trying = loop.run_in_executor(self._thread, _try)
            either: set[asyncio.Future[Any]] = {trying, stop}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if stopping.is_set():
                break
            if trying.result():
                logger.info("this switchboard leads")
                self._beating = loop.run_in_executor(self._thread, self._beat)
                self._watching = asyncio.create_task(_watch())
                return True
            if not waits:
                waits = True
                logger.info("this switchboard is the standby: it waits for the lock")
            await asyncio.wait({stop}, timeout=_LOOK_SECONDS)
        return False

    async def let_go(self) -> None:
        """Lead no longer: a standby goes on at once, and this process ends if it begins anything more.

        When the database hangs, the lock goes with the process, which ends here.
        """
        lease.give_up()
        self._watching.cancel()
        self._bell.close()
        _, late = await asyncio.wait({self._beating}, timeout=_LET_GO_SECONDS)
        if late:
            lease.leave()

    def _beat(self) -> None:
        """Renew the lease each second, and at once when the connection stirs, until the lock is let go."""
        while not self._is_rung(connection.connection, timeout_seconds=_BEAT_SECONDS):
            began = lease.clock_seconds()
            try:
                _ask("SELECT true", [])
            except (OperationalError, InterfaceError) as error:
                if not self._retake(error):
                    break
            else:
                lease.renew(since_seconds=began, lease_seconds=settings.SWITCHBOARD_LEASE_SECONDS)
        connection.close()

    def _retake(self, error: Exception) -> bool:
        """Pause until this process has the lock again; return False when it was let go. Ends the process otherwise."""
        lease.pause()
        logger.warning("the lock's connection is gone, this switchboard asks for the lock again: %s", error)
        while not self._is_rung(timeout_seconds=_RETAKE_SECONDS):
            connection.close()
            lease.check_time()
            began = lease.clock_seconds()
            try:
                if not _ask(_TAKE, [_LOCK]):
                    lease.lose("another switchboard has taken the lock")
            except (OperationalError, InterfaceError):
                continue
            lease.renew(since_seconds=began, lease_seconds=settings.SWITCHBOARD_LEASE_SECONDS)
            logger.info("this switchboard leads again")
            return True
        return False

    def _is_rung(self, *others: Any, timeout_seconds: float) -> bool:
        """Wait until the lock is let go or one of `others` stirs, for some seconds at most; return whether it is."""
        readable, _, _ = select.select([self._door, *others], [], [], timeout_seconds)
        return self._door in readable


async def _watch() -> None:
    """Have the process end in time also while every thread of it waits for a database that hangs."""
    while True:
        lease.check_time()
        await asyncio.sleep(_BEAT_SECONDS)


def _try() -> bool:
    """Take the lock if it is free, which is the first beat; free it from a holder that has stopped beating."""
    began, lease_seconds = lease.clock_seconds(), settings.SWITCHBOARD_LEASE_SECONDS
    try:
        if _ask(_TAKE, [_LOCK]):
            lease.renew(since_seconds=began, lease_seconds=lease_seconds)
            return True
        if _ask(_EXPEL, [_LOCK, lease_seconds + _MARGIN_SECONDS]):
            logger.warning("the leader's heartbeat is older than its lease: its connection was ended")
    except (OperationalError, InterfaceError) as error:
        logger.warning("the standby waits for the database: %s", error)
        connection.close()
    return False


def _ask(question: str, values: Sequence[Any]) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(question, values)
        return bool(cursor.fetchone()[0])


_TAKE = "SELECT pg_try_advisory_lock(%s)"
_EXPEL = """
SELECT count(pg_terminate_backend(holder.pid))
FROM pg_locks AS lock
JOIN pg_database AS mine ON mine.oid = lock.database AND mine.datname = current_database()
JOIN pg_stat_activity AS holder ON holder.pid = lock.pid
WHERE lock.locktype = 'advisory' AND lock.classid = 0 AND lock.objid = %s AND lock.objsubid = 1 AND lock.granted
    AND holder.query_start < clock_timestamp() - make_interval(secs => %s)
"""
