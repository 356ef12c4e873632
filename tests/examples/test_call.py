import json
import os
import subprocess
import sys
from pathlib import Path
from socket import socket
from typing import Any

import pytest

from tests.examples.conftest import ROOT, Playground
from tests.examples.signed import event
from tests.webhooks.receiver import Received, Receiver, respond


class ScriptedApi:
    """The API as `make call` sees it: the call gets one step further with each look at it."""

    def __init__(self, playground: Playground, call_id: str) -> None:
        self.playground = playground
        self.looks = 0
        self.call: dict[str, Any] = {
            "id": call_id,
            "status": "dialing",
            "from": "+15551230001",
            "to": "+15551230742",
            "created_at": "2026-05-29T12:00:00.000Z",
            "duration_seconds": None,
            "cost_amount": None,
            "cost_currency": None,
            "end_reason": None,
        }
        self.timeline = [_line("00.012", "dialed", attempt=1, channel_id=None)]

    def __call__(self, request: Received, connection: socket) -> None:
        status = 200
        answer: dict[str, Any] = {"data": self.timeline, "count": len(self.timeline), "next_cursor": None}
        if request.path == "/v1/calls":
            assert json.loads(request.body) == {"from": "+15551230001", "to": "+15551230742"}
            status, answer = 201, self.call
        elif request.path == f"/v1/calls/{self.call['id']}":
            self._go_on()
            answer = self.call
        body = json.dumps(answer).encode()
        respond(status, body)(request, connection)

    def _go_on(self) -> None:
        self.looks += 1
        if self.looks == 2:
            self.timeline.append(_line("01.500", "engine_answered", channel_id="c1"))
        if self.looks == 3:
            done = {"duration_seconds": 7, "cost_amount": "0.0140", "cost_currency": "USD", "end_reason": "hangup"}
            self.call.update(status="completed", **done)
            failed = {"event": "call.completed", "attempt": 1, "http_status": 500}
            self.timeline.append(_line("08.600", "webhook_attempted", **failed))
        if self.looks == 5:
            assert self.playground.post("/webhooks", event(self.call["id"], 4, "call.completed")).status_code == 204
            delivered = {"event": "call.completed", "attempt": 2, "http_status": 204}
            self.timeline.append(_line("13.600", "webhook_attempted", **delivered))


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A state folder without a platform in it."""
    return tmp_path


def test_prints_each_fact_once_until_the_last_webhook_is_delivered(
    playground: Playground, call_id: str, state: Path
) -> None:
    api = ScriptedApi(playground, call_id)
    with Receiver(api) as platform:
        _is_ready(state, f"http://{platform.place}", playground.url)
        ended = _call(state)
        assert platform.requests[0].headers["authorization"] == "Bearer key"
    assert (ended.returncode, ended.stderr) == (0, "")
    head, *lines, received, last = ended.stdout.splitlines()
    assert head == f"{call_id}  +15551230001 → +15551230742"
    assert [" ".join(line.split()) for line in lines] == [
        "+12 ms dialed attempt=1",
        "+1,500 ms engine_answered channel_id=c1",
        "+8,600 ms webhook_attempted event=call.completed attempt=1 http_status=500",
        "+13,600 ms webhook_attempted event=call.completed attempt=2 http_status=204",
    ]
    assert received.endswith(" ms  playground received  call.completed")
    assert last == "completed: hangup, 7 s, cost 0.0140 USD"
    assert api.looks == 5


def test_says_why_the_call_is_refused(playground: Playground, state: Path) -> None:
    error = {"error": {"code": "insufficient_balance", "message": "balance is too low to create call"}}
    with Receiver(respond(402, json.dumps(error).encode())) as platform:
        _is_ready(state, f"http://{platform.place}", playground.url)
        ended = _call(state)
    assert ended.returncode == 1
    assert ended.stderr == "Refused with 402 insufficient_balance: balance is too low to create call\n"


def test_says_in_one_line_that_nothing_was_started(state: Path) -> None:
    ended = _call(state)
    assert ended.returncode == 1
    assert ended.stderr.startswith("MiniVoice is not running")
    assert "`make run`" in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_says_in_one_line_that_the_platform_has_ended(state: Path) -> None:
    with Receiver() as closed:
        url = f"http://{closed.place}"
    _is_ready(state, url, url)
    ended = _call(state)
    assert ended.returncode == 1
    assert ended.stderr == "MiniVoice does not answer: start it with `make run`.\n"


def _line(second: str, name: str, **data: Any) -> dict[str, Any]:
    return {"at": f"2026-05-29T12:00:{second}Z", "event": name, "data": data}


def _is_ready(state: Path, base_url: str, playground_url: str) -> None:
    facts = {"base_url": base_url, "api_key": "key", "playground_url": playground_url}
    (state / "ready.json").write_text(json.dumps(facts))


def _call(state: Path) -> subprocess.CompletedProcess[str]:
    """Run what `make call TO=+15551230742` runs."""
    argv = [sys.executable, "examples/call.py", "+15551230742"]
    environment = {**os.environ, "MINIVOICE_STATE": str(state), "PYTHONPATH": "clients/python"}
    return subprocess.run(argv, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=20, check=False)
