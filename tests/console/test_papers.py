"""Statements and reconciliations at the console: asked for, made as jobs, by those who may."""

import re
from collections.abc import Callable
from decimal import Decimal

import pytest
from django.test import Client
from django.urls import reverse

from applications import jobs
from applications.models import Job
from billing.models import Balance
from calls import usage
from calls.models import Reconciliation
from minivoice import clock
from tests.console.conftest import Cast
from tests.console.pages import address

pytestmark = pytest.mark.django_db(transaction=True)

RECONCILE = "admin:calls_reconciliation_reconcile"


def statement_url(cast: Cast) -> str:
    return reverse("admin:applications_customer_statement", args=[cast.customer.pk])


@pytest.mark.parametrize("form", ["pdf", "csv"])
def test_a_statement_is_made_and_downloaded(root: Client, cast: Cast, form: str) -> None:
    start, _ = usage.month_of(clock.now())
    question = root.get(statement_url(cast)).content.decode()
    assert f"{start:%B %Y}, provisional" in question
    answer = root.post(statement_url(cast), {"month": f"{start:%Y-%m-%d}", "form": form})
    assert answer.status_code == 302
    assert jobs.drain()
    job = Job.objects.get()
    assert job.state == Job.State.DONE
    assert re.fullmatch(
        rf"Provisional statement of {start:%B %Y}, until [0-9: -]+ UTC. Its lines add up to the ledger to the last .*",
        job.line,
    )
    until = "provisional-[0-9]{8}T[0-9]{6}Z"
    assert re.fullmatch(rf"statement-{cast.customer.public_id}-{start:%Y-%m}-{until}[.]{form}", job.file_name)
    download = root.get(reverse("admin:applications_job_download", args=[job.pk]))
    content = b"".join(download.streaming_content)
    assert content.startswith(b"%PDF" if form == "pdf" else b"line,date,text")
    if form == "csv":
        assert content.decode().splitlines()[-1].endswith(",10.00,USD")


def test_refuses_a_month_that_was_not_offered(root: Client, cast: Cast) -> None:
    answer = root.post(statement_url(cast), {"month": "1999-01-01", "form": "pdf"})
    assert "is not one of the available choices" in answer.content.decode()
    assert not Job.objects.exists()


def test_the_books_are_compared_by_button_and_the_differences_shown(root: Client, cast: Cast) -> None:
    def reconciled() -> str:
        assert root.get(reverse(RECONCILE)).status_code == 200
        assert root.post(reverse(RECONCILE)).status_code == 302
        assert jobs.drain()
        job = Job.objects.latest("id")
        assert job.state == Job.State.DONE
        return root.get(job.page).content.decode()

    assert "The books agree" in reconciled()
    Balance.objects.filter(customer=cast.customer).update(posted=Decimal(11))
    page = reconciled()
    assert "The books differ in 1 place" in page
    assert "posted is the sum of the entries" in page
    assert cast.customer.public_id in page
    listed = root.get(address(Reconciliation, "changelist")).content.decode()
    assert "1 differences" in listed
    assert "The books agree" in listed


def test_only_those_who_may(staff: Callable[..., Client], cast: Cast) -> None:
    support = staff("applications.view_job", "applications.view_customer", "calls.view_reconciliation")
    for url in (statement_url(cast), reverse(RECONCILE)):
        assert support.get(url).status_code == 403
        assert support.post(url, {"month": "2026-05-01", "form": "pdf"}).status_code == 403
    assert support.get(address(Reconciliation, "changelist")).status_code == 200
    assert not Job.objects.exists()
