"""`make bench NAME=memory`, very small: that it measures what it says. How flat memory is, no test says."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
SIZES = ("--calls", "5", "--settle_seconds", "0", "--talk_seconds", "25")


@pytest.mark.timeout(300)  # a whole platform, beside other workers' tests
@pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is missing: apt-get install wrk")
def test_measures_each_process_while_calls_are_up(tmp_path: Path) -> None:
    done = subprocess.run(
        [
            *(sys.executable, "-m", "bench", "memory", *SIZES),
            *("--state", str(tmp_path / "state"), "--results", str(tmp_path / "results.json")),
        ],
        cwd=ROOT,
        env=os.environ,
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    written = json.loads((tmp_path / "results.json").read_text())["memory"]
    assert set(written["processes"]) == {"postgres", "valkey", "simulator", "dial", "switchboard"}
    assert written["processes"]["switchboard"]["last_mib"] > 10
    assert written["waits"]["worst_seconds"] >= written["waits"]["p50_seconds"] >= 0
    assert not (tmp_path / "state").exists()
