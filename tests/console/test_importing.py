"""A rate sheet at the console: uploaded, its columns named, imported as a job, previewed, published, undone."""

import re
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from io import BytesIO

import pytest
from django.contrib.admin.models import LogEntry
from django.core.files.uploadedfile import SimpleUploadedFile
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse
from openpyxl import Workbook

from applications import jobs
from applications.models import Job
from billing import columns, rates, versions
from billing.admin import sheets
from billing.models import DeckVersion, Rate
from calls.models import Reason, Status
from minivoice import clock
from tests.console.conftest import NOW, Cast, make_call
from tests.console.pages import address

SHEET = (
    "Dial code;Where;USD;Billing\n"
    "1555;US test;0.02;60/60\n"
    "44;UK;0.01;30/6\n"
    "4x;Nowhere;0.01;60/60\n"
    "881;Satellite;;60/60\n"
)
NAMED = {"prefix": "Dial code", "description": "Where", "price_per_minute": "USD", "increments": "Billing"}


@pytest.fixture
def finance(staff: Callable[..., Client]) -> Client:
    return staff(
        "applications.view_job",
        *(f"billing.{verb}_deckversion" for verb in ("view", "add", "change", "delete")),
        "billing.view_ratedeck",
        "billing.view_rate",
    )


def upload(browser: Client, cast: Cast, content: bytes = SHEET.encode(), name: str = "Tariff.csv") -> HttpResponse:
    url = reverse("admin:billing_ratedeck_import_rates", args=[cast.deck.pk])
    return browser.post(url, {"file": SimpleUploadedFile(name, content)})  # type: ignore[return-value]


def chosen(**more: str) -> dict[str, str]:
    return {**dict.fromkeys(columns.FIELDS, ""), **NAMED, **more}


def imported(browser: Client, cast: Cast) -> DeckVersion:
    """The draft that the sheet becomes."""
    assert browser.post(upload(browser, cast)["Location"], chosen()).status_code == 302
    assert jobs.drain()
    job = Job.objects.get()
    assert job.state == Job.State.DONE, job.line
    return DeckVersion.objects.latest("id")


def text(browser: Client, version: DeckVersion) -> str:
    """What the version's page says, without its markup."""
    page = browser.get(address(DeckVersion, "change", version.pk)).content.decode()
    return " ".join(re.sub(r"<[^>]+>", " ", page).split())


def test_the_columns_are_guessed_by_their_names_and_shown_with_what_is_in_them(finance: Client, cast: Cast) -> None:
    page = finance.get(upload(finance, cast)["Location"]).content.decode()
    assert '<option value="Dial code" selected>Dial code (1555, 44 …)</option>' in page
    assert '<option value="Billing" selected>' in page
    assert '<option value="USD" selected>' not in page
    assert Job.objects.get().state == Job.State.PREPARED
    assert not jobs.drain()


def test_an_import_becomes_a_draft_whose_page_says_what_it_would_change(finance: Client, cast: Cast) -> None:
    talk = {"status": Status.COMPLETED, "end_reason": Reason.HANGUP, "sip_code": None, "duration_seconds": 61}
    now = clock.now()
    make_call(cast, 1, **talk, billable_seconds=120, cost_amount=Decimal("0.024"), settled_at=now)
    version = imported(finance, cast)
    assert (version.state, version.rates.count()) == (DeckVersion.State.DRAFT, 2)
    assert Rate.objects.get(version=version, prefix="44").initial_increment == 30
    said = text(finance, version)
    assert "From Tariff.csv" in said
    assert "new 1 44 UK none → 0.01" in said
    assert "cheaper 1 1555 US test 0.60 → 0.02" in said
    assert "1 answered calls cost 0.024 USD They would have cost 0.04 USD Difference 0.016 USD" in said
    assert "4 prefix &#x27;4x&#x27; is not 1 to 15 digits" in said
    assert "5 price_per_minute &#x27;&#x27; is not an amount" in said
    assert "price_per_minute from “USD”" in said
    page = finance.get(address(Job, "change", Job.objects.get().pk)).content.decode()
    assert "2 rates are in a draft; 2 lines are not fit. Nothing is live yet." in page
    assert address(DeckVersion, "change", version.pk) in page


def test_nothing_is_live_before_the_second_click_and_undo_takes_it_back(finance: Client, cast: Cast) -> None:
    def price() -> Decimal | None:
        quote = rates.quote(customer_id=cast.customer.pk, number="+15559990001", now=clock.now())
        return quote and quote.price.per_minute

    before = price()
    version = imported(finance, cast)
    assert price() == before
    url = reverse("admin:billing_deckversion_publish", args=[version.pk])
    question = finance.get(url).content.decode()
    assert "1 new, 1 cheaper" in question
    finance.post(url, {"reason": "the carrier's new prices"})
    assert price() == Decimal("0.02")
    assert "Preview again" not in finance.get(address(DeckVersion, "change", version.pk)).content.decode()
    undo = reverse("admin:billing_deckversion_undo", args=[version.pk])
    assert price() == Decimal("0.02")
    answer = finance.post(undo, {"reason": "wrong file"}, follow=True)
    assert price() == before
    assert "Undone" in answer.content.decode()
    assert not Rate.objects.filter(version=version.pk).exists()
    said = [line.change_message for line in LogEntry.objects.order_by("id")]
    assert said[0] == "rates of Tariff.csv to be imported into a draft"
    assert said[1].endswith("Reason: the carrier's new prices")
    assert said[2].endswith("deleted. Reason: wrong file")


def test_the_only_version_in_force_is_not_undone(root: Client, cast: Cast) -> None:
    answer = root.post(reverse("admin:billing_deckversion_undo", args=[cast.live.pk]), {"reason": "wrong"}, follow=True)
    assert "no call would have a rate" in answer.content.decode()
    assert DeckVersion.objects.filter(pk=cast.live.pk).exists()


def test_a_column_page_sent_twice_imports_once(finance: Client, cast: Cast) -> None:
    url = upload(finance, cast)["Location"]
    first, second = finance.post(url, chosen()), finance.post(url, chosen())
    assert first["Location"] == second["Location"] == address(Job, "change", Job.objects.get().pk)
    assert jobs.drain()
    assert not jobs.drain()
    assert DeckVersion.objects.filter(deck=cast.deck).count() == 3


def test_a_column_that_is_left_out_is_not_guessed_again(finance: Client, cast: Cast) -> None:
    url = upload(finance, cast)["Location"]
    finance.post(url, chosen(increments=""))
    jobs.drain()
    rate = Rate.objects.get(version=DeckVersion.objects.latest("id"), prefix="44")
    assert (rate.initial_increment, rate.subsequent_increment) == (60, 60)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"price_per_minute": ""}, "This field is required"),
        ({"price_per_minute": "Dial code"}, "this column is taken for prefix already"),
        ({"prefix": "No such"}, "is not one of the available choices"),
    ],
)
def test_refuses_columns_that_cannot_be(finance: Client, cast: Cast, wrong: dict[str, str], said: str) -> None:
    answer = finance.post(upload(finance, cast)["Location"], chosen(**wrong))
    assert said in answer.content.decode()
    assert not jobs.drain()


def test_reads_a_workbook_and_its_date(finance: Client, cast: Cast) -> None:
    workbook = Workbook()
    for row in (["Prefix", "Rate\nper  minute"], ["44", 0.0125], ["1555", 0.5]):
        workbook.active.append(row)
    file = BytesIO()
    workbook.save(file)
    url = reverse("admin:billing_ratedeck_import_rates", args=[cast.deck.pk])
    sent = {"effective_from": "2031-05-01T06:30"}
    answer = finance.post(url, {"file": SimpleUploadedFile("rates.xlsx", file.getvalue()), **sent})
    finance.post(
        answer["Location"], chosen(prefix="Prefix", price_per_minute="Rate per minute", description="", increments="")
    )
    jobs.drain()
    version = DeckVersion.objects.latest("id")
    assert version.effective_from.isoformat() == "2031-05-01T06:30:00+00:00"
    assert version.rates.get(prefix="44").price_per_minute == Decimal("0.0125")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("rates.pdf", b"%PDF", "must be a CSV or XLSX file"),
        ("rates.csv", b"\xff\xfe\x00", "cannot be read"),
        ("rates.csv", b"\n\n", "The submitted file is empty|is empty"),
        ("rates.csv", b"one column\n1\n", "must name a column for the prefix"),
        ("rates.csv", b"Prefix,Ra\x00te\n44,1\n", "columns that do not print"),
        ("rates.csv", b"Prefix,Rate," + b"x" * 101 + b"\n44,1,2\n", "names of 100 characters"),
        ("rates.csv", b"Prefix,Rate" + b",x" * 99 + b"\n44,1\n", "at most 100 columns"),
        ("rates.xlsx", b"PK but no zip", "is no XLSX workbook"),
    ],
)
def test_refuses_a_file_that_is_no_rate_sheet(
    finance: Client, cast: Cast, name: str, content: bytes, said: str
) -> None:
    assert re.search(said, upload(finance, cast, content, name).content.decode())
    assert not Job.objects.exists()


def test_a_file_with_a_long_name_and_cells_that_do_not_print_is_shown_as_far_as_it_can_be(
    finance: Client, cast: Cast
) -> None:
    content = b"Prefix,Rate\n4\x004,1\n44,0.01\n" + b"5" * 5000 + b",1\n"
    url = upload(finance, cast, content, f"{'n' * 240}.csv")["Location"]
    assert '<option value="Prefix" selected>Prefix (44, 44 …)</option>' in finance.get(url).content.decode()
    finance.post(url, chosen(prefix="Prefix", price_per_minute="Rate", description="", increments=""))
    assert jobs.drain()
    version = DeckVersion.objects.latest("id")
    assert version.rates.get().prefix == "44"
    assert version.preview is not None
    (_, first), (_, second) = version.preview["invalid_lines"]
    assert first == r"prefix '4\x004' is not 1 to 15 digits"
    assert len(second) == 200


def test_refuses_a_file_that_is_too_large(finance: Client, cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sheets, "MOST_BYTES", 10)
    assert "must have at most" in upload(finance, cast).content.decode()
    monkeypatch.undo()
    monkeypatch.setattr(sheets, "_MOST_UNPACKED_BYTES", 10)
    workbook, file = Workbook(), BytesIO()
    workbook.save(file)
    assert "this workbook is too large" in upload(finance, cast, file.getvalue(), "rates.xlsx").content.decode()


def test_a_file_without_one_fit_line_fails_and_says_why(finance: Client, cast: Cast) -> None:
    url = upload(finance, cast, b"Dial code;USD\nx;1\n")["Location"]
    finance.post(url, {**dict.fromkeys(columns.FIELDS, ""), "prefix": "Dial code", "price_per_minute": "USD"})
    jobs.drain()
    job = Job.objects.get()
    assert job.state == Job.State.FAILED
    assert "not one line is a rate" in job.line
    assert DeckVersion.objects.filter(deck=cast.deck).count() == 2


def test_a_preview_says_when_rates_were_changed_since_and_is_made_again(root: Client, cast: Cast) -> None:
    version = imported(root, cast)
    assert "changed by hand" not in text(root, version)
    versions.edit(version.pk, now=clock.now() + timedelta(seconds=1))
    Rate.objects.filter(version=version, prefix="44").delete()
    assert "The draft was changed by hand since." in text(root, version)
    version.refresh_from_db()
    DeckVersion.objects.filter(pk=version.pk).update(edited_at=clock.now())
    again = reverse("admin:billing_deckversion_preview_again", args=[version.pk])
    assert "Look again" in root.get(again).content.decode()
    assert not jobs.drain()
    root.post(again)
    assert jobs.drain()
    said = text(root, version)
    assert "The draft was changed by hand since." not in said
    assert "new 1" not in said
    assert "4 prefix &#x27;4x&#x27; is not 1 to 15 digits" in said


def test_rates_that_are_edited_by_hand_are_noted_on_their_draft(root: Client, cast: Cast) -> None:
    rate = cast.draft.rates.get()
    root.post(address(Rate, "delete", rate.pk), {"post": "yes"})
    cast.draft.refresh_from_db()
    assert cast.draft.edited_at is not None
    assert cast.draft.edited_at > NOW


def test_each_step_needs_its_permission(staff: Callable[..., Client], finance: Client, cast: Cast) -> None:
    columns_page = upload(finance, cast)["Location"]
    support = staff("billing.view_ratedeck", "billing.view_deckversion", "applications.view_job")
    assert upload(support, cast).status_code == 403
    assert support.get(columns_page).status_code == 403
    for action in ("publish", "preview_again", "undo"):
        url = reverse(f"admin:billing_deckversion_{action}", args=[cast.draft.pk])
        assert support.post(url, {"reason": "x"}).status_code == 403
    other = staff("billing.view_ratedeck", "billing.add_deckversion")
    assert other.get(columns_page).status_code == 404
    assert Job.objects.get().state == Job.State.PREPARED
