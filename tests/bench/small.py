"""A benchmark, run as `make bench` runs it, very small."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent


def bench(name: str, *sizes: str, folder: Path) -> dict[str, Any]:
    """Run the benchmark `name` with state and results in `folder`; return what it measured."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "bench", name, *sizes),
            *("--state", str(folder / "state"), "--results", str(folder / "results.json")),
        ],
        cwd=ROOT,
        env=os.environ,
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert not (folder / "state").exists()
    measured: dict[str, Any] = json.loads((folder / "results.json").read_text())[name]
    return measured
