"""One switchboard leads, whatever becomes of it: two real processes, on the test run's database."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from time import monotonic
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from django.db import connection

from minivoice import lease
from telephony.models import Engine
from tests import factories
from tests.journeys.stage import until

ROOT = Path(__file__).resolve().parent.parent.parent
LEASE_SECONDS = 4
LEADS, WAITS, ENDS = "this switchboard leads", "this switchboard is the standby", "this process leads no longer"
START_SECONDS = 40.0  # a process of Python and Django, beside others on a busy machine


class RecordingEngine:
    """Answers every command, has no event socket, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        handler = type("Handler", (_Handler,), {"engine": self})
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def is_asked_more(self) -> None:
        """Wait until somebody commands it."""
        before = len(self.asked)
        until(lambda: len(self.asked) > before, seconds=10, what="the engine is commanded")


class _Handler(BaseHTTPRequestHandler):
    engine: RecordingEngine
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.engine.asked.append(self.path)
        self.send_response(404 if "/events" in self.path else 200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Stay quiet."""


class Process:
    """A switchboard of its own."""

    def __init__(self, log: Path) -> None:
        self.log = log
        database = urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{connection.settings_dict['NAME']}").geturl()
        own = {"DATABASE_URL": database, "SWITCHBOARD_LEASE_SECONDS": str(LEASE_SECONDS), "LOG_LEVEL": "INFO"}
        with log.open("wb") as output:
            self.popen = subprocess.Popen(
                [sys.executable, "manage.py", "switchboard"],
                cwd=ROOT,
                env={**os.environ, **own},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )

    def says(self, words: str, *, seconds: float = START_SECONDS) -> None:
        """Wait until its log has the words."""

        def look() -> bool:
            return words in self.log.read_text()

        until(look, seconds=seconds, what=f"{words!r} in {self.log.name}")

    def signal(self, number: signal.Signals) -> None:
        self.popen.send_signal(number)


@pytest.fixture
def engine(transactional_db: None) -> Iterator[RecordingEngine]:
    engine = RecordingEngine()
    factories.EngineFactory(url=f"http://127.0.0.1:{engine.server.server_port}/ari")
    yield engine
    engine.server.shutdown()
    engine.server.server_close()


@pytest.fixture
def pair(engine: RecordingEngine, tmp_path: Path) -> Iterator[tuple[Process, Process]]:
    """A leader that commands the engine, and its standby."""
    leader = Process(tmp_path / "leader.log")
    processes = [leader]
    try:
        leader.says(LEADS)
        engine.is_asked_more()
        standby = Process(tmp_path / "standby.log")
        processes.append(standby)
        standby.says(WAITS)
        yield leader, standby
    finally:
        for process in processes:
            with suppress(ProcessLookupError):
                process.popen.kill()
            process.popen.wait(10)


def test_a_standby_waits_while_the_leader_beats(pair: tuple[Process, Process]) -> None:
    leader, standby = pair
    began = monotonic()

    until(lambda: monotonic() - began > LEASE_SECONDS + 4, seconds=20, what="lease and margin are over")

    assert leader.popen.poll() is None
    assert LEADS not in standby.log.read_text()


def test_a_frozen_leader_is_replaced_and_wakes_up_to_do_nothing(
    pair: tuple[Process, Process], engine: RecordingEngine
) -> None:
    leader, standby = pair

    leader.signal(signal.SIGSTOP)
    standby.says(LEADS, seconds=LEASE_SECONDS + 6)
    engine.is_asked_more()
    standby.signal(signal.SIGSTOP)  # from now on only the old leader could command
    _settle(engine)
    asked = len(engine.asked)
    leader.signal(signal.SIGCONT)

    assert leader.popen.wait(5) == 1
    assert len(engine.asked) == asked
    assert ENDS in leader.log.read_text()
    standby.signal(signal.SIGCONT)
    engine.is_asked_more()
    assert ENDS not in standby.log.read_text()


def test_a_stopped_leader_hands_over_at_once(pair: tuple[Process, Process], engine: RecordingEngine) -> None:
    leader, standby = pair

    leader.signal(signal.SIGTERM)

    standby.says(LEADS, seconds=2)
    assert leader.popen.wait(5) == 0
    engine.is_asked_more()


def test_a_killed_leader_is_replaced_at_once(pair: tuple[Process, Process], engine: RecordingEngine) -> None:
    leader, standby = pair

    leader.signal(signal.SIGKILL)

    standby.says(LEADS, seconds=2)
    engine.is_asked_more()


def test_a_leader_whose_connection_is_ended_ends_at_once(pair: tuple[Process, Process]) -> None:
    leader, standby = pair

    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted")

    assert leader.popen.wait(2) == 1
    standby.says(LEADS, seconds=2)


def test_a_stopped_standby_ends_and_the_leader_stays(pair: tuple[Process, Process], engine: RecordingEngine) -> None:
    leader, standby = pair

    standby.signal(signal.SIGTERM)

    assert standby.popen.wait(5) == 0
    engine.is_asked_more()
    assert leader.popen.poll() is None


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


def _settle(engine: RecordingEngine) -> None:
    """Wait until what was sent before has been heard: a question of our own is answered after it."""
    for _ in range(2):
        requests.get(Engine.objects.get().url, timeout=5)
