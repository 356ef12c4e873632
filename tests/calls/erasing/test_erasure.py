"""A person's number goes from everything that is kept; money stays; what is live or in use is told of."""

import re
from io import StringIO

import pytest
from django.apps import apps
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import connection

from applications.models import Customer, Job, Notice
from billing.models import Balance, Entry
from calls import books
from calls.erasing import spellings, tables
from calls.erasing.erasure import ERASED, TOLD
from calls.models import Call, IdempotencyKey, Recording
from minivoice import clock
from tests.calls.exchange import Hall, channel_of, leg_of
from tests.calls.recordings.tape import shown
from tests.conftest import Actor
from webhooks.models import DeliveryAttempt, WebhookEvent

PERSON = "+15557654321"  # who calls in (see Hall)
OTHER = "+15551230002"
NUMBER = "+15551230001"

# Columns of texts that no number of a person comes into: our own words, ids, patterns and what staff sign in with
NEVER = {
    *("applications.Customer.contact_email", "applications.Customer.funds_warning"),
    *("applications.Customer.allowed_countries", "applications.Customer.blocked_prefixes"),
    *("applications.ApiKey.scopes", "applications.Application.webhook_events"),
    *("applications.Application.webhook_secret", "applications.Application.previous_webhook_secret"),
    *("applications.ApiKey.name", "applications.ApiKey.prefix", "applications.ApiKey.last_four"),
    *("applications.Notice.recipient", "applications.Notice.copy_to", "applications.Job.kind"),
    *("webhooks.WebhookEvent.type", "webhooks.WebhookEvent.call_id", "webhooks.WebhookEvent.error"),
    *("webhooks.DeliveryAttempt.error", "calls.Call.rate_prefix", "calls.Call.currency", "calls.UsageDay.rate_prefix"),
    *("calls.Refusal.code", "calls.Attempt.channel_name", "calls.CallEvent.kind", "calls.KeptSince.kind"),
    *("calls.AuditRun.violations", "calls.Reconciliation.differences", "calls.Conference.room"),
    *("admin.LogEntry.object_id", "billing.Entry.call_id", "billing.Approval.call_id", "telephony.Number.provider"),
}
OURS = {"applications", "webhooks", "billing", "telephony", "calls", "admin"}
# What tells of live calls only, or is money, prices and the engine
LEFT = {"calls.Flow", "billing.RateDeck", "billing.DeckVersion", "billing.Rate", "billing.Balance", "telephony.Engine"}


def erase(*options: str, number: str = PERSON) -> str:
    """Run the command; return what it says."""
    said = StringIO()
    call_command("erase_number", number, *options, stdout=said, stderr=StringIO())
    return said.getvalue()


@pytest.fixture
def traces(hall: Hall, acme: Actor) -> dict[str, Call]:
    """The person comes in by every door; the calls are over."""
    Customer.objects.update(verified_caller_ids=[NUMBER])
    came_in = hall.call_in(NUMBER)
    variables = {"set_variables": {"variables": {"who": "1 555 765 4321", "is": True}}}
    hall.instruct(came_in, variables, {"transfer": {"destination": OTHER}})
    hall.engine.end(channel_of(came_in))
    hall.settle()
    dialled = place(hall, acme, to=OTHER)
    hall.instruct(dialled, {"transfer": {"destination": PERSON}})
    leg = leg_of(dialled)
    hall.engine.answer_far_end(channel_of(leg))
    hall.settle()
    hall.engine.end(channel_of(dialled))
    hall.settle()
    refused = {"from": NUMBER, "to": PERSON}
    Customer.objects.update(allowed_countries=["DE"])
    assert acme.client().post("/v1/calls", refused, format="json").status_code == 403
    Customer.objects.update(allowed_countries=[])
    shown(dialled)
    _left_by_staff_and_others(acme)
    return {"came in": came_in, "dialled": dialled, "leg": leg}


def place(hall: Hall, actor: Actor, *, to: str) -> Call:
    """Place a call by the API with the number in everything that a customer may choose, and have it answered."""
    body = {
        "from": NUMBER,
        "to": to,
        "metadata": {"phone": "(555) 765-4321", "number": 15557654321, PERSON: ["5557654321"]},
        "answer_url": "https://example.test/answer?who=%2B15557654321",
    }
    key = {"Idempotency-Key": f"call {PERSON}"}
    answer = actor.client().post("/v1/calls", body, format="json", headers=key)
    assert answer.status_code == 201, answer.json()
    hall.settle()
    call = Call.objects.get(public_id=answer.json()["id"])
    hall.engine.answer_far_end(channel_of(call))
    hall.settle()
    return call


def _left_by_staff_and_others(actor: Actor) -> None:
    user, now = User.objects.create_user("ada"), clock.now()
    LogEntry.objects.create(
        user=user, object_id="1", object_repr=PERSON, action_flag=2, change_message=f"rang {PERSON}"
    )
    Job.objects.create(
        kind="x", title=f"Calls of {PERSON}", params={"q": PERSON}, asked_by=user, created_at=now, expires_at=now
    )
    Notice.objects.create(
        customer=actor.customer, kind="low", day=now.date(), subject="x", text=f"call {PERSON}", created_at=now
    )
    for event in WebhookEvent.objects.all():
        DeliveryAttempt.objects.create(
            event=event, number=1, started_at=now, duration_ms=1, response=f"no {PERSON} here"
        )


def places_of(number: str) -> set[str]:
    """Look through the whole database as text, bytes too; return the tables that have the number."""
    spelling = re.compile(spellings.pattern(number))
    in_hex = number[1:].encode().hex()
    found = set()
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names():
            dump = StringIO()
            cursor.copy_expert(f"COPY {table} TO STDOUT", dump)
            text = dump.getvalue()
            if spelling.search(text) or in_hex in text:
                found.add(table)
    return found


EVERYWHERE = {
    *("calls_call", "calls_callevent", "calls_refusal", "calls_idempotencykey"),
    *("webhooks_webhookevent", "webhooks_deliveryattempt"),
    *("applications_notice", "applications_job", "django_admin_log"),
}


def test_nothing_is_left_of_a_number_and_the_money_stays(traces: dict[str, Call], acme: Actor) -> None:
    assert places_of(PERSON) == EVERYWHERE
    money = [list(Entry.objects.order_by("pk").values()), list(Balance.objects.values())]

    said = erase("--yes")

    assert places_of(PERSON) == set()
    assert "calls: 3 rewritten" in said
    assert "recordings: 1 are being erased" in said
    assert [list(Entry.objects.order_by("pk").values()), list(Balance.objects.values())] == money
    with books.snapshot() as cursor:
        assert books.differences(cursor) == []
    assert Recording.objects.get().state == Recording.State.DELETED
    assert not IdempotencyKey.objects.exists()
    assert "nothing to erase" in erase("--yes")


def test_what_is_left_is_still_answered(traces: dict[str, Call], acme: Actor) -> None:
    erase("--yes")

    for name, parties in {"came in": ("erased", NUMBER), "leg": (NUMBER, "erased"), "dialled": (NUMBER, OTHER)}.items():
        url = f"/v1/calls/{traces[name].public_id}"
        call = acme.client().get(url).json()
        assert (call["from"], call["to"]) == parties
        assert acme.client().get(f"{url}/events").status_code == 200
    assert call["metadata"] == {"phone": "erased", "number": "erased", "erased": ["erased"]}
    assert call["answer_url"] == "https://example.test/answer?who=erased"
    deliveries = acme.client().get("/v1/webhooks/deliveries").json()["data"]
    bodies = [acme.client().get(f"/v1/webhooks/deliveries/{each['id']}").json() for each in deliveries]
    assert len(bodies) == WebhookEvent.objects.count()


def test_a_dry_run_counts_and_changes_nothing(traces: dict[str, Call]) -> None:
    said = erase()

    assert places_of(PERSON) == EVERYWHERE
    assert "calls: 3 would be rewritten" in said
    assert "recordings: 1 would be erased" in said
    assert "With --yes it is done" in said
    assert Recording.objects.get().state == Recording.State.COMPLETED


def test_of_one_customer_the_others_rows_stay(traces: dict[str, Call], acme: Actor, globex: Actor) -> None:
    assert erase("--yes", "--customer", globex.customer.public_id).startswith("nothing to erase")
    erase("--yes", "--customer", acme.customer.public_id)

    assert places_of(PERSON) == {"applications_job", "django_admin_log"}


def test_live_calls_are_refused_and_nothing_is_changed(traces: dict[str, Call], hall: Hall) -> None:
    live = hall.call_in(NUMBER)

    with pytest.raises(CommandError, match=f"are up, and nothing was changed: {live.public_id}"):
        erase("--yes")
    assert places_of(PERSON) >= EVERYWHERE

    hall.engine.end(channel_of(live))
    hall.settle()
    erase("--yes")
    assert places_of(PERSON) == set()


def test_a_number_in_use_is_told_of_and_left(traces: dict[str, Call], acme: Actor) -> None:
    said = erase("--yes", number=NUMBER)

    assert "left as they are: 1 numbers with the number" in said
    assert "left as they are: 1 customers with the number" in said
    assert places_of(NUMBER) == {"telephony_number", "applications_customer"}


def test_goes_on_batch_by_batch(traces: dict[str, Call], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "BATCH", 2)
    erase("--yes")
    assert places_of(PERSON) == set()


@pytest.mark.parametrize("wrong", [["15557654321"], ["+1"], ["x"], [PERSON, "--customer", "cust_nobody"]])
def test_refuses_what_it_does_not_understand(db: None, wrong: list[str]) -> None:
    with pytest.raises(CommandError):
        erase(*wrong[1:], number=wrong[0])


def test_a_caller_id_that_was_taken_from_a_customer_goes_from_its_history(acme: Actor) -> None:
    customer = acme.customer
    for ids in ([PERSON], []):
        customer.verified_caller_ids = ids
        customer.save()

    erase("--customer", customer.public_id, "--yes")

    kept = customer.history.order_by("history_id").values_list("verified_caller_ids", flat=True)
    assert list(kept)[-2:] == [["erased"], []]


def test_every_column_of_text_is_seen_to() -> None:
    """A new column must be given to the erasure, or be named here with those that hold no person's number."""
    seen_to = {
        f"{model._meta.label}.{name}" for part in (ERASED, TOLD) for model, names in part.items() for name in names
    }
    ours = [
        model for model in apps.get_models() if model._meta.app_label in OURS and not hasattr(model, "history_date")
    ]
    columns = {
        f"{model._meta.label}.{name}" for model in ours if model._meta.label not in LEFT for name in tables.texts(model)
    }
    kept_by_trunks = {column for column in columns if column.startswith("telephony.Trunk.")}
    assert columns - kept_by_trunks - seen_to - NEVER == set()
