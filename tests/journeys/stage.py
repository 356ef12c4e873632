"""The whole platform as `make run` starts it, on the test run's own database, and a customer's server beside it."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg2
import pytest
import requests
from django.db import connection

from applications.models import Application, Customer
from billing.models import Balance, RateDeck
from calls import audit
from minivoice.local.kept import free_port
from minivoice.local.stack import Platform
from tests import factories, servers
from tests.journeys.receiver import SECRET, Receiver

FINAL = {"completed", "failed", "canceled"}


def until(holds: Callable[[], Any], *, seconds: float, what: str, every: float = 0.02) -> Any:
    """Wait until `holds()` is true and return it; fail, saying what was missing, when it is not within `seconds`.

    It is asked with a rest of `every` seconds.
    """
    deadline = time.monotonic() + seconds
    while not (value := holds()):
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(every)
    return value


@dataclass
class Integrator:
    """A customer's program at the platform's door."""

    base_url: str
    key: str
    customer: Customer
    application: Application

    def request(self, method: str, path: str, body: Any = None) -> requests.Response:
        """Send one request; a fresh connection each, as web processes are killed in some journeys."""
        headers = {"Authorization": f"Bearer {self.key}"}
        return requests.request(method, self.base_url + path, json=body, headers=headers, timeout=20)

    def create(self, to: str, **fields: Any) -> requests.Response:
        """POST /v1/calls."""
        return self.request("POST", "/v1/calls", {"from": "+15551230001", "to": to, **fields})

    def call(self, call_id: str) -> dict[str, Any]:
        """GET /v1/calls/:id."""
        body: dict[str, Any] = self.request("GET", f"/v1/calls/{call_id}").json()
        return body

    def ended(self, call_id: str, *, seconds: float = 20) -> dict[str, Any]:
        """The call, once it has ended."""

        def look() -> dict[str, Any] | None:
            body = self.call(call_id)
            return body if body["status"] in FINAL else None

        ended: dict[str, Any] = until(look, seconds=seconds, what=f"{call_id} has ended")
        return ended

    def timeline(self, call_id: str) -> list[str]:
        """The words of the call's timeline."""
        lines = self.request("GET", f"/v1/calls/{call_id}/events").json()["data"]
        return [line["event"] for line in lines]

    def balance(self) -> dict[str, str]:
        """GET /v1/balance."""
        body: dict[str, str] = self.request("GET", "/v1/balance").json()
        return body


@pytest.fixture(scope="session")
def receiver() -> Iterator[Receiver]:
    """The customer's server."""
    receiver = Receiver()
    yield receiver
    receiver.close()


@pytest.fixture(scope="session")
def crashpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file that arms a fault point in any process of the platform."""
    return tmp_path_factory.mktemp("faults") / "crashpoint"


@contextmanager
def running(state: Path, receiver: Receiver, *, database: str, **environment: str) -> Iterator[Platform]:
    """Everything `make run` starts, with an empty database of its own on the test run's server.

    And with a Valkey of its own: of two platforms that shared one, each would take the other's nudges and sweeps.
    """
    platform = Platform(
        state=state,
        port=free_port(),
        durable=False,
        environment={
            "DATABASE_URL": _new(database),
            "REDIS_URL": "",
            "OUTBOUND_ALLOWED": receiver.address,
            **environment,
        },
    )
    platform.start()
    assert platform._supervisor
    # What dies often starts again after ever longer pauses, and here processes are killed all the time: of the
    # longest, five seconds, there would be minutes. test_supervisor looks at them.
    platform._supervisor.pauses_seconds = (0.2,)
    try:
        yield platform
    finally:
        platform.stop()


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory, receiver: Receiver, crashpoints: Path) -> Iterator[Platform]:
    """The platform of most journeys. A module may run one with other settings, and then names another database."""
    state = tmp_path_factory.mktemp("state")
    with running(state, receiver, database="journeys", CRASHPOINTS=str(crashpoints)) as platform:
        yield platform


@pytest.fixture(scope="session")
def platform_database() -> str:
    """The name of the platform's database."""
    return "journeys"


@pytest.fixture
def journeys_database(platform: Platform, platform_database: str, django_db_blocker: Any) -> Iterator[None]:
    """Let the test look at, and add to, the platform's own rows."""
    usual = connection.settings_dict["NAME"]
    connection.close()
    connection.settings_dict["NAME"] = platform_database
    with django_db_blocker.unblock():
        yield
        connection.close()
    connection.settings_dict["NAME"] = usual


@pytest.fixture
def hire(platform: Platform, receiver: Receiver, journeys_database: None) -> Iterator[Callable[..., Integrator]]:
    """Make a customer with funds, an application, a key; the journey ends with the auditor."""

    def make(name: str = "acme", *, funds: str = "100", answer: str = "/answer", **limits: Any) -> Integrator:
        limits = {"max_concurrent_calls": 1000, "max_cps": 1000, "caller_id_policy": "any", **limits}
        customer = factories.CustomerFactory(name=name, **limits)
        Balance.objects.create(
            customer=customer, deck=RateDeck.objects.get(name="Standard"), currency="USD", day_cap=None
        )
        factories.top_up(customer, funds)
        application = factories.ApplicationFactory(
            customer=customer,
            answer_url=receiver.url(answer),
            webhook_url=receiver.url("/webhooks"),
            webhook_secret=SECRET,
        )
        base_url = f"http://127.0.0.1:{platform.port}"
        return Integrator(base_url, factories.issue_key(application), customer, application)

    yield make
    assert [finding for finding in audit.run() if finding.violations] == []
    assert receiver.forged == []


def _new(database: str) -> str:
    """Make a database on the test run's server, with nothing in its tables; return its address."""
    server = psycopg2.connect(**{**connection.get_connection_params(), "dbname": "postgres"})
    server.autocommit = True
    with server.cursor() as cursor:
        cursor.execute(f"DROP DATABASE IF EXISTS {database}")
        cursor.execute(f"CREATE DATABASE {database} TEMPLATE {servers.template() or 'template1'}")
    server.close()
    return urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{database}").geturl()
