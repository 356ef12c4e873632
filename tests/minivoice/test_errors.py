"""The catalogue: every code has its status for good, and every code can be met."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from django.conf import settings
from django.db import connection, connections
from rest_framework.test import APIClient

from applications import views
from applications.models import Customer
from billing import ledger
from billing.models import Balance, Entry, Rate
from calls import dialing
from calls.models import Attempt, Call
from minivoice import clock, errors
from telephony import link
from telephony.engines.facts import Answer, EngineUnreachable
from telephony.models import Engine, Trunk
from tests import factories
from tests.calls import steps
from tests.calls.recordings.tape import Tape, kept
from tests.calls.steps import FakeEngine
from tests.conftest import Actor, refusal

STATUSES = {
    "invalid_json": 400,
    "invalid_request": 400,
    "invalid_action": 400,
    "rate_not_found": 400,
    "no_active_trunk": 400,
    "unauthorized": 401,
    "insufficient_balance": 402,
    "spend_control_exceeded": 403,
    "destination_blocked": 403,
    "caller_id_not_allowed": 403,
    "account_suspended": 403,
    "scope_required": 403,
    "not_found": 404,
    "call_not_found": 404,
    "active_call_not_found": 404,
    "recording_not_started": 404,
    "method_not_allowed": 405,
    "gateway_name_exists": 409,
    "trunk_limit_reached": 409,
    "inbound_ip_exists": 409,
    "call_uuid_missing": 409,
    "call_already_ended": 409,
    "idempotency_in_progress": 409,
    "payload_too_large": 413,
    "unsupported_media_type": 415,
    "range_not_satisfiable": 416,
    "idempotency_key_reused": 422,
    "cps_limit_reached": 429,
    "concurrent_call_limit_reached": 429,
    "internal_error": 500,
    "originate_failed": 502,
    "recording_start_failed": 502,
    "recording_stop_failed": 502,
    "unavailable": 503,
}
CALL = {"from": "+15551230001", "to": "+15551230002"}
RETRY_AFTER = {"cps_limit_reached", "concurrent_call_limit_reached", "idempotency_in_progress", "unavailable"}

Situation = Callable[[Actor, pytest.MonkeyPatch], Any]


def call(acme: Actor, **changes: Any) -> Any:
    return acme.client().post("/v1/calls", {**CALL, **changes}, format="json")


def raw(acme: Actor, body: bytes, content_type: str = "application/json") -> Any:
    return acme.client().generic("POST", "/v1/calls", body, content_type=content_type)


def rate_not_found(acme: Actor, patch: pytest.MonkeyPatch) -> Any:
    return call(acme, to="+442071838750")


def no_active_trunk(acme: Actor, patch: pytest.MonkeyPatch) -> Any:
    Trunk.objects.update(is_active=False)
    return call(acme)


def unauthorized(acme: Actor, patch: pytest.MonkeyPatch) -> Any:
    return APIClient().post("/v1/calls", CALL, format="json")


def insufficient_balance(acme: Actor, patch: pytest.MonkeyPatch) -> Any:
    ledger.post(
        customer_id=acme.customer.pk,
        kind=Entry.Kind.ADJUSTMENT,
        amount=Decimal("-99.401"),
        key=str(uuid4()),
        now=clock.now(),
    )
    return call(acme)


def spend_control_exceeded(acme: Actor, patch: pytest.MonkeyPatch) -> Any:
    Balance.objects.update(day_cap=Decimal("0.59"))
    return call(acme)


def destination_blocked(acme: Actor, patch: pytest.MonkeyPatch) -> Any:
    Rate.objects.update(blocked=True)
    return call(acme)


def caller_id_not_allowed(acme: Actor, patch: pytest.MonkeyPatch) -> Any:
    return call(acme, **{"from": "+15551239999"})


def account_suspended(acme: Actor, patch: pytest.MonkeyPatch) -> Any:
    Customer.objects.update(status=Customer.Status.SUSPENDED)
    return call(acme)


def scope_required(acme: Actor, patch: pytest.MonkeyPatch) -> Any:
    key = factories.issue_key(acme.application, "manage")
    return call(Actor(acme.customer, acme.application, key))


def cps_limit_reached(acme: Actor, patch: pytest.MonkeyPatch) -> Any:
    Customer.objects.update(max_cps=1)
    assert call(acme).status_code == 201
    steps.keep_within_a_second()
    return call(acme)


def concurrent_call_limit_reached(acme: Actor, patch: pytest.MonkeyPatch) -> Any:
    Customer.objects.update(max_concurrent_calls=1)
    assert call(acme).status_code == 201
    return call(acme)


def call_already_ended(acme: Actor, patch: pytest.MonkeyPatch) -> Any:
    path = f"/v1/calls/{call(acme).json()['id']}"
    assert acme.client().post(f"{path}/hangup").status_code == 200
    return acme.client().post(f"{path}/actions", {"actions": []}, format="json")


def keyed(acme: Actor, **changes: Any) -> Any:
    return acme.client().post("/v1/calls", {**CALL, **changes}, format="json", headers={"Idempotency-Key": "order-1"})


def up(acme: Actor, patch: pytest.MonkeyPatch) -> tuple[Call, Tape]:
    """A call that is up, and its engine."""
    engine = Tape()
    patch.setattr(link, "adapter", lambda: engine)
    row = steps.dial(acme)
    steps.answer(row, at=clock.now())
    return row, engine


def record(acme: Actor, row: Call, action: object) -> Any:
    return acme.client().post(f"/v1/calls/{row.public_id}/recordings", {"action": action}, format="json")


def recording_start_failed(acme: Actor, patch: pytest.MonkeyPatch) -> Any:
    row, engine = up(acme, patch)
    engine.fails_with["snoop"] = EngineUnreachable("the innermost secret")
    return record(acme, row, "start")


def recording_stop_failed(acme: Actor, patch: pytest.MonkeyPatch) -> Any:
    row, engine = up(acme, patch)
    assert record(acme, row, "start").status_code == 200
    engine.fails_with["stop"] = EngineUnreachable("the innermost secret")
    return record(acme, row, "stop")


def active_call_not_found(acme: Actor, patch: pytest.MonkeyPatch) -> Any:
    path = f"/v1/calls/{call(acme).json()['id']}"
    assert acme.client().post(f"{path}/hangup").status_code == 200
    return acme.client().post(f"{path}/recordings", {"action": "start"}, format="json")


def range_not_satisfiable(acme: Actor, patch: pytest.MonkeyPatch) -> Any:
    recording = kept(up(acme, patch)[0])
    return acme.client().get(f"/v1/recordings/{recording.public_id}/audio", headers={"Range": "bytes=999999-"})


def idempotency_key_reused(acme: Actor, patch: pytest.MonkeyPatch) -> Any:
    assert keyed(acme).status_code == 201
    return keyed(acme, to="+15551230003")


def idempotency_in_progress(acme: Actor, patch: pytest.MonkeyPatch) -> Any:
    twin = connection.copy()
    try:
        with twin.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_lock(hashtextextended('order-1', %s))", [acme.application.pk])
        return keyed(acme)
    finally:
        twin.close()


def trunk_exists(acme: Actor, **column: str) -> Any:
    Trunk.objects.update(proxy="9.9.9.9")  # an address: no name server is asked
    factories.TrunkFactory(customer=acme.customer, **column)
    return acme.client().post("/v1/trunks", {"name": "x", "proxy": "8.8.4.4", **column}, format="json")


def trunk_limit_reached(acme: Actor, patch: pytest.MonkeyPatch) -> Any:
    patch.setattr(settings, "MOST_TRUNKS", 0)
    return acme.client().post("/v1/trunks", {"name": "x", "proxy": "8.8.4.4"}, format="json")


def unavailable(acme: Actor, patch: pytest.MonkeyPatch) -> Any:
    Engine.objects.update(seen_at=None)
    return call(acme)


def internal_error(acme: Actor, patch: pytest.MonkeyPatch) -> Any:
    def broken(row: object) -> None:
        raise RuntimeError("the innermost secret")

    patch.setattr(views, "render", broken)
    return acme.client().get("/v1/applications")


SITUATIONS: dict[str, Situation] = {
    "invalid_json": lambda acme, patch: raw(acme, b"{"),
    "invalid_request": lambda acme, patch: call(acme, to="5"),
    "rate_not_found": rate_not_found,
    "no_active_trunk": no_active_trunk,
    "unauthorized": unauthorized,
    "insufficient_balance": insufficient_balance,
    "spend_control_exceeded": spend_control_exceeded,
    "destination_blocked": destination_blocked,
    "caller_id_not_allowed": caller_id_not_allowed,
    "account_suspended": account_suspended,
    "scope_required": scope_required,
    "not_found": lambda acme, patch: acme.client().get("/v1/nothing"),
    "call_not_found": lambda acme, patch: acme.client().get("/v1/calls/call_20260529T120000.000000000"),
    "method_not_allowed": lambda acme, patch: acme.client().delete("/v1/balance"),
    "gateway_name_exists": lambda acme, patch: trunk_exists(acme, gateway_name="main"),
    "inbound_ip_exists": lambda acme, patch: trunk_exists(acme, inbound_ip="8.8.8.8"),
    "trunk_limit_reached": trunk_limit_reached,
    "invalid_action": lambda acme, patch: record(acme, steps.place(acme), "pause"),
    "active_call_not_found": active_call_not_found,
    "recording_not_started": lambda acme, patch: record(acme, up(acme, patch)[0], "stop"),
    "call_uuid_missing": lambda acme, patch: record(acme, steps.place(acme), "start"),
    "recording_start_failed": recording_start_failed,
    "recording_stop_failed": recording_stop_failed,
    "range_not_satisfiable": range_not_satisfiable,
    "call_already_ended": call_already_ended,
    "idempotency_in_progress": idempotency_in_progress,
    "idempotency_key_reused": idempotency_key_reused,
    "payload_too_large": lambda acme, patch: raw(acme, b" " * (64 * 1024 + 1)),
    "unsupported_media_type": lambda acme, patch: raw(acme, b"from=1", "application/x-www-form-urlencoded"),
    "cps_limit_reached": cps_limit_reached,
    "concurrent_call_limit_reached": concurrent_call_limit_reached,
    "internal_error": internal_error,
    "unavailable": unavailable,
}


def test_every_code_keeps_its_status() -> None:
    assert {code: error.status_code for code, error in errors.CATALOGUE.items()} == STATUSES


def test_every_code_has_a_situation() -> None:
    assert set(SITUATIONS) | {"originate_failed"} == set(errors.CATALOGUE)


@pytest.mark.django_db
@pytest.mark.usefixtures("nobody_dials")
@pytest.mark.parametrize("code", SITUATIONS)
def test_is_met_over_http(code: str, acme: Actor, monkeypatch: pytest.MonkeyPatch) -> None:
    response = SITUATIONS[code](acme, monkeypatch)

    assert refusal(response) == (STATUSES[code], code)
    assert response.has_header("Retry-After") == (code in RETRY_AFTER)
    assert "secret" not in response.content.decode()


@pytest.mark.usefixtures("audited")
def test_originate_failed_carries_the_call_it_failed(acme: Actor, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = FakeEngine()
    engine.answers.append(Answer.REFUSED)
    monkeypatch.setattr(link, "adapter", lambda: engine)
    with worker():
        response = call(acme)

    assert refusal(response) == (502, "originate_failed")
    found = acme.client().get(f"/v1/calls/{response.json()['error']['call_id']}").json()
    assert (found["status"], found["end_reason"], found["cost_amount"]) == ("failed", "originate_failed", "0.00")
    assert Balance.objects.get(customer=acme.customer).held == 0


@pytest.mark.usefixtures("audited", "nobody_dials")
def test_a_database_that_makes_us_wait_too_long_is_503_and_changes_nothing(acme: Actor) -> None:
    with locked_balance(), connection.cursor() as cursor:
        cursor.execute("SET lock_timeout = '50ms'")
        response = call(acme)
        cursor.execute("RESET lock_timeout")

    assert refusal(response) == (503, "unavailable")
    assert response["Retry-After"] == "2"
    assert not Attempt.objects.exists()


@contextmanager
def worker() -> Iterator[None]:
    """A thread that dials what is due, as a Celery worker does."""
    done = threading.Event()

    def work() -> None:
        while not dialing.drain() and not done.wait(0.01):
            pass
        connections.close_all()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


@contextmanager
def locked_balance() -> Iterator[None]:
    """Another transaction that holds every customer's balance row."""
    other = connection.copy()
    other.set_autocommit(False)
    try:
        with other.cursor() as cursor:
            cursor.execute("SELECT 1 FROM billing_balance FOR UPDATE")
        yield
    finally:
        other.rollback()
        other.close()
