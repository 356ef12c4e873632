"""`make bench NAME=hot`, very small: that it measures what it says. How fast anything is, no test says."""

import shutil
from pathlib import Path

import pytest

from tests.bench.small import bench

SIZES = ("--rounds", "1", "--seconds", "1", "--connections", "4", "--customers", "10", "--rates", "100")


@pytest.mark.timeout(300)  # whole servers, beside other workers' tests
@pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is missing: apt-get install wrk")
def test_measures_the_creates_of_all_customers_and_those_of_one(tmp_path: Path) -> None:
    written = bench("hot", *SIZES, folder=tmp_path)

    (measured,) = written["rounds"]
    assert measured["spread"]["rate"] > 0
    assert written["of_spread"] == measured["hot"]["rate"] / measured["spread"]["rate"]
    assert set(measured["hot"]["cpu_ms"]) == {"postgres", "valkey", "web", "client"}
