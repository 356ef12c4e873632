"""`python -m minivoice.local.manage COMMAND`: a command of `manage.py`, told where the platform of `make run` is."""

import json
import os
import sys
from pathlib import Path

from minivoice.local.processes import ROOT


def main() -> None:
    """Run the command in this process's place. Exits 1, with one line, when no platform has run here."""
    state = Path(os.environ.get("MINIVOICE_STATE", ROOT / ".run"))
    try:
        environment = json.loads((state / "environment.json").read_text())
    except FileNotFoundError:
        sys.exit(f"No platform has run in {state}: start it with `make run`.")
    os.chdir(ROOT)
    os.execve(sys.executable, [sys.executable, "manage.py", *sys.argv[1:]], {**os.environ, **environment})  # noqa: S606


if __name__ == "__main__":
    main()
