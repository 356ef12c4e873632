import os
import select
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import requests

from minivoice import ids
from minivoice.local.kept import free_port
from tests.examples.signed import SECRET, headers

ROOT = Path(__file__).resolve().parent.parent.parent
APP = ROOT / "examples" / "playground" / "app.py"


@dataclass(frozen=True)
class Playground:
    """The playground, running as a process of its own."""

    url: str
    process: subprocess.Popen[str]

    def post(self, path: str, body: bytes, **changed: Any) -> requests.Response:
        """POST `body` as MiniVoice would, but for what is `changed` in its signature."""
        return requests.post(self.url + path, data=body, headers=headers(body, **changed), timeout=5)

    def events(self, call_id: str = "") -> list[dict[str, Any]]:
        params = {"call_id": call_id} if call_id else {}
        return list(requests.get(f"{self.url}/events.json", params=params, timeout=5).json())


@pytest.fixture(scope="session")
def playground() -> Iterator[Playground]:
    """A playground for all tests: each has calls of its own in it."""
    with _running() as running:
        yield running


@pytest.fixture
def own_playground() -> Iterator[Playground]:
    """A playground for one test."""
    with _running() as running:
        yield running


@pytest.fixture
def call_id() -> str:
    """The id of a call that no other test knows."""
    return ids.new("call", datetime.now(UTC))


@contextmanager
def _running() -> Iterator[Playground]:
    """Start a playground on a free port; it must end at once, and cleanly, when it is asked to."""
    port = free_port()
    environment = {**os.environ, "PLAYGROUND_SECRET": SECRET, "BASE_URL": "http://127.0.0.1:8001"}
    argv = [sys.executable, str(APP), "--port", str(port)]
    process = subprocess.Popen(argv, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout
        assert select.select([process.stdout], [], [], 10)[0], "the playground did not start within 10 s"
        assert process.stdout.readline() == f"The playground is at http://127.0.0.1:{port}/\n"
        yield Playground(f"http://127.0.0.1:{port}", process)
        process.terminate()
        assert process.wait(timeout=3) == 0
    finally:
        process.kill()
        process.communicate()
