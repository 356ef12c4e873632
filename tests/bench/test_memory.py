"""`make bench NAME=memory`, very small: that it measures what it says. How flat memory is, no test says."""

import shutil
from pathlib import Path

import pytest

from tests.bench.small import bench

SIZES = ("--calls", "5", "--settle_seconds", "0", "--talk_seconds", "25")


@pytest.mark.timeout(300)  # a whole platform, beside other workers' tests
@pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is missing: apt-get install wrk")
def test_measures_each_process_while_calls_are_up(tmp_path: Path) -> None:
    written = bench("memory", *SIZES, folder=tmp_path)

    assert set(written["processes"]) == {"postgres", "valkey", "simulator", "dial", "switchboard"}
    assert written["processes"]["switchboard"]["last_mib"] > 10
    assert written["waits"]["worst_seconds"] >= written["waits"]["p50_seconds"] >= 0
