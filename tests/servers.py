"""A pytest plugin: PostgreSQL and Valkey of the test run's own, there before Django reads its settings.

Loaded by `-p tests.servers`. A store named in the environment (`DATABASE_URL`, `REDIS_URL`) is used instead.
Where tests are handed out to workers (`tests.workers`), each worker has servers, and the process that hands out none.
The servers end with the run, also one ended by `kill -9` (see `minivoice.local.watcher`); what such a run
left on the disk is removed by the next.
"""

import os
import shutil
import tempfile
from collections.abc import Generator
from contextlib import suppress
from pathlib import Path

import pytest

from minivoice.local import kept, sockets
from minivoice.local.lock import InUse, StateLock
from minivoice.local.postgres import Postgres
from minivoice.local.supervisor import Supervisor
from minivoice.local.valkey import Valkey
from minivoice.local.watcher import living
from tests import tables, workers

_stop: list["_Servers"] = []


class _Servers:
    """The stores of one test run."""

    def __init__(self) -> None:
        self.state = _new_state()
        self.lock = StateLock.take(self.state, say=print)
        self.postgres = Postgres(state=self.state, durable=False)
        self.valkey = Valkey(state=self.state)
        self.supervisor: Supervisor | None = None

    def start(self) -> None:
        self.supervisor = Supervisor(logs=self.state / "logs", lock_fd=self.lock.fd, say=print)
        self.postgres.prepare(self.supervisor.run)
        self.supervisor.start(self.postgres.process(), self.valkey.process())
        self.postgres.create_database("minivoice")

    def stop(self) -> None:
        if self.supervisor:
            self.supervisor.stop()
        _remove(self.state)
        self.lock.release()


def template() -> str | None:
    """Return the database that others are copies of, None on a server that somebody gave."""
    is_ours = _stop and os.environ["DATABASE_URL"] == _stop[0].postgres.url()
    return tables.TEMPLATE if is_ours else None


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Generator[None]:
    """Set the environment, and start the servers, before pytest-django reads the settings."""
    wanted = [name for name in workers.STORES if not os.environ.get(name)]
    options = early_config.known_args_namespace
    hands_out = workers.distributes(options)
    if workers.is_worker():
        _take_a_share_of_the_ports()
    if wanted:
        servers = _Servers()
        _stop.append(servers)
        urls = {"DATABASE_URL": servers.postgres.url(), "REDIS_URL": servers.valkey.url}
        os.environ.update({name: urls[name] for name in wanted})
        runs_tests = not (hands_out or options.help or options.collectonly or options.version)
        if runs_tests:
            servers.start()
        for name, value in kept.keep_secrets(servers.state).items():
            os.environ.setdefault(name, value)
        os.environ.setdefault("RECORDINGS_FOLDER", str(servers.state / "recordings"))
        os.environ.setdefault("JOBS_FOLDER", str(servers.state / "jobs"))
    os.environ.setdefault("EMBEDDED", "true")
    os.environ.setdefault("AUDIO_PLACES", "100")  # tests look at answers that they neither read nor close
    os.environ.setdefault("REQUIRE_SECOND_FACTOR", "false")
    if "DATABASE_URL" in wanted and runs_tests:
        tables.fill(_stop[-1].postgres)
    loaded = yield
    if hands_out:  # the settings have been read: let each worker name its own
        for name in wanted:
            del os.environ[name]
    return loaded


@pytest.hookimpl(trylast=True)
def pytest_unconfigure() -> None:
    """Stop the servers and remove their data."""
    while _stop:
        _stop.pop().stop()


def _take_a_share_of_the_ports() -> None:
    """Between finding a port free and listening on it, no other worker finds the same."""
    number = int(os.environ["PYTEST_XDIST_WORKER"].removeprefix("gw"))
    kept._PORTS = kept._PORTS[number :: int(os.environ["PYTEST_XDIST_WORKER_COUNT"])]


def _new_state() -> Path:
    """A state folder named after this process; those of runs that were killed are removed."""
    runs = Path(tempfile.gettempdir()) / f"minivoice-tests-{os.getuid()}"
    runs.mkdir(mode=0o700, exist_ok=True)
    state = runs / str(os.getpid())
    there = list(runs.iterdir())
    running = living()  # looked at last: whoever has a folder there lives already
    for left in there:
        if left == state or int(left.name) not in running:
            with suppress(InUse, FileNotFoundError):  # its servers are ending just now, or another run was quicker
                lock = StateLock.take(left, say=print, timeout_seconds=0)
                _remove(left)
                lock.release()
    state.mkdir(mode=0o700)
    return state


def _remove(state: Path) -> None:
    Postgres(state=state).remove()
    sockets.remove(state)
    shutil.rmtree(state, ignore_errors=True)
