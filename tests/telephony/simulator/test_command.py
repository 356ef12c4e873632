"""`manage.py simulator` as a process."""

import os
import signal
import socket
import subprocess
import sys
from contextlib import closing

from telephony.engines.ari import Ari
from tests.telephony.engines.listening import Ears, answers, until

RUN = """
import sys
from django.conf import settings
settings.configure()
from telephony.management.commands.simulator import Command
Command().run_from_argv(["manage.py", "simulator", *sys.argv[1:]])
"""


def start(*arguments: str, **environment: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", RUN, *arguments],
        env={name: value for name, value in os.environ.items() if not name.startswith("ENGINE_")} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def test_runs_quietly_until_it_is_told_to_stop() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    process = start("--port", str(port), ENGINE_USER="minivoice", ENGINE_PASSWORD="secret")
    try:
        ari = Ari(f"http://127.0.0.1:{port}/ari", "minivoice", "secret")
        until(lambda: process.poll() is not None or answers(ari))
        with Ears(ari) as ears:
            process.send_signal(signal.SIGTERM)
            assert process.wait(3) == 0
            ears.wait(lambda: ears.error, what="end of the listening")
    finally:
        process.kill()
    assert process.communicate() == (b"", b"")


def test_says_which_setting_is_missing() -> None:
    _, errors = start("--port", "0", ENGINE_USER="minivoice").communicate(timeout=10)
    assert errors.decode().strip() == "CommandError: set ENGINE_USER and ENGINE_PASSWORD"


def test_says_that_the_port_is_taken() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = str(taken.getsockname()[1])
        process = start("--port", port, ENGINE_USER="minivoice", ENGINE_PASSWORD="secret")
        _, errors = process.communicate(timeout=10)
    assert process.returncode == 1
    assert errors.decode().startswith(f"CommandError: cannot listen on 127.0.0.1:{port}: ")
    assert len(errors.splitlines()) == 1
