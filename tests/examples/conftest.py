import os
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.examples.signed import SECRET, headers
from tests.webhooks.receiver import Receiver

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


@pytest.fixture
def playground() -> Iterator[Playground]:
    """A playground on a port of its own; it must end at once, and cleanly, when it is asked to."""
    with Receiver() as placeholder:
        port = placeholder.port
    environment = {**os.environ, "PLAYGROUND_SECRET": SECRET, "BASE_URL": "http://127.0.0.1:8001"}
    argv = [sys.executable, str(APP), "--port", str(port)]
    process = subprocess.Popen(argv, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout
        assert select.select([process.stdout], [], [], 10)[0], "the playground did not start within 10 s"
        line = process.stdout.readline()
        assert line == f"The playground is at http://127.0.0.1:{port}/\n", process.communicate(timeout=5)
        yield Playground(f"http://127.0.0.1:{port}", process)
        asked = time.monotonic()
        process.terminate()
        assert process.wait(timeout=10) == 0
        assert time.monotonic() - asked < 3
    finally:
        process.kill()
        process.communicate()
