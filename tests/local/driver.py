"""A supervisor in a process of its own, for tests that kill it: `python -m tests.local.driver <state>`.

It runs a real PostgreSQL and a child that ignores SIGTERM, as does the grandchild; it prints their pids.
"""

import json
import os
import sys
import time
from pathlib import Path

from minivoice.local.lock import StateLock
from minivoice.local.postgres import Postgres
from minivoice.local.supervisor import Process, Supervisor

STUBBORN = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
grandchild = os.fork()
if grandchild:
    with open(sys.argv[1] + ".new", "w") as file:
        file.write(str(grandchild))
    os.rename(sys.argv[1] + ".new", sys.argv[1])
time.sleep(3600)
"""


def stubborn(state: Path) -> Process:
    """A child and its child, both deaf to SIGTERM; the latter's pid is in `<state>/grandchild` when ready."""
    note = state / "grandchild"
    note.unlink(missing_ok=True)
    return Process(
        name="stubborn",
        argv=[sys.executable, "-I", "-S", "-c", STUBBORN, str(note)],
        environment={},
        folder=state,
        ready=note.exists,
    )


def main() -> None:
    state = Path(sys.argv[1])
    lock = StateLock.take(state, say=print)
    supervisor = Supervisor(logs=state / "logs", lock_fd=lock.fd, say=print)
    postgres = Postgres(state=state, durable=False)
    postgres.prepare(supervisor.run)
    supervisor.start(postgres.process(), stubborn(state))
    pids = {**supervisor.pids, "grandchild": int((state / "grandchild").read_text())}
    print(json.dumps(pids), flush=True)  # noqa: T201  read by the test
    parent = os.getppid()
    while os.getppid() == parent:
        time.sleep(0.1)
    supervisor.stop()


if __name__ == "__main__":
    main()
