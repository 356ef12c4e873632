"""Whatever ends a supervisor, what it started ends too."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from minivoice.local.lock import InUse, StateLock
from minivoice.local.postgres import Postgres
from minivoice.local.supervisor import Supervisor
from minivoice.local.watcher import Charge, end, follow, living

ROOT = Path(__file__).parent.parent.parent


def test_leaves_nothing_behind_after_kill_9_and_starts_again_at_once(state: Path) -> None:
    driver = subprocess.Popen(
        [sys.executable, "-m", "tests.local.driver", str(state)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert driver.stdout is not None
    pids: dict[str, int] = json.loads(driver.stdout.readline())
    assert {"postgres", "stubborn", "grandchild"} == set(pids)
    assert set(pids.values()) <= set(living())
    driver.kill()
    driver.wait()

    said: list[str] = []
    lock = StateLock.take(state, say=said.append)  # free only when all is gone
    assert said == ["Waiting for the processes of a killed run to end ..."]
    assert set(pids.values()) & set(living()) == set()
    assert (state / "logs" / "watcher.log").read_text() == ""
    _start_and_stop_postgres(state, lock)
    assert "was not properly shut down" not in (state / "logs" / "postgres.log").read_text()
    lock.release()


def test_refuses_a_folder_whose_supervisor_lives(state: Path) -> None:
    lock = StateLock.take(state, say=print)
    with pytest.raises(InUse, match=f"already running .*process {os.getpid()}"):
        StateLock.take(state, say=print)
    lock.release()
    StateLock.take(state, say=print).release()


def test_spares_strangers_with_a_reused_number() -> None:
    stranger = subprocess.Popen(["sleep", "60"], start_new_session=True)
    try:
        charges = follow([f"+{stranger.pid} 15\n".encode()])
        started = charges[stranger.pid].started
        assert started == living()[stranger.pid].started
        end({stranger.pid: Charge(signal.SIGTERM, "long ago")})
        assert stranger.poll() is None
        end(charges)
        assert stranger.wait(5) == -signal.SIGTERM
    finally:
        stranger.kill()
        stranger.wait()


def test_forgets_a_group_that_has_ended() -> None:
    assert follow([b"+123456789 2\n", b"-123456789\n", b"-5\n"]) == {}


def _start_and_stop_postgres(state: Path, lock: StateLock) -> None:
    supervisor = Supervisor(logs=state / "logs", lock_fd=lock.fd, say=print)
    try:
        postgres = Postgres(state=state, durable=False)
        postgres.prepare(supervisor.run)
        supervisor.start(postgres.process())
    finally:
        supervisor.stop()
