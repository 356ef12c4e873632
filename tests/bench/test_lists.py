"""`make bench NAME=lists`, very small: that it measures what it says. How fast anything is, no test says."""

import shutil
from pathlib import Path

import pytest

from tests.bench.small import bench

SIZES = ("--rounds", "1", "--seconds", "0", "--listed", "1000")


@pytest.mark.timeout(300)  # whole servers, beside other workers' tests
@pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is missing: apt-get install wrk")
def test_measures_the_same_pages_of_the_database_and_of_the_platform(tmp_path: Path) -> None:
    written = bench("lists", *SIZES, folder=tmp_path)

    (measured,) = written["rounds"]
    assert {"calls", "ledger", "events", "calls, status"} < set(measured["api"]["ms"])
    assert {"calls.Call", "billing.Entry", "webhooks.WebhookEvent"} < set(measured["console"]["ms"])
    assert set(measured["floor"]["ms"]) == {*measured["api"]["ms"], *measured["console"]["ms"]}
    assert all(ms > 0 for load in measured.values() for ms in load["ms"].values())
    assert [name.partition(", page ")[0] for name in written["times_first"]] == ["calls", "ledger", "events"]
    assert set(measured["console"]["cpu_ms"]) == {"postgres", "valkey", "web", "client"}
    assert measured["console"]["cpu_ms"]["web"] > 0
