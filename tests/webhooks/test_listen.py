"""`manage.py listen`, as a process of its own: what it shows, where it sends it, and that it misses nothing."""

import base64
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from threading import Thread
from typing import IO
from urllib.parse import urlsplit, urlunsplit

import psycopg2
import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from standardwebhooks import Webhook

from applications.models import Application, Customer
from minivoice import clock
from tests import factories
from tests.webhooks.conftest import SECRET, Publish
from tests.webhooks.receiver import Receiver, respond
from webhooks import pump
from webhooks.management.commands import listen
from webhooks.models import WebhookEvent

pytestmark = pytest.mark.django_db(transaction=True)


class Listening:
    """The command, begun; `lines` are those of its standard output, `said` those of its standard error."""

    def __init__(self, *arguments: str) -> None:
        url = urlsplit(os.environ["DATABASE_URL"])
        self.process = subprocess.Popen(
            [sys.executable, "manage.py", "listen", *arguments],
            cwd=Path(__file__).parents[2],
            env={
                **os.environ,
                "DATABASE_URL": urlunsplit(url._replace(path=f"/{connection.settings_dict['NAME']}")),
                "OUTBOUND_ALLOWED": "",
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        self.lines: list[str] = []
        self.said: list[str] = []
        pipes = ((self.process.stdout, self.lines), (self.process.stderr, self.said))
        self._readers = [Thread(target=_read, args=pipe, daemon=True) for pipe in pipes]
        for reader in self._readers:
            reader.start()

    def until_said(self, text: str) -> None:
        """Wait until this is in a line of standard error."""
        _until(lambda: any(text in line for line in self.said), self)

    def until_shown(self, count: int) -> list[str]:
        """Wait for so many lines; return them."""
        _until(lambda: len(self.lines) >= count, self)
        return self.lines

    def end(self) -> str:
        """Press Ctrl-C; return the cursor that it leaves."""
        self.process.send_signal(signal.SIGINT)
        assert self.process.wait(timeout=10) == 0, self.said
        for reader in self._readers:
            reader.join(timeout=10)
        assert not [line for line in self.said if "Traceback" in line]
        found = re.search(r"--after (\S+)", self.said[-1])
        assert found, self.said
        return found[1]


def _read(pipe: IO[str], lines: list[str]) -> None:
    lines.extend(iter(pipe.readline, ""))  # it takes from the iterator one by one


def _until(is_so: Callable[[], bool], listening: Listening, *, seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, (listening.lines, listening.said)
        assert listening.process.poll() is None, listening.said
        time.sleep(0.02)


@contextmanager
def listening(*arguments: str) -> Iterator[Listening]:
    begun = Listening(*arguments)
    try:
        begun.until_said("Listening")
        yield begun
    finally:
        if begun.process.poll() is None:
            begun.process.kill()
        begun.process.wait()


def ids(lines: list[str]) -> list[str]:
    return [json.loads(line)["id"] for line in lines]


def test_shows_what_happens_from_now_on_a_line_each(publish: Publish, acme: Customer) -> None:
    publish()
    with listening(acme.public_id) as terminal:
        first, second = publish(), publish(event="call.answered")
        lines = terminal.until_shown(2)
        terminal.end()

    assert len(lines) == 2
    for line, event in zip(lines, (first, second), strict=True):
        assert event.type in line
        assert event.call_id in line
        assert clock.text(event.created_at)[11:23] in line
        assert "\x1b" not in line


def test_goes_on_where_it_ended(publish: Publish, acme: Customer) -> None:
    with listening(acme.public_id, "--json") as terminal:
        first = publish()
        terminal.until_shown(1)
        cursor = terminal.end()
    missed = publish()
    with listening(acme.public_id, "--json", "--after", cursor) as terminal:
        late = publish()
        _until(lambda: late.public_id in ids(terminal.lines), terminal)
        terminal.end()

    assert [each for each in ids(terminal.lines) if each != first.public_id] == [missed.public_id, late.public_id]


def test_begins_so_long_ago(publish: Publish, acme: Customer) -> None:
    publish(now=clock.now() - timedelta(minutes=11))
    recent = [publish(now=clock.now() - timedelta(minutes=9)), publish()]
    with listening(acme.public_id, "--json", "--since", "10m") as terminal:
        terminal.until_shown(2)
        terminal.end()

    assert ids(terminal.lines) == [event.public_id for event in recent]


def test_shows_whole_bodies_as_they_are_stored(publish: Publish, acme: Customer) -> None:
    event = publish()
    with listening(acme.public_id, "--json", "--since", "1m") as terminal:
        [line] = terminal.until_shown(1)

    assert line.encode() == bytes(event.body) + b"\n"


def test_shows_all_applications_of_the_customer_or_one(
    publish: Publish, acme: Customer, application: Application
) -> None:
    other = factories.ApplicationFactory(customer=acme)
    stranger = factories.ApplicationFactory(customer=Customer.objects.create(name="globex"))
    for of in (stranger, other, None):
        publish(of)
    own, others = (WebhookEvent.objects.get(application=of).public_id for of in (application, other))
    with listening(acme.public_id, "--json", "--since", "1m") as terminal:
        terminal.until_shown(2)
        terminal.end()
    with listening(acme.public_id, "--json", "--since", "1m", "--application", application.public_id) as one:
        one.until_shown(1)
        one.end()

    assert set(ids(terminal.lines)) == {own, others}
    assert ids(one.lines) == [own]


def test_forwards_as_the_pump_sends(publish: Publish, acme: Customer, receiver: Receiver) -> None:
    publish()
    pump.deliver()
    local = receiver.url.replace("127.0.0.1", "localhost")
    with listening(acme.public_id, "--since", "1m", "--forward", local) as terminal:
        [taken] = terminal.until_shown(1)
        receiver.reply = respond(500)
        publish()
        refused = terminal.until_shown(2)[1]
        terminal.end()

    assert "→ 200 in" in taken
    assert "→ 500 in" in refused
    sent, forwarded, _ = receiver.requests
    assert (forwarded.method, forwarded.path, forwarded.body) == (sent.method, sent.path, sent.body)
    Webhook("whsec_" + base64.b64encode(SECRET.encode()).decode()).verify(forwarded.body, forwarded.headers)
    # Its own are the moment, what is made of it, and the name it was reached by.
    own = {"host", "x-minivoice-timestamp", "x-minivoice-signature", "webhook-timestamp", "webhook-signature"}
    assert forwarded.headers.keys() == sent.headers.keys() > own
    assert all(forwarded.headers[name] == sent.headers[name] for name in sent.headers.keys() - own)


def test_says_why_nothing_could_be_forwarded(publish: Publish, acme: Customer) -> None:
    publish()
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # and does not listen: the port is nobody else's meanwhile
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}/hook"
        with listening(acme.public_id, "--since", "1m", "--forward", url) as terminal:
            [line] = terminal.until_shown(1)

    assert "→ connect_failed" in line


def test_misses_nothing_while_the_database_is_away(publish: Publish, acme: Customer) -> None:
    with listening(acme.public_id, "--json") as terminal:
        first = publish()
        terminal.until_shown(1)
        with no_new_connections():
            terminal.until_said("The database is away")
            missed = [publish() for _ in range(3)]
        terminal.until_shown(4)
        terminal.until_said("The database is back")
        terminal.end()

    assert ids(terminal.lines) == [event.public_id for event in (first, *missed)]
    assert len([line for line in terminal.said if "is away" in line]) == 1


@contextmanager
def no_new_connections() -> Iterator[None]:
    """Cut everybody else off from the database, and let nobody in."""
    name = connection.settings_dict["NAME"]
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        [(own,)] = cursor.fetchall()
    staff = psycopg2.connect(os.environ["DATABASE_URL"])
    staff.autocommit = True
    try:
        with staff.cursor() as cursor:
            cursor.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND pid <> %s", [name, own]
            )
        yield
    finally:
        with suppress(psycopg2.Error), staff.cursor() as cursor:
            cursor.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')
        staff.close()


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["cust_nobody"], "there is no customer cust_nobody"),
        (["{customer}", "--application", "app_nobody"], "has no application app_nobody"),
        (["{customer}", "--after", "nowhere"], "--after is not one"),
        (["{customer}", "--since", "tomorrow"], "--since"),
        (["{customer}", "--forward", "localhost:3000"], "--forward"),
        (["{customer}", "--since", "1m", "--after", "MS4x"], "not allowed with"),
    ],
)
def test_refuses_what_it_does_not_understand(acme: Customer, arguments: list[str], complaint: str) -> None:
    with pytest.raises(CommandError, match=re.escape(complaint)):
        call_command("listen", *(argument.format(customer=acme.public_id) for argument in arguments))


def test_a_callers_words_do_not_steer_the_terminal() -> None:
    event = {
        "event": "call.created",
        "created_at": "2026-05-29T12:00:03.102Z",
        "call": {"id": "call_1", "from": "\x1b]0;mine\x07", "to": "+1\n2", "status": "ringing"},
        "data": {},
    }

    line = listen._line(event)

    assert line.isprintable()
    assert line.startswith("12:00:03.102  call.created")
