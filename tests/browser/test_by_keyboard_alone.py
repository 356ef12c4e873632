"""The console by keyboard alone, in a real browser: the focus is always seen, and what a key opens, a key closes."""

from base64 import b32decode
from collections.abc import Callable
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django_otp.oath import totp
from playwright.sync_api import Page, expect

from applications.models import Customer
from billing import versions
from billing.models import DeckVersion
from calls.models import Call
from minivoice import clock, console
from tests.browser.conftest import PASSWORD, PHONE, Desk, hire_staff
from tests.browser.keyboard import focused, press, tab_to
from tests.browser.looking import faults
from tests.console.pages import address
from tests.factories import CustomerFactory, DeckFactory, RateFactory, VersionFactory
from tests.journeys.receiver import Receiver
from tests.journeys.stage import FINAL, Integrator, until

WAITS = {"actions": [{"pause": {"seconds": 60}}]}


def test_signs_in_with_a_second_factor(desk: Desk, hire: Callable[..., Integrator]) -> None:
    user = hire_staff("support")
    page = desk.page()
    page.goto("/admin/login/?next=/admin/second-factor/")

    _go_to(page, "Username")
    page.keyboard.type(user.username)
    tab_to(page, "Password")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    key = page.locator("#totp-key").inner_text()
    _go_to(page, "Code")
    page.keyboard.type(_code(key))
    page.keyboard.press("Enter")

    expect(page.locator("#console-search")).to_be_visible()
    assert User.objects.get(pk=user.pk).totpdevice_set.filter(confirmed=True).exists()


def test_finds_a_call_by_its_number_and_hangs_it_up(
    desk: Desk, hire: Callable[..., Integrator], receiver: Receiver
) -> None:
    receiver.answers["/answer"] = WAITS
    acme = hire("Acme")
    call = Call.objects.get(public_id=acme.create("+15551230977").json()["id"])
    until(lambda: acme.call(call.public_id)["status"] == "in_progress", seconds=10, what="the callee answered")
    page = desk.seat("support")
    page.goto("/admin/")

    page.keyboard.press("/")
    page.keyboard.type("(555) 123-0977")
    page.keyboard.press("Enter")
    page.wait_for_url(console.url_of(call))
    press(page, "Hang up")
    tab_to(page, "Reason")
    page.keyboard.type("the customer asked us to")
    press(page, "Hang up")

    until(lambda: acme.call(call.public_id)["status"] in FINAL, seconds=10, what="the call is over")
    expect(page.get_by_text("the customer asked us to")).to_be_visible()


def test_filters_a_list_sorts_it_and_turns_its_pages(desk: Desk, hire: Callable[..., Integrator]) -> None:
    hire("Acme")
    CustomerFactory.create_batch(60)
    page = desk.seat("support")
    page.goto(address(Customer, "changelist"))

    tab_to(page, "Filters")
    page.keyboard.press("Enter")
    expect(page.locator("#changelist-filter")).to_be_visible()
    _until_focus_is_in(page, "#changelist-filter")
    page.keyboard.press("Escape")
    expect(page.locator("#changelist-filter")).to_be_hidden()
    _until_focused(page, "Filters")
    page.keyboard.press("Enter")
    _until_focus_is_in(page, "#changelist-filter")
    press(page, "Suspended")
    expect(page.get_by_text("Nothing fits this search and these filters.")).to_be_visible()
    press(page, "Show all")

    press(page, "Status")
    assert "o=1" in page.url
    press(page, "2")
    assert "p=2" in page.url
    expect(page.locator("#result_list tbody tr, .result-list tbody tr").first).to_be_visible()


def test_opens_and_closes_the_menus_of_a_telephone(desk: Desk, hire: Callable[..., Integrator]) -> None:
    customer = hire("Acme").customer
    page = desk.seat("support", size=PHONE)
    page.goto(console.url_of(customer))
    menu = page.locator("#nav-sidebar")

    tab_to(page, "Menu")
    page.keyboard.press("Enter")
    _until_focus_is_in(page, "#nav-sidebar")
    page.keyboard.press("Escape")
    expect(menu).to_be_hidden()
    _until_focused(page, "Menu")

    tab_to(page, "What can be done")
    page.keyboard.press("Enter")
    _until_focused(page, "History")
    page.keyboard.press("Escape")
    _until_focused(page, "What can be done")

    page.goto("/admin/")
    tab_to(page, "Menu")
    page.keyboard.press("Enter")
    _until_focus_is_in(page, "#nav-sidebar")
    tab_to(page, "S\nsupport-")  # who is signed in, by initial and name
    page.keyboard.press("Space")
    _until_focused(page, "Light")
    page.keyboard.press("Escape")
    expect(page.get_by_text("Log out")).to_be_hidden()
    expect(menu).to_be_visible()
    page.keyboard.press("Escape")
    _until_focused(page, "Menu")
    page.keyboard.press("Enter")
    _until_focus_is_in(page, "#nav-sidebar")
    press(page, "Webhooks")
    page.wait_for_url("**/webhooks/webhookevent/")


def test_goes_past_the_menu(desk: Desk, hire: Callable[..., Integrator]) -> None:
    page = desk.seat("support")
    page.goto(console.url_of(hire("Acme").customer))

    page.keyboard.press("Tab")
    assert focused(page) == "Skip to the content"
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('main') !== null")


@pytest.mark.timeout(300)
def test_brings_a_file_of_prices_through_its_preview_into_force(
    desk: Desk, hire: Callable[..., Integrator], tmp_path: Path
) -> None:
    before = VersionFactory(deck=DeckFactory(name="By keyboard"))
    RateFactory(version=before, prefix="1555", price_per_minute="0.01")
    file = tmp_path / "tariff.csv"
    file.write_text("Dial code;Destination;Price;Billing\n1555;US test;0.02;60/60\n44;UK;0.01;30/6\n")
    page = desk.seat("finance")
    page.on("filechooser", lambda _: None)  # asked for only when Enter is pressed, a busy browser may hear of it after
    page.goto(console.url_of(before.deck))

    press(page, "Import rates")
    tab_to(page, "File")
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Enter")
    chooser.value.set_files(file)
    press(page, "Upload")
    found = [*faults(page)]
    press(page, "Import")
    found += faults(page, crossed=True)
    expect(page.get_by_role("link", name="Show the result")).to_be_visible()
    press(page, "Show the result")
    found += faults(page)
    press(page, "Publish")
    tab_to(page, "Reason")
    page.keyboard.type("the carrier's new tariff")
    press(page, "Publish")

    expect(page.get_by_text("Published.")).to_be_visible()
    imported = DeckVersion.objects.get(deck=before.deck, state="live", pk__gt=before.pk)
    assert versions.in_force(before.deck, at=clock.now()) == imported
    assert found == []


def _code(key: str) -> str:
    """What an authenticator app shows for a key that was typed into it."""
    letters = key.replace(" ", "")
    return f"{totp(b32decode(letters + '=' * (-len(letters) % 8))):06}"


def _go_to(page: Page, name: str) -> None:
    """Be at a field, where the page may have begun."""
    if not focused(page).startswith(name):
        tab_to(page, name)


def _until_focused(page: Page, name: str) -> None:
    until(lambda: focused(page).startswith(name), seconds=5, what=f"{name} has the focus, not {focused(page)}")


def _until_focus_is_in(page: Page, place: str) -> None:
    is_in = "place => document.activeElement.closest(place) !== null"
    until(lambda: page.evaluate(is_in, place), seconds=5, what=f"the focus is in {place}")
