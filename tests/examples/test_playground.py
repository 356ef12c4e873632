import http.client
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
from pytest_django import Settings

from calls.flow import document
from tests.examples.conftest import APP, Playground
from tests.examples.signed import SECRET, context, event, headers

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


STANDARD_FORGERIES = ("", "v1", "v1,!", "v1,AAAA", "v1a,AAAA v1,AAAA")


def test_greets_gathers_and_comes_back_with_the_digit(playground: Playground, call_id: str, settings: Settings) -> None:
    settings.OUTBOUND_ALLOWED = [urlsplit(playground.url).netloc]
    answer = playground.post("/answer", context(call_id))
    say, gather, redirect = document.parse(answer.content)
    assert (say.name, gather.name, redirect.name) == ("say", "gather", "redirect")
    assert gather.params["max_digits"] == 1
    assert gather.params["timeout_seconds"] == 5
    assert gather.params["prompt"]
    assert redirect.params["url"] == f"{playground.url}/pressed"
    assert redirect.params["method"] == "POST"


@pytest.mark.parametrize(("digits", "said"), [("4", "You pressed 4."), ("", "You pressed nothing.")])
def test_says_what_was_pressed_and_hangs_up(playground: Playground, call_id: str, digits: str, said: str) -> None:
    say, hangup = document.parse(playground.post("/pressed", context(call_id, digits=digits)).content)
    assert say.params["text"].startswith(said)
    assert hangup.name == "hangup"


@pytest.mark.parametrize("forgery", FORGERIES.values(), ids=FORGERIES.keys())
def test_refuses_what_minivoice_did_not_sign_just_now(
    playground: Playground, call_id: str, forgery: dict[str, Any]
) -> None:
    requested = {"/webhooks": event(call_id), "/answer": context(call_id), "/pressed": context(call_id)}
    for path, body in requested.items():
        assert playground.post(path, body, **forgery).status_code == 400, path
    assert playground.events(call_id) == []


def test_refuses_a_body_that_was_changed_on_its_way(playground: Playground, call_id: str) -> None:
    body = event(call_id)
    for path in ("/webhooks", "/answer", "/pressed"):
        changed = requests.post(playground.url + path, data=body + b" ", headers=headers(body), timeout=5)
        assert changed.status_code == 400, path
    assert playground.events(call_id) == []


@pytest.mark.parametrize("forgery", STANDARD_FORGERIES)
def test_refuses_a_webhook_that_the_standards_library_does_not_verify(
    playground: Playground, call_id: str, forgery: str
) -> None:
    refused = playground.post("/webhooks", event(call_id), **{"webhook-signature": forgery})
    assert refused.status_code == 400
    assert playground.events(call_id) == []
    assert playground.post("/webhooks", event(call_id)).status_code == 204


def test_keeps_what_was_verified(playground: Playground, call_id: str) -> None:
    assert playground.post("/webhooks", event(call_id)).status_code == 204
    playground.post("/answer", context(call_id))
    playground.post("/webhooks", event(f"{call_id}0"))
    created, asked = playground.events(call_id)
    body = json.loads(event(call_id))
    assert created["body"] == body
    assert {name: created[name] for name in ("id", "event", "sequence", "call_id", "verified")} == {
        "id": body["id"],
        "event": "call.created",
        "sequence": 1,
        "call_id": call_id,
        "verified": True,
    }
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", created["received_at"])
    assert (asked["event"], asked["body"]) == ("POST /answer", json.loads(context(call_id)))
    assert [action.popitem()[0] for action in asked["reply"]["actions"]] == ["say", "gather", "redirect"]
    assert [entry["call_id"] for entry in playground.events()][-3:] == [call_id, call_id, f"{call_id}0"]


def test_takes_an_event_about_no_call(playground: Playground, call_id: str) -> None:
    low = {**json.loads(event(call_id)), "event": "balance.low", "call": None}
    assert playground.post("/webhooks", json.dumps(low).encode()).status_code == 204
    kept = playground.events()[-1]
    assert (kept["id"], kept["event"], kept["call_id"]) == (low["id"], "balance.low", None)


def test_shows_an_event_once_however_often_it_is_delivered(own_playground: Playground, call_id: str) -> None:
    for age_seconds in (20, 0):
        delivered = own_playground.post("/webhooks", event(call_id), age_seconds=age_seconds)
        assert delivered.status_code == 204
    own_playground.post("/webhooks", event(call_id, 2, "call.answered"))
    assert [entry["sequence"] for entry in own_playground.events()] == [1, 2]
    with requests.get(f"{own_playground.url}/stream", stream=True, timeout=5) as stream:
        lines = stream.iter_lines()
        assert [_next(lines)["sequence"] for _ in range(2)] == [1, 2]


def test_keeps_the_last_thousand_events(own_playground: Playground, call_id: str) -> None:
    connection = http.client.HTTPConnection(urlsplit(own_playground.url).netloc, timeout=5)
    for sequence in range(1, 1003):
        body = event(call_id, sequence)
        connection.request("POST", "/webhooks", body, headers(body))
        connection.getresponse().read()
    connection.close()
    assert [entry["sequence"] for entry in own_playground.events()] == list(range(3, 1003))


def test_streams_what_came_before_and_each_event_as_it_comes(own_playground: Playground, call_id: str) -> None:
    own_playground.post("/webhooks", event(call_id, 1))
    with requests.get(f"{own_playground.url}/stream", stream=True, timeout=5) as stream:
        assert stream.headers["Content-Type"] == "text/event-stream"
        lines = stream.iter_lines()
        assert _next(lines)["sequence"] == 1
        own_playground.post("/webhooks", event(call_id, 2, "call.answered"))
        assert _next(lines)["event"] == "call.answered"
        own_playground.post("/answer", context(call_id))
        assert _next(lines)["event"] == "POST /answer"


def test_stops_at_once_although_a_page_is_open(own_playground: Playground) -> None:
    with requests.get(f"{own_playground.url}/stream", stream=True, timeout=5):
        own_playground.process.terminate()
        assert own_playground.process.wait(timeout=3) == 0


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


def _next(lines: Any) -> dict[str, Any]:
    line = next(line for line in lines if line)
    return dict(json.loads(line.removeprefix(b"data: ")))
