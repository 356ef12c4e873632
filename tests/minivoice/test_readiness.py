"""Health and readiness, with a PostgreSQL and a Valkey of the tests' own that are frozen and let go on."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic
from typing import Any

import psutil
import pytest
from django.db import connections
from django.test import Client

from minivoice import nudge, readiness
from minivoice.local import sockets
from minivoice.local.postgres import Postgres
from minivoice.local.supervisor import Supervisor
from minivoice.local.valkey import Valkey
from tests.local.test_stores import ask
from tests.stillness import Stopwatch

PROMISED_SECONDS = 2.0
TABLE = "CREATE TABLE telephony_engine (seen_at timestamptz); INSERT INTO telephony_engine VALUES (now() + '1 hour')"


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Supervisor, Postgres, Valkey]]:
    """Both stores, the database with the one table that is asked."""
    state = tmp_path_factory.mktemp("readiness")
    supervisor = Supervisor(logs=state / "logs", say=print)
    postgres, valkey = Postgres(state=state, durable=False), Valkey(state=state)
    try:
        postgres.prepare(supervisor.run)
        supervisor.start(postgres.process(), valkey.process())
        postgres.create_database("minivoice")
        ask(postgres.url(), TABLE)
        yield supervisor, postgres, valkey
    finally:
        supervisor.stop()
        sockets.remove(state)


@pytest.fixture
def stores(
    servers: tuple[Supervisor, Postgres, Valkey], monkeypatch: pytest.MonkeyPatch, settings: Any, django_db_blocker: Any
) -> Iterator[Supervisor]:
    """Let the platform use these stores."""
    supervisor, postgres, valkey = servers
    mine = dict(part.split("=", 1) for part in postgres.url().partition("?")[2].split("&"))
    monkeypatch.setitem(connections.databases["default"], "NAME", "minivoice")
    monkeypatch.setitem(connections.databases["default"], "USER", postgres.url().split("//")[1].split("@")[0])
    monkeypatch.setitem(connections.databases["default"], "HOST", mine["host"].replace("%2F", "/"))
    settings.REDIS_URL = valkey.url
    monkeypatch.setattr(nudge, "_redis", nudge._connect())
    with django_db_blocker.unblock():
        yield supervisor


def ready() -> tuple[int, dict[str, str]]:
    """Ask `/readyz`; it answers within the seconds that are promised."""
    with Stopwatch() as watch:
        response = Client().get("/readyz")
        assert watch.seconds < PROMISED_SECONDS
    return response.status_code, response.json()


@contextmanager
def frozen(supervisor: Supervisor, name: str) -> Iterator[None]:
    """Let a server and all its children stand still, alive and silent; a child may just be ending."""
    leader = psutil.Process(supervisor.pids[name])
    family = [leader, *leader.children(recursive=True)]
    for process in family:
        with suppress(psutil.NoSuchProcess):
            process.suspend()
    try:
        yield
    finally:
        for process in family:
            with suppress(psutil.NoSuchProcess):
                process.resume()


def until_ready() -> dict[str, str]:
    """Ask until it is ready again, for ten seconds."""
    deadline = monotonic() + 10
    while (answer := ready())[0] != 200:
        assert monotonic() < deadline, answer
    return answer[1]


def test_is_ready_while_all_answer(stores: Supervisor) -> None:
    assert until_ready() == {"status": "ready", "database": "up", "engine": "up", "redis": "up"}


def test_names_a_frozen_database_within_two_seconds_and_is_ready_again_after_it(stores: Supervisor) -> None:
    until_ready()
    with frozen(stores, "postgres"):
        for _ in range(3):
            status, found = ready()
            assert status == 503
            assert found == {"status": "unavailable", "database": "down", "engine": "unknown", "redis": "up"}
    assert until_ready()["database"] == "up"


def test_a_frozen_database_is_asked_by_one_thread_however_many_want_to_know(stores: Supervisor) -> None:
    until_ready()
    with frozen(stores, "postgres"):
        for _ in range(4):
            ready()
        assert sum(thread.name == "probe" for thread in threading.enumerate()) <= 1
    until_ready()


def test_a_frozen_redis_only_slows_things_down(stores: Supervisor) -> None:
    with frozen(stores, "valkey"):
        status, found = ready()
    assert (status, found["redis"], found["database"]) == (200, "degraded", "up")
    assert until_ready()["redis"] in {"up", "degraded"}


def test_an_engine_that_is_silent_is_named(stores: Supervisor, servers: tuple[Supervisor, Postgres, Valkey]) -> None:
    url = servers[1].url()
    ask(url, "UPDATE telephony_engine SET seen_at = now() - interval '1 minute'")
    try:
        status, found = ready()
    finally:
        ask(url, "UPDATE telephony_engine SET seen_at = now() + interval '1 hour'")
    assert (status, found["database"], found["engine"]) == (503, "up", "down")


def test_a_database_that_is_not_there_is_named(
    stores: Supervisor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(connections.databases["default"], "HOST", str(tmp_path))
    status, found = ready()
    assert (status, found["database"], found["engine"]) == (503, "down", "unknown")


def test_is_alive_whatever_else_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness, "look", None)  # nobody is asked, the database is not even allowed here
    response = Client().get("/healthz")
    assert (response.status_code, response.json()) == (200, {"status": "ok"})
