"""The verifiers of docs/webhooks.md, as a reader would paste them, judge what a real receiver was really sent."""

import json
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import timedelta
from email.message import Message
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import pytest

from applications import secret
from applications.models import Application
from minivoice import clock
from tests.webhooks.conftest import SECRET, Publish
from tests.webhooks.receiver import Received, Receiver
from webhooks import pump

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples/webhooks"
PAGE = ROOT / "docs/webhooks.md"
NEW = "the next secret of acme"

Verifier = Callable[[str, Received, bytes], bool]  # secret, the request with its headers, the body it is said to have


def blocks(language: str) -> list[str]:
    """Return the page's code blocks in `language`."""
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)


def python(number: int, name: str) -> Verifier:
    """Return the function `name` of a Python block of the page."""
    defined: dict[str, Any] = {"__name__": "example"}
    exec(compile(blocks("python")[number], "docs/webhooks.md", "exec"), defined)  # noqa: S102  our own documentation
    return lambda key, request, body: bool(defined[name](key, spelled(request.headers), body))


def spelled(headers: Mapping[str, str]) -> Message:
    """Return headers as `http.server` gives them: found in any case."""
    message = Message()
    for name, value in headers.items():
        message[name] = value
    return message


def node_program() -> str | None:
    """Return the Node that Playwright's wheel brings, or the system's."""
    with suppress(PackageNotFoundError):
        return str(distribution("playwright").locate_file("playwright/driver/node"))
    return shutil.which("node")


def in_node() -> Verifier:
    """Return `isGenuine` of the page's JavaScript, run by Node."""
    program = node_program()
    if program is None:
        pytest.skip("no Node: neither playwright's nor the system's")
    ask = "\nconst [secret, headers, body] = JSON.parse(process.argv[1]);"
    ask += "\nconsole.log(isGenuine(secret, headers, Buffer.from(body, 'hex')))"

    def verify(key: str, request: Received, body: bytes) -> bool:
        given = json.dumps([key, request.headers, body.hex()])
        argv = [program, "-e", blocks("javascript")[0] + ask, given]
        done = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=30)
        return {"true": True, "false": False}[done.stdout.strip()]

    return verify


@pytest.fixture(params=["python", "standard", "node"])
def verify(request: pytest.FixtureRequest) -> Verifier:
    if request.param == "node":
        return in_node()
    return python(0, "is_genuine") if request.param == "python" else python(1, "is_genuine_by_the_standard")


@pytest.fixture
def delivered(publish: Publish, receiver: Receiver) -> Callable[..., Received]:
    """Deliver an event; return the request that came. `age` is how long ago it was sent."""

    def deliver(age: timedelta = timedelta(0)) -> Received:
        publish(now=clock.now() - age)
        assert pump.deliver(now=lambda: clock.now() - age) == 1
        return receiver.requests[-1]

    return deliver


def test_the_page_shows_the_examples_as_they_are() -> None:
    files = [EXAMPLES / name for name in ("verify.py", "verify_standard.py")]
    assert blocks("python")[:2] == [file.read_text() for file in files]
    assert blocks("javascript")[0] == (EXAMPLES / "verify.js").read_text()


def test_accepts_a_delivery_and_nothing_that_was_changed(verify: Verifier, delivered: Callable[..., Received]) -> None:
    request = delivered()

    assert verify(SECRET, request, request.body)
    assert not verify("another secret", request, request.body)
    assert not verify(SECRET, request, request.body.replace(b"created", b"crested"))
    assert not verify(SECRET, request, request.body + b"\n")
    assert not verify(SECRET, request, b"")


def test_refuses_a_delivery_without_a_signature(
    verify: Verifier, delivered: Callable[..., Received], application: Application
) -> None:
    Application.objects.update(webhook_secret="")
    request = delivered()

    assert not verify(SECRET, request, request.body)


@pytest.mark.parametrize(("age", "fresh"), [(timedelta(minutes=4), True), (timedelta(minutes=6), False)])
def test_refuses_what_was_sent_too_long_ago(
    verify: Verifier, delivered: Callable[..., Received], age: timedelta, fresh: bool
) -> None:
    request = delivered(age)

    assert verify(SECRET, request, request.body) is fresh


def test_refuses_an_old_signature_with_a_new_timestamp(verify: Verifier, delivered: Callable[..., Received]) -> None:
    request = delivered(timedelta(minutes=6))
    now = str(int(clock.now().timestamp()))
    request.headers.update({"x-minivoice-timestamp": now, "webhook-timestamp": now})

    assert not verify(SECRET, request, request.body)


def test_accepts_the_old_secret_and_the_new_one_while_it_is_replaced(
    verify: Verifier, delivered: Callable[..., Received], application: Application
) -> None:
    secret.replace(application, secret=NEW, now=clock.now())
    request = delivered()

    assert verify(SECRET, request, request.body)
    assert verify(NEW, request, request.body)
    assert not verify("a third secret", request, request.body)


def test_refuses_what_a_proxy_has_written_anew(verify: Verifier, delivered: Callable[..., Received]) -> None:
    """The page explains it: the same JSON, other bytes."""
    request = delivered()
    again = json.dumps(json.loads(request.body)).encode()

    assert json.loads(again) == json.loads(request.body)
    assert not verify(SECRET, request, again)


@pytest.mark.parametrize("run", [lambda: python(0, "is_genuine"), in_node], ids=["python", "node"])
def test_does_not_verify_without_a_secret(run: Callable[[], Verifier], delivered: Callable[..., Received]) -> None:
    request = delivered()

    with pytest.raises((ValueError, subprocess.CalledProcessError)):
        run()("", request, request.body)
