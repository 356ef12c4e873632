"""The embedded PostgreSQL and Valkey."""

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import environ
import psutil
import psycopg2
import pytest
import redis

from minivoice.local import sockets
from minivoice.local.postgres import Postgres
from minivoice.local.supervisor import StartFailed, Supervisor
from minivoice.local.valkey import Valkey


def ask(url: str, statement: str) -> list[tuple[Any, ...]]:
    """Ask the database that django-environ finds in `url`."""
    settings = environ.Env.db_url_config(url)
    arguments = {"dbname": settings["NAME"], "user": settings["USER"], **settings["OPTIONS"]}
    with closing(psycopg2.connect(**arguments)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []


def start(postgres: Postgres, state: Path) -> Supervisor:
    supervisor = Supervisor(logs=state / "logs", say=print)
    try:
        postgres.prepare(supervisor.run)
        supervisor.start(postgres.process())
    except BaseException:
        supervisor.stop()
        raise
    return supervisor


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Postgres, Supervisor, Path]]:
    """A running server for the tests that only look at it."""
    state = tmp_path_factory.mktemp("shared state")
    postgres = Postgres(state=state, durable=False)
    supervisor = start(postgres, state)
    yield postgres, supervisor, state
    supervisor.stop()
    postgres.remove()
    sockets.remove(state)


def test_keeps_its_data_over_a_restart(state: Path) -> None:
    postgres = Postgres(state=state, durable=False)
    first = start(postgres, state)
    postgres.create_database("minivoice")
    ask(postgres.url(), "CREATE TABLE kept AS SELECT 7 AS number")
    first.stop()
    second = start(postgres, state)
    try:
        postgres.create_database("minivoice")
        assert ask(postgres.url(), "SELECT number FROM kept") == [(7,)]
    finally:
        second.stop()


def test_forgets_the_data_of_a_deleted_state_folder(state: Path) -> None:
    postgres = Postgres(state=state, durable=False)
    first = start(postgres, state)
    postgres.create_database("minivoice")
    first.stop()
    (state / "postgres-home").unlink()  # root's data lies elsewhere and outlives the folder
    second = start(postgres, state)
    try:
        assert ask(postgres.url("postgres"), "SELECT 1 FROM pg_database WHERE datname = 'minivoice'") == []
    finally:
        second.stop()


def test_listens_on_a_closed_unix_socket_only(shared: tuple[Postgres, Supervisor, Path]) -> None:
    postgres, supervisor, state = shared
    assert ask(postgres.url("postgres"), "SHOW listen_addresses") == [("",)]
    assert ask(postgres.url("postgres"), "SHOW max_connections") == [("300",)]
    assert psutil.Process(supervisor.pids["postgres"]).net_connections("inet") == []
    folder = sockets.folder(state) / "postgres"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert len(os.fsencode(folder / ".s.PGSQL.5432")) < 100


def test_refuses_a_second_server_on_the_same_data(shared: tuple[Postgres, Supervisor, Path]) -> None:
    postgres, supervisor, _ = shared
    with pytest.raises(StartFailed, match="lock file"):
        supervisor.run(postgres.process())


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become nobody")
def test_runs_as_nobody_when_started_by_root(shared: tuple[Postgres, Supervisor, Path]) -> None:
    assert psutil.Process(shared[1].pids["postgres"]).username() == "nobody"


def test_runs_valkey_on_a_closed_unix_socket_and_keeps_nothing(supervisor: Supervisor, state: Path) -> None:
    valkey = Valkey(state=state)
    supervisor.start(valkey.process())
    with redis.Redis.from_url(valkey.url, decode_responses=True) as client:
        assert client.config_get("save")["save"] == ""
        assert client.config_get("port")["port"] == "0"
    assert psutil.Process(supervisor.pids["valkey"]).net_connections("inet") == []
    assert (sockets.folder(state) / "valkey.sock").stat().st_mode & 0o777 == 0o700


def test_refuses_a_socket_folder_of_someone_elses(state: Path) -> None:
    folder = sockets.folder(state)
    folder.rmdir()
    folder.symlink_to(state)
    try:
        with pytest.raises(PermissionError, match="not a folder of our own"):
            sockets.folder(state)
    finally:
        folder.unlink()
