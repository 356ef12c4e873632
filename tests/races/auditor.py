"""Audits ten times a second while others race. In a process of its own: theirs is busy with them."""

import multiprocessing
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection

import django
from django.conf import settings
from django.db import connection

READS_A_SECOND = 10


@contextmanager
def auditor() -> Iterator[list[tuple[str, ...]]]:
    """Audit for as long as the block runs. The list is filled at its end: the broken promises of each read."""
    reads: list[tuple[str, ...]] = []
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(
        target=_read, args=(connection.settings_dict["NAME"], theirs)
    )
    process.start()
    try:
        ours.recv()  # it has begun
        yield reads
    finally:
        ours.send("over")
        if ours.poll(30):
            reads.extend(ours.recv())
        process.join(5)
        process.kill()


def _read(database: str, asker: Connection) -> None:
    settings.DATABASES["default"]["NAME"] = database
    django.setup()
    from calls import audit

    reads = [_broken(audit.run())]
    asker.send("begun")
    due_at = time.monotonic()
    while not asker.poll(max(0.0, due_at - time.monotonic())):
        due_at = max(due_at + 1 / READS_A_SECOND, time.monotonic())
        reads.append(_broken(audit.run()))
    asker.send(reads)


def _broken(findings: list[tuple[str, int]]) -> tuple[str, ...]:
    return tuple(promise for promise, violations in findings if violations)
