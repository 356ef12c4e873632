"""The real engine: which one is taken, what is said when there is none, and how it lives under the supervisor."""

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import requests

from minivoice.local import engine, kept, network
from minivoice.local.network import Network
from minivoice.local.supervisor import Supervisor
from tests.local.test_run import run

INSTALLATION = engine.find()
needs_asterisk = pytest.mark.skipif(INSTALLATION is None, reason="no Asterisk here: run 'make engine' as root")


@pytest.fixture
def old_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine whose own Asterisk is too old, and that has no other."""
    for name, version in (("asterisk", "Asterisk 16.28.0"), ("sipp", "SIPp v3.8.0")):
        program = tmp_path / name
        program.write_text(f"#!/bin/sh\necho {version}\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("MINIVOICE_ENGINE", str(tmp_path / "none"))


def test_passes_over_an_asterisk_that_is_too_old(old_engine: None) -> None:
    assert engine.find() is None
    said = subprocess.run([sys.executable, "-m", "minivoice.local.engine"], capture_output=True, check=False)
    assert (said.returncode, said.stdout) == (1, b"")


def test_says_in_one_line_how_to_get_an_engine(state: Path, old_engine: None) -> None:
    refused = run(state, ENGINE="asterisk")
    assert refused.returncode == 1
    assert refused.stderr.endswith("run 'make engine' as root.\n")
    assert refused.stderr.count("\n") == 1


def test_refuses_an_engine_it_does_not_know_in_one_line(state: Path) -> None:
    refused = run(state, ENGINE="freeswitch")
    assert (refused.returncode, refused.stderr) == (1, "ENGINE is simulated or asterisk, not freeswitch.\n")


@needs_asterisk
def test_runs_on_loopback_only_in_any_path_and_comes_back_when_killed(supervisor: Supervisor, state: Path) -> None:
    assert INSTALLATION is not None
    ports = kept.keep_ports(state, network.ports(["t1"]))
    network_of_one = Network(
        installation=INSTALLATION, state=state, ports=ports, user="mv", password="s3cret", trunks=["t1"]
    )
    supervisor.start(*network_of_one.carriers())
    supervisor.start(network_of_one.engine())
    listening = psutil.Process(supervisor.pids["asterisk"]).net_connections("tcp")
    wanted = {("127.0.0.1", ports[name]) for name in ("asterisk", "sip", "sip-tls")}
    assert {c.laddr[:2] for c in listening if c.status == "LISTEN"} == wanted
    url = network_of_one.asterisk.url
    assert requests.get(f"{url}/asterisk/info", timeout=5).status_code == 401
    assert requests.get(f"{url}/asterisk/info", auth=("mv", "s3cret"), timeout=5).status_code == 200
    killed = supervisor.kill("asterisk")
    supervisor.wait_for(
        "asterisk", lambda: supervisor.pids["asterisk"] != killed and network_of_one.asterisk.is_ready()
    )


@needs_asterisk
def test_keeps_its_passwords_to_itself(state: Path) -> None:
    assert INSTALLATION is not None
    ports = kept.keep_ports(state, network.ports(["t1"]))
    Network(installation=INSTALLATION, state=state, ports=ports, user="mv", password="s3cret", trunks=["t1"]).engine()
    told = [file for file in (state / "asterisk").rglob("*") if file.is_file() and "s3cret" in file.read_text()]
    assert sorted(file.name for file in told) == ["ari.conf", "prometheus.conf"]
    assert [file.stat().st_mode & 0o077 for file in told] == [0, 0]
