"""Audits ten times a second while others race. In a process of its own: theirs is busy with them."""

import multiprocessing
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from multiprocessing.connection import Connection

import django
from django.conf import settings
from django.db import connection

READS_A_SECOND = 10


@dataclass
class Audits:
    """What was read, and when each read began: seconds of a clock of no meaning, from before the block to its end."""

    broken: list[tuple[str, ...]] = field(default_factory=list)
    began_at: list[float] = field(default_factory=list)

    @property
    def a_second(self) -> float:
        """How many reads began in a second, on average."""
        return (len(self.began_at) - 1) / (self.began_at[-1] - self.began_at[0])

    @property
    def longest_gap_seconds(self) -> float:
        """The longest time from the beginning of a read to that of the next."""
        return max(after - before for before, after in pairwise(self.began_at))


@contextmanager
def auditor() -> Iterator[Audits]:
    """Audit for as long as the block runs. What it gives is filled at the block's end."""
    audits = Audits()
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(
        target=_read, args=(connection.settings_dict["NAME"], theirs)
    )
    process.start()
    try:
        ours.recv()  # it has begun
        yield audits
    finally:
        ours.send("over")
        if ours.poll(30):
            audits.broken, audits.began_at = ours.recv()
        process.join(5)
        process.kill()


def _read(database: str, asker: Connection) -> None:
    settings.DATABASES["default"]["NAME"] = database
    django.setup()
    from calls import audit

    began_at = [time.monotonic()]
    broken = [_broken(audit.run())]
    asker.send("begun")
    due_at = time.monotonic()
    while not asker.poll(max(0.0, due_at - time.monotonic())):
        began_at.append(time.monotonic())
        due_at = max(due_at + 1 / READS_A_SECOND, began_at[-1])
        broken.append(_broken(audit.run()))
    began_at.append(time.monotonic())  # over
    asker.send((broken, began_at))


def _broken(findings: list[tuple[str, int]]) -> tuple[str, ...]:
    return tuple(promise for promise, violations in findings if violations)
