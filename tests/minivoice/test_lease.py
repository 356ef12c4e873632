"""The right of a process to act: renewed, paused, given up."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from minivoice import lease

ROOT = Path(__file__).resolve().parent.parent.parent


def test_a_lease_that_was_given_up_is_not_renewed_by_a_beat_under_way(a_lease: list[str]) -> None:
    lease.give_up()
    lease.renew(since_seconds=lease.clock_seconds(), lease_seconds=60)

    lease.check()

    assert len(a_lease) == 1


def test_a_process_that_gave_its_lease_up_ends_with_status_0() -> None:
    code = "from minivoice import lease; lease.give_up(); lease.check()"

    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, timeout=20, check=False).returncode == 0


def test_a_check_waits_while_the_lease_is_paused(a_lease: list[str]) -> None:
    lease.pause()
    passed = threading.Event()

    def work() -> None:
        lease.check()
        passed.set()

    threading.Thread(target=work).start()
    assert not passed.wait(0.3)

    lease.renew(since_seconds=lease.clock_seconds(), lease_seconds=60)

    assert passed.wait(5)
    assert a_lease == []


def test_a_process_without_a_lease_is_bound_by_none() -> None:
    lease.check()


def test_a_lease_runs_from_the_start_of_its_last_beat(monkeypatch: pytest.MonkeyPatch) -> None:
    lost: list[str] = []
    monkeypatch.setattr(lease, "_ends_at_seconds", 0.0)  # put back after the test
    monkeypatch.setattr(lease, "lose", lost.append)

    lease.renew(since_seconds=lease.clock_seconds() - 5, lease_seconds=60)
    lease.check()
    assert lost == []

    lease.renew(since_seconds=lease.clock_seconds() - 5, lease_seconds=5)
    lease.check()
    assert len(lost) == 1
