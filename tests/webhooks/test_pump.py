"""Promises 12 to 14, end to end: rows of PostgreSQL, bytes on sockets."""

import base64
import dataclasses
import hashlib
import hmac
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pytest
from django.db import connection
from django.db.models import Value
from pytest_django.fixtures import Settings
from standardwebhooks import Webhook

from applications.models import Application, Customer
from minivoice import clock
from minivoice.outbound import Limits
from tests.stillness import Stopwatch
from tests.webhooks.conftest import SECRET, Publish
from tests.webhooks.receiver import Received, Receiver, respond
from webhooks import pump
from webhooks.deliveries import LEASE_SECONDS
from webhooks.models import WebhookEvent

SHORT = Limits(total_seconds=0.4, max_bytes=64 * 1024, truncate=True)


def _later(seconds: float) -> Callable[[], datetime]:
    return lambda: clock.now() + timedelta(seconds=seconds)


def _hang(_: Received, connection: socket.socket) -> None:
    connection.recv(1)


class Crowd:
    """Counts the requests that wait for an answer; whose sender has left waits no more, though nobody has noticed."""

    def __init__(self) -> None:
        self.most = 0
        self._lock = threading.Lock()
        self._waiting: list[socket.socket | None] = []

    @contextmanager
    def one_more(self, connection: socket.socket | None = None) -> Iterator[None]:
        """A request waits meanwhile; look at its connection for whether its sender is still there."""
        with self._lock:
            self._waiting.append(connection)
            self.most = max(self.most, sum(_is_there(each) for each in self._waiting))
        yield
        with self._lock:
            self._waiting.remove(connection)


def _is_there(connection: socket.socket | None) -> bool:
    if connection is None:
        return True
    try:
        return connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) != b""
    except BlockingIOError:  # it says nothing, and waits
        return True
    except OSError:
        return False


def test_delivers_the_stored_bytes_with_signatures_others_can_verify(publish: Publish, receiver: Receiver) -> None:
    event = publish()

    assert pump.deliver() == 1

    [request] = receiver.requests
    assert (request.method, request.path) == ("POST", "/hook")
    assert request.body == bytes(event.body)
    assert request.headers["x-minivoice-event"] == "call.created"
    assert request.headers["x-minivoice-delivery"] == event.delivery_id
    assert request.headers["x-minivoice-attempt"] == "1"
    assert request.headers["user-agent"].startswith("MiniVoice/")
    assert request.headers["webhook-id"] == event.public_id.replace(".", "_")
    Webhook("whsec_" + base64.b64encode(SECRET.encode()).decode()).verify(request.body, request.headers)
    signed = request.headers["x-minivoice-timestamp"].encode() + b"." + request.body
    digest = hmac.new(SECRET.encode(), signed, hashlib.sha256).hexdigest()
    assert request.headers["x-minivoice-signature"] == f"v1={digest}"
    event.refresh_from_db()
    assert (event.status, event.attempts, event.is_in_flight) == ("delivered", 1, False)


def test_sends_the_same_id_and_bytes_on_every_retry(publish: Publish, receiver: Receiver) -> None:
    event = publish()
    receiver.reply = respond(500, b"no")
    pump.deliver()
    receiver.reply = respond(204, b"")
    pump.deliver(now=_later(7))

    first, second = receiver.requests
    assert first.body == second.body == bytes(event.body)
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert [r.headers["x-minivoice-attempt"] for r in receiver.requests] == ["1", "2"]
    assert int(second.headers["x-minivoice-timestamp"]) - int(first.headers["x-minivoice-timestamp"]) >= 6
    event.refresh_from_db()
    assert event.status == "delivered"
    assert list(event.attempt_rows.order_by("number").values_list("number", "http_status", "error", "response")) == [
        (1, 500, "http_500", "no"),
        (2, 204, "", ""),
    ]


def test_has_nothing_to_do_when_nothing_is_due(publish: Publish, receiver: Receiver) -> None:
    publish(now=clock.now() + timedelta(minutes=1))

    assert pump.deliver() == 0
    assert receiver.connections == 0


@pytest.mark.parametrize("status", [301, 400, 404, 429, 503])
def test_everything_but_a_success_is_tried_again(status: int, publish: Publish, receiver: Receiver) -> None:
    receiver.reply = respond(status, Location=f"http://127.0.0.1:{receiver.port}/elsewhere")
    event = publish()
    pump.deliver()

    event.refresh_from_db()
    assert event.status == "pending"
    assert [r.path for r in receiver.requests] == ["/hook"]
    assert event.attempt_rows.get().error == f"http_{status}"


def test_honours_retry_after(publish: Publish, receiver: Receiver) -> None:
    receiver.reply = respond(429, Retry_After="600")
    event, before = publish(), clock.now()
    pump.deliver()

    event.refresh_from_db()
    assert event.next_attempt_at is not None
    wait = timedelta(seconds=600)
    assert before + wait <= event.next_attempt_at <= clock.now() + wait


def test_ends_at_410(publish: Publish, receiver: Receiver) -> None:
    receiver.reply = respond(410)
    event = publish()
    pump.deliver()

    event.refresh_from_db()
    assert event.status == "exhausted"


def test_keeps_four_kib_of_the_response_whatever_its_bytes(publish: Publish, receiver: Receiver) -> None:
    receiver.reply = respond(200, b"a\0b\xff" + b"x" * 100_000)
    event = publish()
    pump.deliver()

    event.refresh_from_db()
    assert event.status == "delivered"
    assert event.attempt_rows.get().response == "a\ufffdb\ufffd" + "x" * 4092


def test_notes_a_receiver_that_hangs(publish: Publish, receiver: Receiver) -> None:
    receiver.reply = _hang
    event = publish()
    with Stopwatch() as watch:
        pump.deliver(limits=SHORT)

    attempt = event.attempt_rows.get()
    assert (attempt.error, attempt.http_status, attempt.response) == ("read_timeout", None, "")
    assert 390 <= attempt.duration_ms < 1000 + 1000 * watch.paused_seconds


def test_never_reaches_the_inside(publish: Publish, application: Application, settings: Settings) -> None:
    with Receiver() as inside:
        application.webhook_url = inside.url
        event = publish()
        pump.deliver()

    assert event.attempt_rows.get().error == "blocked_address"
    assert inside.connections == 0


def test_delivers_unsigned_without_a_secret(publish: Publish, application: Application, receiver: Receiver) -> None:
    Application.objects.update(webhook_secret="")
    publish()
    pump.deliver()

    assert not {name for name in receiver.requests[0].headers if "signature" in name or "timestamp" in name}


def test_keeps_connections_and_sends_at_most_eight_at_once(publish: Publish, receiver: Receiver) -> None:
    answer, unanswered = respond(), Crowd()

    def slowly(request: Received, connection: socket.socket) -> None:
        with unanswered.one_more():
            time.sleep(0.01)
        answer(request, connection)

    receiver.reply = slowly
    for _ in range(100):
        publish()

    assert pump.deliver() == 100
    assert 1 < unanswered.most <= 8
    assert receiver.connections <= 16
    assert len({json.loads(r.body)["id"] for r in receiver.requests}) == 100
    assert WebhookEvent.objects.filter(status="delivered").count() == 100


def test_one_endpoint_that_hangs_delays_nobody_else(
    publish: Publish, acme: Customer, receiver: Receiver, settings: Settings
) -> None:
    waiting = Crowd()

    def hang(request: Received, connection: socket.socket) -> None:
        with waiting.one_more(connection):
            _hang(request, connection)

    with ExitStack() as stack:
        quick = [stack.enter_context(Receiver()) for _ in range(9)]
        settings.OUTBOUND_ALLOWED = [r.place for r in (receiver, *quick)]
        receiver.reply = hang
        apps = [Application.objects.create(customer=acme, name=str(n), webhook_url=r.url) for n, r in enumerate(quick)]
        for _ in range(30):
            for of in [None, *apps]:
                publish(of)
        limits = dataclasses.replace(SHORT, total_seconds=2.5)  # which the quick ones keep on a busy machine, too
        all_are_due = clock.now()
        started = time.monotonic()
        with Stopwatch() as watch:
            attempts = pump.deliver(limits=limits, run_seconds=60.0, now=lambda: all_are_due)  # no retry is

        assert attempts == 300
        assert [len(r.requests) for r in quick] == [30] * 9
        last = max(request.at for r in quick for request in r.requests)
        assert last - started - watch.paused_seconds < 2.0
        assert time.monotonic() - started >= 4 * limits.total_seconds  # 30 hung, eight at a time
        assert waiting.most <= 9


def test_sees_events_that_come_while_it_waits(publish: Publish, receiver: Receiver) -> None:
    """The second one is due once the first is at its receiver, which answers when it has both."""
    began = clock.now()
    first, second = publish(now=began), publish(now=began + timedelta(seconds=5))
    answer = respond()

    def slowly_at_first(request: Received, connection: socket.socket) -> None:
        if len(receiver.requests) == 1:
            receiver.wait_for(2)
        answer(request, connection)

    receiver.reply = slowly_at_first
    assert pump.deliver(now=lambda: began + timedelta(seconds=5 * len(receiver.requests))) == 2
    assert [json.loads(r.body)["id"] for r in receiver.requests] == [first.public_id, second.public_id]


def test_a_run_ends_in_time_notes_what_is_in_flight_and_leaves_the_rest(publish: Publish, receiver: Receiver) -> None:
    receiver.reply = _hang
    for _ in range(20):
        publish()

    assert pump.deliver(limits=SHORT, run_seconds=0.2) == 8
    assert WebhookEvent.objects.filter(is_in_flight=True).count() == 0
    assert WebhookEvent.objects.filter(attempts=0, status="pending").count() == 12


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("point", "sent"), [("webhook_claimed", 0), ("webhook_sent", 1), ("webhook_seen", 1)])
def test_a_killed_workers_event_is_sent_again_with_the_same_id(
    point: str, sent: int, publish: Publish, receiver: Receiver, tmp_path: Path
) -> None:
    event = publish()
    (tmp_path / "armed").write_text(f"{point} 1")
    worker = _worker(CRASHPOINTS=str(tmp_path / "armed"), OUTBOUND_ALLOWED=receiver.place)

    assert worker.wait(timeout=30) == -signal.SIGKILL
    assert len(receiver.requests) == sent
    event.refresh_from_db()
    assert (event.status, event.attempts, event.attempt_rows.count()) == ("pending", 1, 0)
    assert pump.deliver() == 0  # the lease still holds

    assert pump.deliver(now=_later(LEASE_SECONDS + 1)) == 1
    event.refresh_from_db()
    assert (event.status, event.attempts) == ("delivered", 2)
    assert {(r.body, r.headers["webhook-id"]) for r in receiver.requests} == {
        (bytes(event.body), event.public_id.replace(".", "_"))
    }


def _worker(**environment: str) -> subprocess.Popen[bytes]:
    """Start a process of its own that delivers what is due in the test's database."""
    url = urlsplit(os.environ["DATABASE_URL"])
    return subprocess.Popen(
        [sys.executable, "-c", "import django; django.setup(); from webhooks import pump; pump.deliver()"],
        cwd=Path(__file__).parents[2],
        env={
            **os.environ,
            "DATABASE_URL": urlunsplit(url._replace(path=f"/{connection.settings_dict['NAME']}")),
            **environment,
        },
    )


def test_what_cannot_be_signed_goes_by_the_schedule_and_holds_up_nobody(
    publish: Publish, application: Application, acme: Customer, receiver: Receiver
) -> None:
    event = publish()
    Application.objects.filter(pk=application.pk).update(webhook_secret=Value("of a key that is gone"))
    other = Application.objects.create(customer=acme, name="other", webhook_url=receiver.url, webhook_secret="x")
    publish(other)

    assert pump.deliver() == 2

    assert len(receiver.requests) == 1
    event.refresh_from_db()
    assert (event.status, event.error, event.is_in_flight) == ("pending", "secret_unreadable", False)
