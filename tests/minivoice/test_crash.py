"""Fault points kill the process they are armed in, at the pass they are armed for, once."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

PASSES = (
    "from minivoice.crash import crashpoint\nfor n in range(3):\n    crashpoint('here')\n    print(n, flush=True)\n"
)


def run(**environment: str) -> tuple[int, str]:
    """Run a process that passes the point three times; return its exit status and what it wrote."""
    command = [sys.executable, "-c", PASSES]
    done = subprocess.run(command, env={**os.environ, **environment}, check=False, capture_output=True, text=True)
    return done.returncode, done.stdout


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "crashpoints"


def test_does_nothing_unless_a_test_names_a_file() -> None:
    assert run() == (0, "0\n1\n2\n")


@pytest.mark.parametrize("armed", ["elsewhere 1", "", None])
def test_does_nothing_unless_named(file: Path, armed: str | None) -> None:
    if armed is not None:
        file.write_text(armed)

    assert run(CRASHPOINTS=str(file)) == (0, "0\n1\n2\n")


@pytest.mark.parametrize(("armed", "passed"), [("here 1", ""), ("here 2", "0\n"), ("here 3", "0\n1\n")])
def test_kills_at_the_pass_it_is_armed_for(file: Path, armed: str, passed: str) -> None:
    file.write_text(armed)

    assert run(CRASHPOINTS=str(file)) == (-signal.SIGKILL, passed)


def test_kills_only_once(file: Path) -> None:
    file.write_text("here 1")

    statuses = [run(CRASHPOINTS=str(file))[0] for _ in range(2)]

    assert statuses == [-signal.SIGKILL, 0]
