"""The pictures in the guides for support and finance, taken of the console as it is.

`PICTURES=write` writes them into `docs/images`, for someone to look at before committing them.
"""

import os
import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from billing.models import RateDeck
from calls.models import Call
from calls.seeding import volume
from minivoice import clock, console
from tests.browser.conftest import Desk
from tests.console.pages import address
from tests.journeys.receiver import Receiver
from tests.journeys.stage import Integrator

ROOT = Path(__file__).resolve().parents[2]
IMAGES = ROOT / "docs" / "images"
GUIDES = ("docs/support.md", "docs/finance.md")
SIZE: Any = {"width": 1280, "height": 900}
MOST_BYTES = 250_000
SHEET = """Dial code;Destination;Price;Billing
1555;United States, test;0.014;60/60
4420;United Kingdom, London;0.016;30/6
4930;Germany, Berlin;0.0215;1/1
3314;France, Paris;0.021;60/1
81;Japan;0.03;60/60
4x;Nowhere;0.01;60/60
"""


@pytest.fixture
def acme(hire: Callable[..., Integrator], receiver: Receiver) -> Iterator[Integrator]:
    """A customer among others, each with a month of calls by the newest deck."""
    receiver.answers["/answer"] = {"actions": [{"say": {"text": "Hello"}}, {"pause": {"seconds": 2}}]}
    acme = hire("Acme Dental", funds="250")
    hire("Acme Dental Supplies")
    list(volume.seed(calls=6000, customers=12, now=clock.now() - timedelta(minutes=2), days=30))
    yield acme
    receiver.answers.clear()


def test_show_the_console_as_it_is(desk: Desk, acme: Integrator, tmp_path: Path) -> None:
    support, finance, manager = (desk.seat(role, size=SIZE) for role in ("support", "finance", "manager"))
    taken = {
        "home": _home(manager),
        "call-failed": _call(support, acme, to="+15550000486", says="busy (486)"),
        "call-talked": _call(support, acme, to="+15551230742", says="hung up", last="Recording kept"),
        "customer": _customer(support, acme),
        "search": _search(support),
        "preview": _preview(finance, tmp_path),
        "approval": _approval(finance, manager, acme),
    }
    for name, picture in taken.items():
        assert len(picture) < MOST_BYTES, f"{name} has {len(picture):,} bytes"
        if os.environ.get("PICTURES") == "write":
            (IMAGES / f"{name}.png").write_bytes(picture)
    shown = {
        name for guide in GUIDES for name in re.findall(r"!\[.+?\]\(images/(.+?)\.png\)", (ROOT / guide).read_text())
    }
    assert shown == taken.keys() == {path.stem for path in IMAGES.iterdir()}


def _home(page: Page) -> bytes:
    page.goto("/admin/")
    expect(page.get_by_text("Calls of the last 30 days")).to_be_visible()
    return _picture(page, high=1500)


def _call(page: Page, acme: Integrator, *, to: str, says: str, last: str = "Call failed") -> bytes:
    call_id = acme.create(to, record=True).json()["id"]
    acme.ended(call_id)
    page.goto(console.url_of(Call.objects.get(public_id=call_id)))
    expect(page.get_by_role("heading", name=says)).to_be_visible()
    expect(page.get_by_text(last)).to_be_visible()
    expect(page.get_by_text("Delivered").first).to_be_visible()
    return _picture(page, high=1450)


def _customer(page: Page, acme: Integrator) -> bytes:
    page.goto(console.url_of(acme.customer))
    return _picture(page, high=1400)


def _search(page: Page) -> bytes:
    page.goto("/admin/")
    page.keyboard.press("/")
    page.keyboard.type("acme dental")
    page.keyboard.press("Enter")
    expect(page.get_by_role("link", name="Acme Dental", exact=True).first).to_be_visible()
    return _picture(page, high=500)


def _preview(page: Page, folder: Path) -> bytes:
    page.goto(console.url_of(RateDeck.objects.latest("pk")))
    page.get_by_role("link", name="Import rates").click()
    (folder / "tariff.csv").write_text(SHEET)
    page.locator("input[type=file]").set_input_files(folder / "tariff.csv")
    page.get_by_role("button", name="Upload", exact=True).click()
    page.get_by_role("button", name="Import", exact=True).click()
    page.get_by_role("link", name="Show the result").click()
    expect(page.get_by_role("row", name="dearer")).to_be_visible()
    return _picture(page, high=1100)


def _approval(asker: Page, approver: Page, acme: Integrator) -> bytes:
    asker.goto(address(type(acme.customer), "adjust", acme.customer.pk))
    asker.get_by_label("top-up").check()
    asker.get_by_label("Amount").fill("1200")
    asker.get_by_label("Reason").fill("Bank transfer of November")
    asker.get_by_role("button", name="Post").click()
    expect(asker.get_by_text("waits for a second person")).to_be_visible()
    approver.goto("/admin/billing/approval/")
    approver.locator("#result_list tbody a").first.click()
    approver.get_by_role("link", name="Approve").click()
    expect(approver.get_by_label("Reason")).to_be_visible()
    return _picture(approver, high=720)


def _picture(page: Page, *, high: int) -> bytes:
    """What a window so high shows: what sticks to its end covers nothing."""
    page.set_viewport_size({"width": SIZE["width"], "height": high})
    picture = page.screenshot(animations="disabled")
    page.set_viewport_size(SIZE)
    return picture
