"""One switchboard leads, whatever becomes of it: two real processes, on the test run's database."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from time import monotonic, sleep
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from django.db import connection, transaction

from calls import leadership
from minivoice import lease
from telephony.models import Engine
from tests import factories
from tests.calls.wire import Wire
from tests.journeys.stage import until
from tests.stillness import Stopwatch

ROOT = Path(__file__).resolve().parent.parent.parent
LEASE_SECONDS = 5
LONG_LEASE_SECONDS = 60  # where nothing is to come of its end
LEADS, WAITS, ENDS = "this switchboard leads", "this switchboard is the standby", "this process leads no longer"
ASKS_AGAIN, LEADS_AGAIN = "this switchboard asks for the lock again", "this switchboard leads again"
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

    def __init__(self, log: Path, *, database: str = "", lease_seconds: int = LEASE_SECONDS) -> None:
        self.log = log
        database = database or database_url()
        own = {"DATABASE_URL": database, "SWITCHBOARD_LEASE_SECONDS": str(lease_seconds), "LOG_LEVEL": "INFO"}
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
        """Wait until its log has the words, so many seconds, those aside in which this very process stood still."""
        with Stopwatch() as watch:
            while words not in self.log.read_text():
                assert watch.seconds < seconds, f"not within {seconds} s: {words!r} in {self.log.name}"
                sleep(0.02)

    def ends(self, *, seconds: float) -> int:
        """Wait for its end in the same way; return its status."""
        with Stopwatch() as watch:
            while (status := self.popen.poll()) is None:
                assert watch.seconds < seconds, f"has not ended within {seconds} s"
                sleep(0.02)
        return status

    def signal(self, number: signal.Signals) -> None:
        self.popen.send_signal(number)


def database_url() -> str:
    """Return where the test's own database is."""
    return urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{connection.settings_dict['NAME']}").geturl()


@pytest.fixture
def engine(transactional_db: None) -> Iterator[RecordingEngine]:
    engine = RecordingEngine()
    factories.EngineFactory(url=f"http://127.0.0.1:{engine.server.server_port}/ari")
    yield engine
    engine.server.shutdown()
    engine.server.server_close()


@pytest.fixture
def wire() -> Iterator[Wire]:
    """A wire to the database that can break."""
    wire = Wire(database_url())
    yield wire
    wire.close()


@pytest.fixture
def lease_seconds() -> int:
    """The lease of a leader on a wire; a test may have another."""
    return LEASE_SECONDS


@pytest.fixture
def wired(engine: RecordingEngine, wire: Wire, tmp_path: Path, lease_seconds: int) -> Iterator[Process]:
    """A leader that commands the engine, and reaches its database by the wire."""
    leader = Process(tmp_path / "wired.log", database=wire.url, lease_seconds=lease_seconds)
    with ending([leader]):
        leader.says(LEADS)
        engine.is_asked_more()
        yield leader


@pytest.fixture
def pair(engine: RecordingEngine, tmp_path: Path) -> Iterator[tuple[Process, Process]]:
    """A leader that commands the engine, and its standby."""
    leader = Process(tmp_path / "leader.log")
    with ending([leader]) as processes:
        leader.says(LEADS)
        engine.is_asked_more()
        standby = Process(tmp_path / "standby.log")
        processes.append(standby)
        standby.says(WAITS)
        yield leader, standby


@contextmanager
def ending(processes: list[Process]) -> Iterator[list[Process]]:
    """No process is left behind."""
    try:
        yield processes
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

    assert leader.ends(seconds=5) == 1
    assert len(engine.asked) == asked
    assert ENDS in leader.log.read_text()
    standby.signal(signal.SIGCONT)
    engine.is_asked_more()
    assert ENDS not in standby.log.read_text()


def test_a_stopped_leader_hands_over_at_once(pair: tuple[Process, Process], engine: RecordingEngine) -> None:
    leader, standby = pair

    leader.signal(signal.SIGTERM)

    standby.says(LEADS, seconds=2)
    assert leader.ends(seconds=5) == 0
    engine.is_asked_more()


def test_a_killed_leader_is_replaced_at_once(pair: tuple[Process, Process], engine: RecordingEngine) -> None:
    leader, standby = pair

    leader.signal(signal.SIGKILL)

    standby.says(LEADS, seconds=2)
    engine.is_asked_more()


@pytest.mark.parametrize("lease_seconds", [LONG_LEASE_SECONDS])
def test_a_leader_goes_on_when_its_database_is_back_within_the_lease(
    wired: Process, wire: Wire, engine: RecordingEngine
) -> None:
    wire.cut()
    wired.says(ASKS_AGAIN, seconds=2)
    _settle(engine)
    asked = len(engine.asked)
    until(lambda: wire.refused > 20, seconds=5, what="it asks for its lock")
    assert len(engine.asked) == asked

    wire.mend()

    wired.says(LEADS_AGAIN, seconds=3)
    engine.is_asked_more()
    assert wired.popen.poll() is None


@pytest.mark.parametrize("lease_seconds", [LONG_LEASE_SECONDS])
def test_a_leader_ends_when_another_took_the_lock_while_its_database_was_away(
    wired: Process, wire: Wire, engine: RecordingEngine, tmp_path: Path
) -> None:
    standby = Process(tmp_path / "standby.log")
    with ending([standby]):
        standby.says(WAITS)

        wire.cut()
        standby.says(LEADS, seconds=2)
        wire.mend()

        assert wired.ends(seconds=3) == 1
        assert "another switchboard has taken the lock" in wired.log.read_text()
        engine.is_asked_more()


def test_a_leader_whose_database_stays_away_ends_with_its_lease(wired: Process, wire: Wire) -> None:
    wire.cut()

    assert wired.ends(seconds=LEASE_SECONDS + 2) == 1
    assert "its lease is over" in wired.log.read_text()


def test_a_stopped_leader_that_hangs_ends_in_time_and_in_good_order(pair: tuple[Process, Process]) -> None:
    leader, standby = pair
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("LOCK TABLE telephony_engine IN ACCESS EXCLUSIVE MODE")
        until(_hangs, seconds=5, what="the tick hangs")

        leader.signal(signal.SIGTERM)

        assert leader.ends(seconds=10) == 0
        assert "not all that was queued was done in time" in leader.log.read_text()
        assert ENDS not in leader.log.read_text()
        standby.says(LEADS, seconds=2)


def test_a_stopped_standby_ends_though_its_database_hangs(
    pair: tuple[Process, Process], wire: Wire, tmp_path: Path
) -> None:
    third = Process(tmp_path / "third.log", database=wire.url)
    with ending([third]):
        third.says(WAITS)
        wire.freeze()
        until(lambda: wire.held > 0, seconds=5, what="it waits for an answer")

        third.signal(signal.SIGTERM)

        assert third.ends(seconds=3) == 0


def test_letting_go_ends_the_process_when_the_database_hangs(
    a_lease: list[str], monkeypatch: pytest.MonkeyPatch, transactional_db: None
) -> None:
    hangs, left = threading.Event(), threading.Event()
    ask = leadership._ask

    def hang(question: str, values: Any) -> bool:
        if question != leadership._TAKE:
            hangs.set()
            assert left.wait(20)
        return ask(question, values)

    monkeypatch.setattr(leadership, "_ask", hang)
    monkeypatch.setattr(lease, "leave", left.set)

    async def lead() -> None:
        turn = leadership.Turn()
        assert await turn.take(asyncio.Event())
        assert await asyncio.to_thread(hangs.wait, 5)
        await turn.let_go()
        await turn._beating

    asyncio.run(lead())

    assert left.is_set()


def test_a_lease_too_short_for_the_beats_refuses_to_start() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", "from minivoice import settings"],
        env={**os.environ, "SWITCHBOARD_LEASE_SECONDS": "4.9"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )

    assert ended.returncode == 1
    assert "SWITCHBOARD_LEASE_SECONDS is 5 or more" in ended.stderr


def test_a_stopped_standby_ends_and_the_leader_stays(pair: tuple[Process, Process], engine: RecordingEngine) -> None:
    leader, standby = pair

    standby.signal(signal.SIGTERM)

    assert standby.ends(seconds=5) == 0
    engine.is_asked_more()
    assert leader.popen.poll() is None


def _hangs() -> bool:
    """Whether the leader's tick waits for the locked table, and what reads the engine's socket."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = database"
            " WHERE relation = 'telephony_engine'::regclass AND NOT granted AND datname = current_database()"
        )
        return bool(cursor.fetchone()[0] >= 2)


def _settle(engine: RecordingEngine) -> None:
    """Wait until what was sent before has been heard: a question of our own is answered after it."""
    for _ in range(2):
        requests.get(Engine.objects.get().url, timeout=5)
