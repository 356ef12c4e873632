"""The whole platform of one state folder: stores, tables, seed and processes; for `make run` and tests."""

import json
import os
import threading
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from minivoice.local import engine, kept, network, postgres, processes, sockets, valkey
from minivoice.local.engine import Installation
from minivoice.local.lock import StateLock
from minivoice.local.network import Network
from minivoice.local.supervisor import Process, StartFailed, Supervisor

_NEEDS_HELP = (
    "There are no wheels of PostgreSQL and Valkey for this system (musl and Windows have none): "
    "set DATABASE_URL and REDIS_URL to servers of your own."
)
_ENGINES = ("simulated", "asterisk")
_TRUNK = "simulated"  # the demo trunk's endpoint, whichever engine it is on


class PortTaken(Exception):
    """The port for the web is taken."""


class Platform:
    """Everything on one machine, its state in the folder `state`, the web on `port` of loopback.

    `environment` is laid over this process's own; `DATABASE_URL` or `REDIS_URL` in either: that store is not
    started. `only` names the processes wanted (all by default). `durable=False` spares the disk, for tests.
    `say` is told what happens, a line at a time.
    """

    def __init__(
        self,
        *,
        state: Path,
        port: int,
        environment: Mapping[str, str] | None = None,
        only: Collection[str] | None = None,
        durable: bool = True,
        say: Callable[[str], None] = lambda _line: None,
    ) -> None:
        self.state, self.port = state.resolve(), port
        self.facts: dict[str, object] = {}
        self._given = {**os.environ, **(environment or {})}
        self._only, self._durable, self._say = only, durable, say
        self._lock: StateLock | None = None
        self._supervisor: Supervisor | None = None
        self.real_network: Network | None = None
        self._real_engine: Installation | None = None
        self._cancelled = False
        self._writing = threading.Lock()

    @property
    def pids(self) -> dict[str, int]:
        """The process id of each process, by name."""
        return self._supervisor.pids if self._supervisor else {}

    def start(self) -> dict[str, object]:
        """Start everything; return what `ready.json` holds once the platform answers.

        Raises InUse, PortTaken, StartFailed or supervisor.Cancelled, each with a message for the user, after
        stopping what had started.
        """
        self.state.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = StateLock.take(self.state, say=self._say)
        try:
            self._start(self._lock)
        except BaseException:
            self.stop()
            raise
        return self.facts

    def stop(self) -> None:
        """Stop everything in order."""
        with self._writing:
            self.facts = {}
            (self.state / "ready.json").unlink(missing_ok=True)
        if self._supervisor:
            self._supervisor.stop()
            sockets.remove(self.state)
            self._supervisor = None
        if self._lock:
            self._lock.release()
            self._lock = None

    def cancel(self) -> None:
        """Call off a start under way. Safe in a signal handler."""
        self._cancelled = True
        if self._supervisor:
            self._supervisor.cancel()

    def kill(self, name: str) -> int:
        """`kill -9` the process called `name`, which then starts again; return the pid it had."""
        if not self._supervisor:
            raise StartFailed("The platform does not run.")
        return self._supervisor.kill(name)

    def _start(self, lock: StateLock) -> None:
        (self.state / "ready.json").unlink(missing_ok=True)
        if not kept.is_free(self.port):
            raise PortTaken(f"Port {self.port} is taken. Choose another: make run PORT={kept.free_port()}")
        self._real_engine = _real_engine(self._given.get("ENGINE") or "simulated")
        logs = self.state / "logs"
        self._supervisor = run = Supervisor(logs=logs, lock_fd=lock.fd, say=self._say, changed=self._write_facts)
        if self._cancelled:
            run.cancel()
        stores = self._start_stores(run)
        ports = kept.keep_ports(self.state, ("simulator", "playground", "media", *network.ports([_TRUNK])))
        environment = self._environment(ports) | stores
        kept.write(self.state / "environment.json", _not_inherited(environment))
        self._say("Bringing the tables up to date ...")
        run.run(processes.manage("migrate", "--no-input", environment=environment))
        self._say("Starting the platform ...")
        self._start_engine(run, ports, environment)
        seed = json.loads(run.run(processes.manage("seed_demo", environment=environment)))
        rest = processes.platform(
            web=self.port,
            playground=ports["playground"],
            beat=self.state / "beat-schedule",
            environment=environment,
        )
        self._start_wanted(run, rest)
        if self._wants("web"):
            run.wait_for("web", lambda: processes.answers(self.port, "/readyz"))
        self._write_facts(_facts(environment, seed, self._real_engine))

    def _start_stores(self, run: Supervisor) -> dict[str, str]:
        """Start the stores that nobody has given; return their variables."""
        wanted: list[Process] = []
        urls = {}
        database = None
        if not self._given.get("DATABASE_URL"):
            _require(postgres.available())
            self._say("Starting PostgreSQL ...")
            database = postgres.Postgres(state=self.state, durable=self._durable)
            database.prepare(run.run)
            wanted.append(database.process())
            urls["DATABASE_URL"] = database.url()
        if not self._given.get("REDIS_URL"):
            _require(valkey.available())
            nudges = valkey.Valkey(state=self.state)
            wanted.append(nudges.process())
            urls["REDIS_URL"] = nudges.url
        if wanted:
            run.start(*wanted)
        if database:
            database.create_database("minivoice")
        return urls

    def _start_engine(self, run: Supervisor, ports: Mapping[str, int], environment: Mapping[str, str]) -> None:
        """Start the simulated network, or the real engine with a carrier that is started first."""
        if self._real_engine is None:
            self._start_wanted(run, [processes.simulator(port=ports["simulator"], environment=environment)])
            return
        self.real_network = real = Network(
            installation=self._real_engine,
            state=self.state,
            ports=ports,
            user=environment["ENGINE_USER"],
            password=environment["ENGINE_PASSWORD"],
            trunks=[_TRUNK],
        )
        self._start_wanted(run, real.carriers())
        self._start_wanted(run, [real.engine()])

    def _start_wanted(self, run: Supervisor, offered: list[Process]) -> None:
        if wanted := [process for process in offered if self._wants(process.name)]:
            run.start(*wanted)

    def _wants(self, name: str) -> bool:
        return self._only is None or name in self._only

    def _environment(self, ports: Mapping[str, int]) -> dict[str, str]:
        """What the processes run with: defaults that the user may set, and what only this run can know."""
        engine_port = ports["asterisk" if self._real_engine else "simulator"]
        playground = f"127.0.0.1:{ports['playground']}"
        defaults = {
            **kept.keep_secrets(self.state),
            "DEBUG": "false",
            "REQUIRE_SECOND_FACTOR": "false",
            "ALLOWED_HOSTS": "127.0.0.1,localhost",
            "BASE_URL": f"http://127.0.0.1:{self.port}",
            "RECORDINGS_FOLDER": str(self.state / "recordings"),
            "JOBS_FOLDER": str(self.state / "jobs"),
        }
        allowed = [host for host in self._given.get("OUTBOUND_ALLOWED", "").split(",") if host]
        return {
            **defaults,
            **self._given,
            "DJANGO_SETTINGS_MODULE": "minivoice.settings",
            "EMBEDDED": "true",
            "ENGINE_URL": f"http://127.0.0.1:{engine_port}/ari",
            "ENGINE_USER": "minivoice",
            **self._speech(ports["media"]),
            "DEMO_CARRIER": f"127.0.0.1:{ports[f'carrier-{_TRUNK}'] if self._real_engine else 5060}",
            "PLAYGROUND_URL": f"http://{playground}",
            "OUTBOUND_ALLOWED": ",".join([*allowed, playground]),
            "PYTHONUNBUFFERED": "1",
        }

    def _speech(self, port: int) -> dict[str, str]:
        """What the switchboard needs to serve what calls play; the simulated network speaks by itself."""
        media = f"127.0.0.1:{port}"
        place = {"SPEECH_BIND": media, "SPEECH_URL": f"http://{media}", "SPEECH_FOLDER": str(self.state / "speech")}
        return place if self._real_engine else {**place, "SPEECH_VOICE": ""}

    def _write_facts(self, facts: dict[str, object] | None = None) -> None:
        """Write `ready.json`, once there are facts; its pids change when a process is started again."""
        with self._writing:
            if known := facts or self.facts:
                self.facts = {**known, "pids": self.pids}
                kept.write(self.state / "ready.json", self.facts)


def _not_inherited(environment: Mapping[str, str]) -> dict[str, str]:
    """What a command beside the running platform needs (`minivoice.local.manage`)."""
    return {
        name: value for name, value in environment.items() if os.environ.get(name) != value or name.endswith("_URL")
    }


def _real_engine(wanted: str) -> Installation | None:
    """Return the engine asked for, None for the simulated one."""
    if wanted not in _ENGINES:
        raise StartFailed(f"ENGINE is {' or '.join(_ENGINES)}, not {wanted}.")
    found = engine.find() if wanted == "asterisk" else None
    if wanted == "asterisk" and found is None:
        raise StartFailed("There is no Asterisk 20 or newer with SIPp on this machine: run 'make engine' as root.")
    return found


def _facts(
    environment: Mapping[str, str], seed: Mapping[str, object], real_engine: Installation | None
) -> dict[str, object]:
    base_url = environment["BASE_URL"]
    simulated = {"simulator_url": environment["ENGINE_URL"].removesuffix("/ari"), "engine": "simulated"}
    return {
        "base_url": base_url,
        **seed,
        "console_url": f"{base_url}/admin/",
        "playground_url": environment["PLAYGROUND_URL"],
        **({"engine": real_engine.name} if real_engine else simulated),
    }


def _require(available: bool) -> None:
    if not available:
        raise StartFailed(_NEEDS_HELP)
