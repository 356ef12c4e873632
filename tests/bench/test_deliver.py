"""`make bench NAME=deliver`, very small: that it measures what it says. How fast anything is, no test says."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
SIZES = ("--rounds", "1", "--events", "100", "--customers", "10")


@pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is missing: apt-get install wrk")
def test_measures_bare_posts_and_the_pump(tmp_path: Path) -> None:
    done = subprocess.run(
        [
            *(sys.executable, "-m", "bench", "deliver", *SIZES),
            *("--state", str(tmp_path / "state"), "--results", str(tmp_path / "results.json")),
        ],
        cwd=ROOT,
        env=os.environ,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    written = json.loads((tmp_path / "results.json").read_text())["deliver"]
    (measured,) = written["rounds"]
    assert measured["bare"]["rate"] > 0
    assert written["of_bare"] == measured["deliver"]["rate"] / measured["bare"]["rate"]
    assert set(measured["deliver"]["cpu_ms"]) == {"postgres", "valkey", "receiver", "client"}
    assert 0 < measured["deliver"]["most_at_once"] <= 80  # eight for each of ten endpoints
    assert not (tmp_path / "state").exists()
