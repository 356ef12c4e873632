"""Exports at the console: a customer's rows or everybody's, of whole days, by those who may."""

import csv
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from io import BytesIO, StringIO

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.urls import reverse
from openpyxl import load_workbook

from applications import jobs
from applications.models import Job
from billing import ledger
from billing.models import Entry
from calls import rollup
from calls.models import Reason, Status
from tests.console.conftest import NOW, Cast, make_call
from tests.factories import ApplicationFactory, CustomerFactory, open_account

pytestmark = pytest.mark.django_db(transaction=True)

PERMISSIONS = ("applications.export", "applications.view_job", "applications.view_customer")
MARCH = {"first": "2026-03-01", "last": "2026-03-31", "form": "csv"}
EVERYBODYS = "admin:applications_job_export"


def customer_url(cast: Cast) -> str:
    return reverse("admin:applications_customer_export", args=[cast.customer.pk])


def exported(browser: Client, url: str, **wanted: str) -> bytes:
    """The file that comes of an export."""
    answer = browser.post(url, {"what": "calls", **MARCH, **wanted})
    assert answer.status_code == 302, answer.content.decode()
    assert jobs.drain()
    job = Job.objects.latest("id")
    assert job.state == Job.State.DONE, job.line
    assert job.file_name == f"{wanted.get('what', 'calls')}-2026-03-01-2026-03-31.{wanted.get('form', 'csv')}"
    download = browser.get(reverse("admin:applications_job_download", args=[job.pk]))
    content: bytes = b"".join(download.streaming_content)
    return content


def rows(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(StringIO(content.decode())))


def test_a_customers_calls_of_the_period_and_no_others(root: Client, cast: Cast) -> None:
    talk = {"status": Status.COMPLETED, "end_reason": Reason.HANGUP, "duration_seconds": 61, "billable_seconds": 120}
    talked = make_call(cast, 1, **talk, cost_amount=Decimal("0.024"), from_number="=1+2")
    busy = make_call(cast, 2)
    make_call(cast, 3, accepted_at=datetime(2026, 4, 1, tzinfo=UTC))
    make_call(cast, 4, accepted_at=datetime(2026, 2, 28, 23, 59, 59, tzinfo=UTC))
    stranger = CustomerFactory(name="globex")
    make_call(cast, 5, customer=stranger, application=ApplicationFactory(customer=stranger))
    found = rows(exported(root, customer_url(cast)))
    assert [row["call_id"] for row in found] == [talked.public_id, busy.public_id]
    assert {name: found[0][name] for name in ("cost_amount", "billsec_seconds", "accepted_at", "from", "to")} == {
        "cost_amount": "0.024",
        "billsec_seconds": "120",
        "accepted_at": "2026-03-04T05:06:08.000Z",
        "from": "'=1+2",
        "to": "+15559990001",
    }
    assert found[1]["sip_code"] == "486"
    said = LogEntry.objects.get(object_id=str(cast.customer.pk), content_type__model="customer")
    assert said.change_message == "export asked for: Calls of acme, 2026-03-01 to 2026-03-31"


def test_everybodys_ledger_adds_up(root: Client, cast: Cast) -> None:
    other = CustomerFactory(name="globex")
    open_account(other, funds="5.000001")
    first = Entry.objects.earliest("id").created_at.date().isoformat()
    answer = root.post(reverse(EVERYBODYS), {"what": "ledger", "first": first, "last": "2999-01-01", "form": "xlsx"})
    assert answer.status_code == 302
    assert jobs.drain()
    job = Job.objects.get()
    assert (job.state, job.line) == (Job.State.DONE, "2 rows.")
    sheet = load_workbook(BytesIO(jobs.result(job).read())).active
    head, *found = sheet.iter_rows(values_only=True)
    named = [dict(zip(head, row, strict=True)) for row in found]
    assert [(row["customer"], row["amount"], row["balance_after"]) for row in named] == [
        ("acme", 10, 10),
        ("globex", 5.000001, 5.000001),
    ]
    assert job.title == f"Ledger of all customers, {first} to 2999-01-01"
    assert LogEntry.objects.get(content_type__model="job").change_message == f"asked for: {job.title}"


def test_usage_by_day_is_that_of_the_rollup(root: Client, cast: Cast) -> None:
    call = make_call(cast, 1, duration_seconds=61, billable_seconds=120, cost_amount=Decimal("0.024"))
    rollup.add(call, settled_at=NOW)
    (row,) = rows(exported(root, customer_url(cast), what="usage"))
    assert (row["day"], row["destination"], row["calls"], row["cost_amount"], row["currency"]) == (
        "2026-03-04",
        "1555",
        "1",
        "0.024",
        "USD",
    )


def test_numbers_are_masked_for_those_who_may_not_see_them(staff: Callable[..., Client], cast: Cast) -> None:
    make_call(cast, 1)
    (row,) = rows(exported(staff(*PERMISSIONS), customer_url(cast)))
    assert row["to"] == "+1555•••0001"
    (row,) = rows(exported(staff(*PERMISSIONS, "applications.see_numbers"), customer_url(cast)))
    assert row["to"] == "+15559990001"


def test_numbers_that_staff_wrote_down_are_masked_as_on_the_ledgers_page(
    staff: Callable[..., Client], cast: Cast
) -> None:
    ledger.post(
        customer_id=cast.customer.pk,
        kind=Entry.Kind.TOP_UP,
        amount=Decimal(5),
        key="five",
        reference="2026-0001234567",
        note="after the call to +15559990001",
        now=NOW,
    )
    (row,) = rows(exported(staff(*PERMISSIONS), customer_url(cast), what="ledger"))
    assert row["note"] == "after the call to +1555•••0001"
    assert row["reference"] == "2026-0001234567"


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"last": "2026-02-01"}, "is before the first day"),
        ({"last": "9999-12-31"}, "less than or equal to"),
        ({"first": "soon"}, "Enter a valid date"),
        ({"what": "keys"}, "is not one of the available choices"),
        ({"form": "pdf"}, "is not one of the available choices"),
    ],
)
def test_refuses_what_cannot_be_exported(root: Client, cast: Cast, wrong: dict[str, str], said: str) -> None:
    answer = root.post(customer_url(cast), {"what": "calls", **MARCH, **wrong})
    assert said in answer.content.decode()
    assert not Job.objects.exists()


def test_only_those_who_may_export(staff: Callable[..., Client], cast: Cast) -> None:
    support = staff("applications.view_job", "applications.view_customer", "billing.view_entry", "calls.view_call")
    for url in (customer_url(cast), reverse(EVERYBODYS)):
        assert support.get(url).status_code == 403
        assert support.post(url, {"what": "calls", **MARCH}).status_code == 403
    assert "Export" not in support.get(reverse("admin:applications_job_changelist")).content.decode()
    assert not Job.objects.exists()
