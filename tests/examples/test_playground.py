import json
import os
import re
import socket
import subprocess
import sys
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from calls.flow import document
from tests.examples.conftest import APP, Playground
from tests.examples.signed import CALL, SECRET, context, event, headers

FORGERIES: dict[str, dict[str, Any]] = {
    "another secret": {"secret": "not-the-secret"},
    "an old recording": {"age_seconds": 301},
    "a time to come": {"age_seconds": -302},
    "another time": {"X_MiniVoice_Timestamp": "1"},
    "no time": {"X_MiniVoice_Timestamp": ""},
    "no signature": {"X_MiniVoice_Signature": ""},
    "an unknown scheme": {"X_MiniVoice_Signature": "v0=00"},
    "letters from elsewhere": {"X_MiniVoice_Signature": "v1=\xe9", "X_MiniVoice_Timestamp": "\xe9"},
}


def test_greets_gathers_and_comes_back_with_the_digit(playground: Playground) -> None:
    answer = playground.post("/answer", context())
    say, gather, redirect = document.parse(answer.content)
    assert (say.name, gather.name, redirect.name) == ("say", "gather", "redirect")
    assert gather.params["max_digits"] == 1
    assert gather.params["timeout_seconds"] == 5
    assert gather.params["prompt"]
    assert redirect.params["url"] == f"{playground.url}/pressed"
    assert redirect.params["method"] == "POST"


@pytest.mark.parametrize(("digits", "said"), [("4", "You pressed 4."), ("", "You pressed nothing.")])
def test_says_what_was_pressed_and_hangs_up(playground: Playground, digits: str, said: str) -> None:
    say, hangup = document.parse(playground.post("/pressed", context(digits=digits)).content)
    assert say.params["text"].startswith(said)
    assert hangup.name == "hangup"


@pytest.mark.parametrize("forgery", FORGERIES.values(), ids=FORGERIES.keys())
def test_refuses_what_minivoice_did_not_sign_just_now(playground: Playground, forgery: dict[str, Any]) -> None:
    for path, body in (("/webhooks", event()), ("/answer", context()), ("/pressed", context())):
        assert playground.post(path, body, **forgery).status_code == 400, path
    assert playground.events() == []


def test_refuses_a_body_that_was_changed_on_its_way(playground: Playground) -> None:
    genuine = headers(event())
    for path in ("/webhooks", "/answer", "/pressed"):
        changed = requests.post(playground.url + path, data=event() + b" ", headers=genuine, timeout=5)
        assert changed.status_code == 400
    assert playground.events() == []


@pytest.mark.parametrize("wrong", ["", "v1", "v1,!", "v1,AAAA", headers(event(2))["webhook-signature"]])
def test_refuses_a_webhook_that_the_standards_library_does_not_verify(playground: Playground, wrong: str) -> None:
    assert playground.post("/webhooks", event(), **{"webhook-signature": wrong}).status_code == 400
    assert playground.events() == []
    assert playground.post("/webhooks", event()).status_code == 204


def test_keeps_what_was_verified(playground: Playground) -> None:
    assert playground.post("/webhooks", event()).status_code == 204
    playground.post("/answer", context())
    playground.post("/webhooks", event(2, call_id="call_of_another"))
    created, asked = playground.events(CALL)
    assert created["body"] == json.loads(event())
    assert {name: created[name] for name in ("id", "event", "sequence", "call_id", "verified")} == {
        "id": "evt_20260529T120000.000000001",
        "event": "call.created",
        "sequence": 1,
        "call_id": CALL,
        "verified": True,
    }
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", created["received_at"])
    assert (asked["event"], asked["body"]) == ("POST /answer", json.loads(context()))
    assert [action.popitem()[0] for action in asked["reply"]["actions"]] == ["say", "gather", "redirect"]
    assert [entry["call_id"] for entry in playground.events()] == [CALL, CALL, "call_of_another"]


def test_takes_an_event_about_no_call(playground: Playground) -> None:
    low: dict[str, Any] = {
        "id": "evt_9",
        "event": "balance.low",
        "created_at": "2026-05-29T12:00:00.000Z",
        "call": None,
        "data": {},
    }
    assert playground.post("/webhooks", json.dumps(low).encode()).status_code == 204
    assert [(entry["event"], entry["call_id"]) for entry in playground.events()] == [("balance.low", None)]


def test_shows_an_event_once_however_often_it_is_delivered(playground: Playground) -> None:
    for age_seconds in (20, 0):
        assert playground.post("/webhooks", event(), age_seconds=age_seconds).status_code == 204
    playground.post("/webhooks", event(2, "call.answered"))
    assert [entry["sequence"] for entry in playground.events()] == [1, 2]
    assert [entry["sequence"] for entry in _streamed(playground, 2)] == [1, 2]


def test_keeps_the_last_thousand_events(playground: Playground) -> None:
    with requests.Session() as session:
        for sequence in range(1, 1003):
            body = event(sequence)
            session.post(f"{playground.url}/webhooks", data=body, headers=headers(body), timeout=5)
    assert [entry["sequence"] for entry in playground.events()] == list(range(3, 1003))


def test_streams_what_came_before_and_each_event_as_it_comes(playground: Playground) -> None:
    playground.post("/webhooks", event(1))
    with requests.get(f"{playground.url}/stream", stream=True, timeout=5) as stream:
        assert stream.headers["Content-Type"] == "text/event-stream"
        lines = stream.iter_lines()
        assert _next(lines)["sequence"] == 1
        playground.post("/webhooks", event(2, "call.answered"))
        assert _next(lines)["event"] == "call.answered"
        playground.post("/answer", context())
        assert _next(lines)["event"] == "POST /answer"


def test_stops_at_once_although_a_page_is_open(playground: Playground) -> None:
    with requests.get(f"{playground.url}/stream", stream=True, timeout=5) as stream:
        playground.process.terminate()
        assert playground.process.wait(timeout=3) == 0
        stream.close()


def test_page_asks_nobody_but_the_playground(playground: Playground) -> None:
    page = requests.get(playground.url, timeout=5)
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    assert "unsafe" not in page.headers["Content-Security-Policy"]
    named = re.findall(r'(?:src|href)="([^"]*)"', page.text)
    assert named == ["data:,", "page.css", "page.js", "events.json"]
    texts = [requests.get(f"{playground.url}/{name}", timeout=5) for name in named[1:]]
    assert [text.status_code for text in texts] == [200, 200, 200]
    together = page.text + "".join(text.text for text in texts)
    assert {urlsplit(url).hostname for url in re.findall(r"https?://[^\s\"']+", together)} == {"127.0.0.1"}
    assert "curl -sS http://127.0.0.1:8001/v1/calls" in page.text


def test_page_never_reads_text_as_markup(playground: Playground) -> None:
    script = requests.get(f"{playground.url}/page.js", timeout=5).text
    assert "textContent" in script
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|setHTML|eval|DOMParser", script)


def test_serves_no_other_file(playground: Playground) -> None:
    for path in ("/app.py", "/page.html", "/..%2fcall.py", "/page.js%2f..%2fapp.py"):
        assert requests.get(playground.url + path, timeout=5).status_code == 404, path


def test_listens_on_loopback_only(playground: Playground) -> None:
    assert requests.get(f"{playground.url}/health", timeout=5).status_code == 200
    with pytest.raises(ConnectionRefusedError):  # 127.0.0.2 would answer if it listened on every address
        socket.create_connection(("127.0.0.2", urlsplit(playground.url).port or 0), timeout=2).close()


def test_says_in_one_line_that_its_secret_is_missing() -> None:
    environment = {name: value for name, value in os.environ.items() if name != "PLAYGROUND_SECRET"}
    ended = _run("9", environment)
    assert ended.returncode == 1
    assert ended.stderr.startswith("PLAYGROUND_SECRET is missing")
    assert ended.stderr.count("\n") == 1


def test_says_in_one_line_that_its_port_is_taken(playground: Playground) -> None:
    ended = _run(str(urlsplit(playground.url).port), {**os.environ, "PLAYGROUND_SECRET": SECRET})
    assert ended.returncode == 1
    assert "address already in use" in ended.stderr
    assert ended.stderr.count("\n") == 1
    assert ended.stdout == ""


def _run(port: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, str(APP), "--port", port]
    return subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=10, check=False)


def _streamed(playground: Playground, count: int) -> list[dict[str, Any]]:
    with requests.get(f"{playground.url}/stream", stream=True, timeout=5) as stream:
        lines = stream.iter_lines()
        return [_next(lines) for _ in range(count)]


def _next(lines: Any) -> dict[str, Any]:
    line = next(line for line in lines if line)
    return dict(json.loads(line.removeprefix(b"data: ")))
