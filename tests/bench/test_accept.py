"""`make bench NAME=accept`, very small: that it measures what it says. How fast anything is, no test says."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
SIZES = ("--rounds", "1", "--seconds", "1", "--connections", "4", "--customers", "10", "--rates", "100")


def bench(folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the benchmark with state and results in `folder`."""
    return subprocess.run(
        [
            *(sys.executable, "-m", "bench", "accept", *SIZES),
            *("--state", str(folder / "state"), "--results", str(folder / "results.json")),
        ],
        cwd=ROOT,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )


@pytest.mark.timeout(300)  # whole servers, beside other workers' tests
@pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is missing: apt-get install wrk")
def test_measures_floor_and_platform_and_leaves_only_its_results(tmp_path: Path) -> None:
    (tmp_path / "results.json").write_text('{"earlier": {}}')
    done = bench(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "CPU ms for one" in done.stdout
    written = json.loads((tmp_path / "results.json").read_text())
    assert set(written) == {"earlier", "accept"}
    (measured,) = written["accept"]["rounds"]
    assert measured["floor"]["rate"] > 0
    assert measured["accept"]["rate"] > 0
    assert written["accept"]["of_floor"] == measured["accept"]["rate"] / measured["floor"]["rate"]
    assert set(measured["accept"]["cpu_ms"]) == {"postgres", "valkey", "web", "client"}
    assert measured["accept"]["cpu_ms"]["web"] > 0
    assert not (tmp_path / "state").exists()


def test_says_in_one_line_that_wrk_is_missing(tmp_path: Path) -> None:
    done = bench(tmp_path, PATH=str(tmp_path))
    assert done.returncode == 1
    assert done.stderr == "wrk is missing: apt-get install wrk\n"
    assert not (tmp_path / "state").exists()
