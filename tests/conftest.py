"""What every test may ask for."""

import math
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from rest_framework.test import APIClient
from whitenoise.base import WhiteNoise
from whitenoise.middleware import WhiteNoiseMiddleware

from applications.models import Application, Customer
from calls import audit
from minivoice import clock, lease, nudge
from minivoice.local import engine
from tests import factories, servers

pytest_plugins = ["tests.journeys.stage", "tests.stillness"]


@dataclass
class Actor:
    """A customer with an application, and its key."""

    customer: Customer
    application: Application
    key: str

    def client(self) -> APIClient:
        """A client of the API signed in with the key."""
        return APIClient(headers={"Authorization": f"Bearer {self.key}"})


def actor(name: str, *, funds: str) -> Actor:
    """Set up a customer that may call: an account with `funds`, an application, a key."""
    customer = factories.CustomerFactory(name=name)
    factories.open_account(customer, funds=funds)
    application = factories.ApplicationFactory(customer=customer)
    return Actor(customer, application, factories.issue_key(application))


def refusal(response: Any) -> tuple[int, str]:
    """Return status and code of a refusal, having checked that its envelope is exactly the documented one."""
    body = response.json()
    error = body["error"]
    assert set(body) == {"error"}
    assert set(error) - {"param", "call_id"} == {"code", "message", "request_id"}
    assert all(isinstance(value, str) and value for value in error.values())
    assert response["Content-Type"] == "application/json"
    assert response["X-Request-Id"] == error["request_id"]
    return response.status_code, error["code"]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say which engines kept the contract, if they were asked. Here, as workers alone read the conftest beside it."""
    reports = (report for kind in terminalreporter.stats.values() for report in kind)
    if any(getattr(report, "nodeid", "").startswith("tests/telephony/engines/") for report in reports):
        found = engine.find()
        real = found.name if found else "no real engine ('make engine' installs one)"
        terminalreporter.write_line(f"Contract suite: the simulator and {real}.")


@pytest.fixture(scope="session", autouse=True)
def _static_files_are_found_once() -> Iterator[None]:
    """Every client of a test loads the middleware, and WhiteNoise then looks for all static files: 40 ms each time."""
    find = WhiteNoiseMiddleware.add_files_from_finders
    found: dict[str, Any] = {}

    def find_once(self: WhiteNoise) -> None:
        if not found:
            find(self)
            found.update(self.files)
        self.files.update(found)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(WhiteNoiseMiddleware, "add_files_from_finders", find_once)
        yield


@pytest.fixture(autouse=True)
def _redis_is_asked_again() -> None:
    """Nudges that an earlier test's slow Redis had made pause, for five seconds, do not pause in this one."""
    nudge._quiet_until = 0.0


@pytest.fixture
def world(db: None) -> None:
    """An engine that stays up, a platform trunk, and a rate for +1 at 0.60 a minute, 60/60."""
    factories.EngineFactory(seen_at=clock.now() + timedelta(hours=1))
    factories.TrunkFactory()
    factories.RateFactory()


@pytest.fixture
def acme(world: None) -> Actor:
    """The customer: 100 USD, the number +15551230001."""
    acme = actor("acme", funds="100")
    factories.NumberFactory(customer=acme.customer, application=acme.application)
    return acme


@pytest.fixture
def globex(world: None) -> Actor:
    """The stranger."""
    return actor("globex", funds="100")


@pytest.fixture
def call_body() -> dict[str, Any]:
    """The documentation's own call."""
    return {"from": "+15551230001", "to": "+15551230002"}


@pytest.fixture
def nobody_dials(settings: Any) -> None:
    """No worker runs in this test: a create does not wait for the engine's word."""
    settings.ORIGINATE_WAIT_SECONDS = 0.01


@pytest.fixture
def audited(transactional_db: None) -> Iterator[None]:
    """A test of committed rows that ends with the auditor: every promise holds."""
    yield
    assert [finding for finding in audit.run() if finding.violations] == []


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings: None) -> None:
    """Copy the tables that are there, rather than migrate again."""
    connection.settings_dict["TEST"]["TEMPLATE"] = servers.template()


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: Any) -> None:
    """Let tests of committed rows empty the tables: entries refuse TRUNCATE outside tests."""
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        cursor.execute("ALTER TABLE billing_entry DISABLE TRIGGER entry_not_truncated")


@pytest.fixture
def a_lease(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A lease that is put back after the test; what would end this process is remembered."""
    ends: list[str] = []
    monkeypatch.setattr(lease, "_ends_at_seconds", math.inf)
    monkeypatch.setattr(lease, "_given_up", threading.Event())
    monkeypatch.setattr(lease, "_runs", threading.Event())
    lease.renew(since_seconds=0, lease_seconds=math.inf)
    monkeypatch.setattr(lease, "lose", ends.append)
    return ends
