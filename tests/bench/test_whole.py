"""`make bench NAME=dialing` and `NAME=calls`, very small: that they measure what they say. How fast, no test says."""

import shutil
from pathlib import Path

import pytest

from tests.bench.small import bench

SIZES = ("--rounds", "1", "--seconds", "3", "--connections", "2")
PROCESSES = {"postgres", "valkey", "bare simulator", "simulator", "web", "dial", "webhooks", "switchboard"}

pytestmark = [
    pytest.mark.timeout(300),  # a whole platform, beside other workers' tests
    pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is missing: apt-get install wrk"),
]


def test_measures_a_create_up_to_the_engines_word_beside_a_bare_originate(tmp_path: Path) -> None:
    written = bench("dialing", *SIZES, folder=tmp_path)

    (measured,) = written["rounds"]
    assert 0 < measured["bare"]["p50_ms"] < measured["platform"]["p50_ms"] <= measured["platform"]["slowest_ms"]
    assert written["share_of_bare"] == measured["bare"]["p50_ms"] / measured["platform"]["p50_ms"]
    assert set(measured["platform"]["cpu_ms"]) > PROCESSES
    assert measured["platform"]["cpu_ms"]["dial"] > 0


def test_measures_whole_calls_beside_a_bare_script(tmp_path: Path) -> None:
    written = bench("calls", *SIZES, folder=tmp_path)

    (measured,) = written["rounds"]
    assert 0 < written["per_second"] == measured["platform"]["rate"] < measured["bare"]["rate"]
    assert written["of_bare"] == measured["platform"]["rate"] / measured["bare"]["rate"]
    assert set(measured["platform"]["cpu_ms"]) > PROCESSES
    assert all(measured["platform"]["cpu_ms"][name] > 0 for name in ("web", "switchboard", "webhooks"))
