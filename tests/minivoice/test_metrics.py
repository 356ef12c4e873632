"""What Prometheus is told, to whom, and what asking costs."""

import os
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.db.models import F
from django.test import Client
from django.test.utils import CaptureQueriesContext
from prometheus_client.parser import text_string_to_metric_families

from calls import timeline
from calls.models import Attempt, AuditRun, Call, Reconciliation
from minivoice import clock, figures
from telephony.models import Engine
from tests.calls import steps
from tests.conftest import Actor
from webhooks.models import DeliveryAttempt, WebhookEvent

TOKEN = "a-token-of-the-tests-of-some-length"
MOST_BLOCKS = 2000  # of 8 KiB, for one figure
ROWS = int(os.environ.get("ROWS", "50_000"))

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def token(settings: Any) -> None:
    settings.METRICS_TOKEN = TOKEN


def scrape() -> dict[tuple[str, tuple[str, ...]], float]:
    """Ask for the figures as Prometheus does: name and label values → value."""
    response = Client().get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
    assert response.status_code == 200
    assert response["Content-Type"].startswith("text/plain; version=")
    return {
        (sample.name, tuple(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(response.content.decode())
        for sample in family.samples
    }


def read(name: str) -> dict[tuple[Any, ...], Any]:
    """Read one figure in this test's transaction: labels → value."""
    figure = next(figure for figure in figures.readable(database=True, redis=True) if figure.name == name)
    return {tuple(labels): value for *labels, value in figure.read()}


def began() -> datetime:
    """Return when this test's transaction began: what `now()` means to all that it asks the database."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT now()")
        [(moment,)] = cursor.fetchall()
    assert isinstance(moment, datetime)
    return moment


def test_a_stranger_is_told_nothing() -> None:
    for given in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {TOKEN}"}):
        response = Client().get("/metrics", headers=given)
        assert response.status_code == 401
        assert b"minivoice_" not in response.content


def test_without_a_token_there_are_no_figures(settings: Any) -> None:
    settings.METRICS_TOKEN = ""
    for given in ({}, {"Authorization": "Bearer "}):
        assert Client().get("/metrics", headers=given).status_code == 404


def test_counts_requests_by_route_and_never_by_path(acme: Actor) -> None:
    before = scrape()
    for path in ("call_20260529T120000.786004013", "call_20260529T120000.786004014"):
        acme.client().get(f"/v1/calls/{path}")
    Client().get("/made-up/by-a-stranger")
    Client().generic("BREW", "/healthz")
    after = scrape()

    def grown(*labels: str) -> float:
        name = "minivoice_http_requests_total"
        return after.get((name, labels), 0) - before.get((name, labels), 0)

    assert grown("GET", "v1/calls/<str:call_id>", "404") == 2
    assert grown("GET", "none", "404") == 1
    assert grown("other", "healthz", "200") == 1
    assert ("minivoice_http_request_seconds_count", ("healthz",)) in after
    assert not any("20260529" in label or "made-up" in label for _, labels in after for label in labels)


@pytest.mark.usefixtures("nobody_dials")
@pytest.mark.django_db(transaction=True)
def test_tells_what_the_rows_say(acme: Actor) -> None:
    steps.place(acme)

    told = scrape()

    assert told["minivoice_calls_live", ("outbound", "queued")] == 1
    assert told["minivoice_attempts_due", ()] == 1
    assert told["minivoice_up", ("database",)] == told["minivoice_up", ("engine",)] == 1
    assert told["minivoice_up", ("redis",)] == 1
    assert told["minivoice_webhooks_pending", ()] == WebhookEvent.objects.filter(status="pending").count()
    assert told["minivoice_figures_failed", ()] == 0
    assert ("minivoice_queue_tasks", ("dial",)) in told


@pytest.mark.usefixtures("nobody_dials")
def test_counts_the_calls_that_ended_by_reason(acme: Actor) -> None:
    call = steps.place(acme)
    acme.client().post(f"/v1/calls/{call.public_id}/hangup")
    assert read("minivoice_calls_ended_5m") == {("canceled", "canceled"): 1}

    Call.objects.update(settled_at=F("settled_at") - timedelta(minutes=6))
    assert read("minivoice_calls_ended_5m") == {}


@pytest.mark.usefixtures("nobody_dials")
def test_counts_refused_calls_by_code(acme: Actor, call_body: dict[str, Any]) -> None:
    refused = acme.client().post("/v1/calls", call_body | {"to": "+881612345678"}, format="json")
    assert read("minivoice_calls_refused_5m") == {(refused.json()["error"]["code"],): 1}


@pytest.mark.usefixtures("nobody_dials")
def test_counts_what_was_mended(acme: Actor) -> None:
    for kind, reason in (("cut_early", "out_of_funds"), ("channel_lost", "engine_lost")):
        call = steps.place(acme)
        acme.client().post(f"/v1/calls/{call.public_id}/hangup")
        Call.objects.filter(pk=call.pk).update(end_reason=reason)
        timeline.add(call, kind, at=clock.now())

    assert read("minivoice_calls_mended_5m") == {("cut_early",): 1, ("channel_lost",): 1}


@pytest.mark.usefixtures("nobody_dials")
def test_tells_how_long_dialling_took_and_what_a_sweep_dialled(acme: Actor) -> None:
    call = steps.place(acme)
    at = call.accepted_at
    Call.objects.update(dialing_at=at + timedelta(seconds=0.25), ringing_at=at + timedelta(seconds=1.25))
    Attempt.objects.update(state="claimed", claimed_at=F("due_at") + timedelta(seconds=3))

    assert read("minivoice_dial_seconds") == {(quantile,): pytest.approx(0.25) for quantile in ("0.5", "0.95", "0.99")}
    assert read("minivoice_ring_seconds")["0.99",] == pytest.approx(1)
    assert read("minivoice_attempts_swept_5m") == {(): 1}


@pytest.mark.usefixtures("nobody_dials")
def test_tells_how_old_the_backlog_is_and_how_long_deliveries_took(acme: Actor) -> None:
    steps.place(acme)
    now = began()
    WebhookEvent.objects.update(status="pending", next_attempt_at=now - timedelta(seconds=90), delivered_at=None)
    assert 89 < read("minivoice_webhooks_due_seconds")[()] < 100

    event = WebhookEvent.objects.get()
    DeliveryAttempt.objects.create(event=event, number=1, started_at=now, duration_ms=5, http_status=200)
    WebhookEvent.objects.update(
        status="delivered", next_attempt_at=None, created_at=now, delivered_at=now + timedelta(seconds=2)
    )
    assert read("minivoice_webhooks_due_seconds") == {(): 0}
    assert read("minivoice_webhook_delivery_seconds")["0.5",] == pytest.approx(2)


def test_tells_of_the_engine_and_the_books(world: None) -> None:
    now = began()
    Engine.objects.update(seen_at=now - timedelta(seconds=30))
    Reconciliation.objects.create(ran_at=now - timedelta(hours=1), differences_found=3, differences=[])

    assert 29 < float(read("minivoice_engine_silence_seconds")["engine",]) < 40
    for minutes, violations in [(61, 5), (59, 2), (1, 0)]:
        AuditRun.objects.create(ran_at=now - timedelta(minutes=minutes), violations_found=violations)
    for hours, violations in [(25, 7), (1, 4)]:
        AuditRun.objects.create(ran_at=now - timedelta(hours=hours), violations_found=violations, is_whole=True)
    assert read("minivoice_audit_all_violations") == {(): 4}
    assert 3599 < float(read("minivoice_audit_all_age_seconds")[()]) < 3610
    assert read("minivoice_audit_violations_1h") == {(): 2}
    assert 59 < float(read("minivoice_audit_age_seconds")[()]) < 70
    assert read("minivoice_books_differences") == {(): 3}
    assert 3599 < float(read("minivoice_books_age_seconds")[()]) < 3610


def test_a_figure_that_cannot_be_read_keeps_no_other_away(monkeypatch: pytest.MonkeyPatch) -> None:
    told, labels, _ = figures._QUESTIONS["attempts_due"]
    monkeypatch.setitem(figures._QUESTIONS, "attempts_due", (told, labels, "SELECT pg_sleep(30)"))
    monkeypatch.setattr(figures, "MOST_MILLISECONDS", 2000)  # which no other takes on a busy machine either

    after = scrape()

    assert after["minivoice_figures_failed", ()] == 1
    assert ("minivoice_attempts_due", ()) not in after
    assert after["minivoice_webhooks_pending", ()] == 0


PAST = "now() - interval '1 day' + n * interval '0.5 seconds'"
NTH = "'many_' || n"
UUID = "gen_random_uuid()"
NTH_CALL = "(SELECT min(id) FROM calls_call) + n"
COPIES = {
    "calls_call": {"settled_at": PAST, "accepted_at": PAST, "public_id": NTH, "provider_call_id": UUID},
    "calls_attempt": {"call_id": NTH_CALL, "channel_id": UUID, "due_at": PAST},
    "calls_callevent": {"call_id": NTH_CALL, "at": PAST},
    "webhooks_webhookevent": {
        **dict.fromkeys(["public_id", "delivery_id", "call_id"], NTH),
        **dict.fromkeys(["created_at", "delivered_at"], PAST),
        "status": "'delivered'",
        "next_attempt_at": "NULL",
    },
}
COLUMNS = """
    SELECT column_name FROM information_schema.columns
    WHERE table_name = %s AND is_generated = 'NEVER' AND column_name <> 'id'
"""


@pytest.fixture
def many(acme: Actor, nobody_dials: None) -> None:
    """Large tables of what is over: calls with an attempt, a timeline and a delivered event each."""
    call = steps.place(acme)
    acme.client().post(f"/v1/calls/{call.public_id}/hangup")
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")  # no trigger for each copy
        for table, changes in COPIES.items():
            cursor.execute(COLUMNS, [table])
            columns = [name for (name,) in cursor.fetchall()]
            values = ", ".join(changes.get(name, f'row."{name}"') for name in columns)
            names = ", ".join(f'"{name}"' for name in columns)
            cursor.execute(
                f"INSERT INTO {table} ({names}) SELECT {values} FROM generate_series(1, {ROWS}) AS n,"
                f" (SELECT * FROM {table} ORDER BY id LIMIT 1) AS row"
            )
            cursor.execute(f"ANALYZE {table}")
        cursor.execute("SET LOCAL session_replication_role = origin")


@pytest.mark.usefixtures("many")
def test_a_scrape_costs_no_more_on_large_tables() -> None:
    for figure in figures.readable(database=True, redis=False):
        with CaptureQueriesContext(connection) as asked:
            figure.read()
        question = next(query["sql"] for query in asked if "SELECT" in query["sql"] and "SET " not in query["sql"])
        with connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {question}")
            plan = cursor.fetchone()[0][0]["Plan"]
        blocks = plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]
        assert blocks < MOST_BLOCKS, (figure.name, blocks)
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = 0")  # this test is one transaction


def test_the_processes_of_one_web_are_counted_together(tmp_path: Path) -> None:
    script = f"""if True:
        import django; django.setup()
        from django.test import Client
        Client().get("/healthz")
        print(Client().get("/metrics", headers={{"Authorization": "Bearer {TOKEN}"}}).content.decode())
    """
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "minivoice.settings",
        "PROMETHEUS_MULTIPROC_DIR": str(tmp_path / "made"),
        "METRICS_TOKEN": TOKEN,
    }
    for count in (1, 2):
        told = subprocess.run(
            [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True, timeout=60
        ).stdout
        assert f'minivoice_http_requests_total{{method="GET",route="healthz",status="200"}} {count}.0' in told
