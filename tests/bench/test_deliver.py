"""`make bench NAME=deliver`, very small: that it measures what it says. How fast anything is, no test says."""

import shutil
from pathlib import Path

import pytest

from tests.bench.small import bench

SIZES = ("--rounds", "1", "--events", "100", "--customers", "10")


@pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is missing: apt-get install wrk")
def test_measures_bare_posts_and_the_pump(tmp_path: Path) -> None:
    written = bench("deliver", *SIZES, folder=tmp_path)

    (measured,) = written["rounds"]
    assert measured["bare"]["rate"] > 0
    assert written["of_bare"] == measured["deliver"]["rate"] / measured["bare"]["rate"]
    assert set(measured["deliver"]["cpu_ms"]) == {"postgres", "valkey", "receiver", "client"}
    assert 0 < measured["deliver"]["most_at_once"] <= 80  # eight for each of ten endpoints
