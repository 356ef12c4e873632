"""Finance's month, in a real browser: a price list, an adjustment that two people make, an export, a statement."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

from django.db import connection
from playwright.sync_api import Page, expect

from applications.models import Job
from billing import versions
from billing.models import Balance, DeckVersion, Entry, RateDeck
from minivoice import clock, console
from tests import factories
from tests.browser.conftest import Desk
from tests.browser.keyboard import press, tab_to
from tests.console.pages import address
from tests.factories import DeckFactory, RateFactory, VersionFactory
from tests.journeys.stage import Integrator

SHEET = "Dial code;Destination;Price;Billing\n1555;US test;0.02;60/60\n44;UK;0.01;30/6\n4x;Nowhere;0.01;60/60\n"


def test_imports_a_deck_reads_what_it_changes_applies_and_undoes_it(
    desk: Desk, hire: Callable[..., Integrator], tmp_path: Path
) -> None:
    deck = _deck()
    before = versions.in_force(deck, at=clock.now())
    page = desk.seat("finance")
    page.goto(console.url_of(deck))

    page.get_by_role("link", name="Import rates").click()
    file = tmp_path / "tariff.csv"
    file.write_text(SHEET)
    page.locator("input[type=file]").set_input_files(file)
    page.get_by_role("button", name="Upload", exact=True).click()
    expect(page.get_by_label("Prefix")).to_have_value("Dial code")
    page.get_by_role("button", name="Import", exact=True).click()
    page.get_by_role("link", name="Show the result").click()

    for words in ("new 1", "dearer 1"):
        expect(page.get_by_role("row", name=words)).to_be_visible()
    expect(page.get_by_role("row", name="4 ").filter(has_text="prefix")).to_be_visible()
    assert versions.in_force(deck, at=clock.now()) == before
    _act(page, "Publish", why="the carrier's new tariff", button="Publish")
    expect(page.get_by_text("Published.")).to_be_visible()
    imported = DeckVersion.objects.get(deck=deck, state="live", pk__gt=before.pk)
    assert versions.in_force(deck, at=clock.now()) == imported

    _act(page, "Undo", why="the wrong month's", button="Delete")

    expect(page.get_by_text("Undone:")).to_be_visible()
    assert versions.in_force(deck, at=clock.now()) == before


def test_an_adjustment_above_the_threshold_waits_for_a_manager_and_is_posted_once_by_keyboard_alone(
    desk: Desk, hire: Callable[..., Integrator]
) -> None:
    customer = hire("Acme", funds="10").customer
    asker, approver = desk.seat("finance"), desk.seat("manager")
    asker.goto(console.url_of(customer))

    press(asker, "Adjust balance")
    tab_to(asker, "top-up")
    asker.keyboard.press("ArrowDown")
    tab_to(asker, "Amount")
    asker.keyboard.type("600.50")
    tab_to(asker, "Reason")
    asker.keyboard.type("a wrong tariff in May")
    press(asker, "Post")

    expect(asker.get_by_text("waits for a second person")).to_be_visible()
    assert Balance.objects.get(customer=customer).posted == 10

    approver.goto("/admin/")
    press(approver, "Approvals")
    press(approver, "20")  # the newest one's date
    press(approver, "Approve")
    tab_to(approver, "Reason")
    approver.keyboard.type("checked against the tariff")
    press(approver, "Approve")

    expect(approver.get_by_text("Posted: Adjustment of 600.50")).to_be_visible()
    approver.go_back()
    approver.get_by_label("Reason").fill("once more")
    approver.get_by_role("button", name="Approve").click()
    expect(approver.get_by_text("Not approved:")).to_be_visible()
    assert Balance.objects.get(customer=customer).posted == Decimal("610.50")
    assert Entry.objects.filter(customer=customer, kind="adjustment").count() == 1
    asker.goto(console.url_of(customer))
    expect(asker.get_by_text("610.50 USD").first).to_be_visible()


def test_takes_away_the_months_ledger_seeing_how_far_it_is_and_a_statement(
    desk: Desk, hire: Callable[..., Integrator]
) -> None:
    acme = hire("Acme", funds="12.34")
    page, colleague = desk.seat("finance"), desk.seat("finance")
    today = clock.now().date()

    for funds in ("1.5", "2.25"):
        factories.top_up(acme.customer, funds)
    first = today.replace(day=1)
    page.goto(address(type(acme.customer), "export", acme.customer.pk))
    page.get_by_label("Ledger").check()
    page.get_by_label("First day").fill(first.isoformat())
    page.get_by_label("Last day").fill((first + timedelta(days=31)).replace(day=1).isoformat())
    with _jobs_wait():
        page.get_by_role("button", name="Export").click()
        bar = page.get_by_role("progressbar")
        expect(bar).to_have_attribute("value", "0")
        expect(bar).to_have_css("appearance", "none")  # or the browser's own grey seems full from the start
        expect(page.get_by_text("Waiting", exact=True)).to_be_visible()
        job = Job.objects.filter(asked_by__username__startswith="finance").latest("pk")
        Job.objects.filter(pk=job.pk).update(state=Job.State.RUNNING, percent=40, line="2 of 5 rows")
        expect(bar).to_have_js_property("value", 40)
        expect(page.get_by_text("Running", exact=True)).to_be_visible()
        expect(page.get_by_text("40 %")).to_be_visible()
        expect(page.get_by_text("2 of 5 rows")).to_be_visible()

    colleague.goto(console.url_of(acme.customer))
    colleague.get_by_role("link", name="Statement").click()
    colleague.get_by_label("Month").select_option(today.replace(day=1).isoformat())
    colleague.get_by_role("button", name="Make").click()

    rows = _downloaded(page).decode().splitlines()
    assert len(rows) == 4
    for row, funds in zip(rows[1:], ("12.34", "1.5", "2.25"), strict=True):
        assert funds in row
    assert _downloaded(colleague).startswith(b"%PDF")


def _deck() -> RateDeck:
    """A price list that no customer has, with a version in force."""
    version = VersionFactory(deck=DeckFactory(name="Walked through"))
    RateFactory(version=version, prefix="1555", price_per_minute="0.01")
    deck: RateDeck = version.deck
    return deck


def _act(page: Page, act: str, *, why: str, button: str) -> None:
    page.get_by_role("link", name=act).click()
    page.get_by_label("Reason").fill(why)
    page.get_by_role("button", name=button).click()


@contextmanager
def _jobs_wait() -> Iterator[None]:
    """Have no worker take a job, as while another one runs. Nothing wakes one then but what is asked for next."""
    key = "hashtextextended('jobs', 0)"
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT pg_advisory_lock({key})")
        yield
        cursor.execute(f"SELECT pg_advisory_unlock({key})")


def _downloaded(page: Page) -> bytes:
    """What a job has written, once it has."""
    link = page.get_by_role("link", name="Download", exact=True)
    expect(link).to_be_visible()
    with page.expect_download() as download:
        link.click()
    return Path(download.value.path()).read_bytes()
