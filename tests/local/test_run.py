"""`make run`: what it refuses, in one line each, and what it keeps."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from minivoice.local import kept
from minivoice.local.lock import StateLock

ROOT = Path(__file__).parent.parent.parent


def run(state: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "minivoice.local.run"],
        cwd=ROOT,
        env={**os.environ, "MINIVOICE_STATE": str(state), **environment},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_refuses_a_second_run_in_one_line(state: Path) -> None:
    lock = StateLock.take(state, say=print)
    refused = run(state)
    lock.release()
    assert refused.returncode == 1
    assert refused.stderr == f"MiniVoice is already running with {state} (process {os.getpid()}).\n"


def test_names_the_taken_port_in_one_line(state: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused = run(state, PORT=str(port))
    assert refused.returncode == 1
    assert refused.stderr.startswith(f"Port {port} is taken. Choose another: make run PORT=")
    assert refused.stderr.count("\n") == 1


def test_keeps_secrets_to_the_owner_and_over_runs(state: Path) -> None:
    first = kept.keep_secrets(state)
    assert first == kept.keep_secrets(state)
    assert len(set(first.values())) == len(first)
    assert (state / "secrets.json").stat().st_mode & 0o777 == 0o600


def test_keeps_a_port_unless_it_is_taken(state: Path) -> None:
    first = kept.keep_ports(state, ["simulator"])
    assert kept.keep_ports(state, ["simulator"]) == first
    with socket.create_server(("127.0.0.1", first["simulator"])):
        assert kept.keep_ports(state, ["simulator"]) != first


def test_gives_no_port_twice_though_nobody_listens_on_it_yet(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once two servers of one platform drew the same port now and then, and the second could not start."""
    monkeypatch.setattr(kept, "_PORTS", kept._PORTS[:1000])
    names = [f"server-{number}" for number in range(100)]

    first = kept.keep_ports(state, names)

    assert len({*first.values(), *(kept.free_port() for _ in range(100))}) == 200
    assert kept.keep_ports(state, names) == first


def test_keeps_no_port_for_two(state: Path) -> None:
    both = dict.fromkeys(["simulator", "media"], kept.free_port())
    kept.write(state / "ports.json", both)

    first, second = kept.keep_ports(state, both).values()

    assert first == both["simulator"] != second
