"""Support's day, in a real browser: a call that failed, one that must end, and money that is not theirs."""

from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.admin.models import LogEntry
from playwright.sync_api import Page, expect

from applications.models import Customer, Job
from billing.models import Approval, DeckVersion, Entry, RateDeck
from calls.models import Call
from minivoice import clock, console
from tests.browser.conftest import PASSWORD, Desk, hire_staff
from tests.console.pages import address
from tests.journeys.receiver import Received, Receiver
from tests.journeys.stage import FINAL, Integrator, until

WAITS = {"actions": [{"pause": {"seconds": 60}}]}


@pytest.fixture
def acme(hire: Callable[..., Integrator], receiver: Receiver) -> Iterator[Integrator]:
    """A customer whose calls wait for a minute once they are answered."""
    receiver.answers["/answer"] = WAITS
    yield hire("Acme")
    receiver.answers.clear()


def test_explains_a_failed_call_found_by_its_number_and_replays_its_webhook(
    desk: Desk, acme: Integrator, receiver: Receiver
) -> None:
    call_id = acme.create("+15550742486").json()["id"]
    acme.ended(call_id)
    failed = until(lambda: _copies(receiver, call_id, "call.failed"), seconds=10, what="the customer was told")
    page = desk.page()
    _sign_in(page)

    page.keyboard.press("/")
    page.keyboard.type(" 001 (555) 074-2486 ")
    page.keyboard.press("Enter")

    expect(page).to_have_url(desk.base_url + console.url_of(Call.objects.get(public_id=call_id)))
    sentence = page.get_by_role("heading", name="The callee's network said the number is busy (486)")
    expect(sentence).to_be_visible()
    expect(page.get_by_text("486", exact=True).first).to_be_visible()

    page.get_by_role("link", name="Replay call.failed").click()
    page.get_by_label("Reason").fill("their server was down")
    page.get_by_role("button", name="Replay").click()

    again = until(
        lambda: _copies(receiver, call_id, "call.failed")[len(failed) :], seconds=10, what="the event came again"
    )
    assert [copy.raw for copy in again] == [failed[0].raw]
    page.get_by_role("link", name="History").click()
    expect(page.get_by_text("their server was down")).to_be_visible()


def test_an_open_first_page_tells_of_a_failure_by_itself_and_leads_to_it(desk: Desk, acme: Integrator) -> None:
    page = desk.seat("support")
    page.goto("/admin/")
    page.evaluate("window.isTheFirst = true")
    # The page names the four most frequent reasons of the last hour, with the calls of all tests: the newest 5,000.
    since = clock.now() - timedelta(hours=1)
    newest = Call.objects.order_by("-pk").values_list("status", "accepted_at", "end_reason")[:5000]
    counts = Counter(reason for status, accepted_at, reason in newest if status == "failed" and accepted_at >= since)
    word, sip_code = max((("rejected", 603), ("busy", 486)), key=lambda known: counts[known[0]])
    reason = page.get_by_role("link", name=f"{word} {counts[word] + 1}", exact=True)
    expect(reason).to_have_count(0)
    call_id = acme.create(f"+15550742{sip_code}").json()["id"]
    acme.ended(call_id)

    expect(reason).to_be_visible()
    assert page.evaluate("window.isTheFirst")
    reason.click()
    expect(page.get_by_role("link", name=call_id)).to_be_visible()


def test_hangs_up_a_live_call_whose_open_page_tells_the_end_by_itself(desk: Desk, acme: Integrator) -> None:
    call = Call.objects.get(public_id=acme.create("+15551230742").json()["id"])
    until(lambda: acme.call(call.public_id)["status"] == "in_progress", seconds=10, what="the callee answered")
    watching, working = desk.seat("support"), desk.seat("support")
    watching.goto(console.url_of(call))
    watching.evaluate("window.isTheFirst = true")
    watching.get_by_role("link", name="Replay call.created").focus()
    working.goto(console.url_of(call))

    working.get_by_role("link", name="Hang up").click()
    expect(working.get_by_label("Reason")).to_be_visible()
    working.get_by_role("button", name="Hang up").click()
    expect(working.get_by_text("This field is required")).to_be_visible()
    assert acme.call(call.public_id)["status"] == "in_progress"
    working.get_by_label("Reason").fill("the customer asked us to")
    working.get_by_role("button", name="Hang up").click()

    expect(watching.get_by_role("heading", name="hung up by us")).to_be_visible()
    expect(watching.get_by_role("link", name="Replay call.created")).to_be_focused()
    expect(watching.get_by_text("the customer asked us to")).to_be_visible()
    assert watching.evaluate("window.isTheFirst"), "the page was loaded again"
    assert acme.call(call.public_id)["status"] in FINAL


def test_is_refused_each_act_with_money_by_button_and_by_address(desk: Desk, acme: Integrator) -> None:
    call_id = acme.create("+15550000486").json()["id"]
    acme.ended(call_id)
    call, customer = Call.objects.get(public_id=call_id), Customer.objects.get(pk=acme.customer.pk)
    version = DeckVersion.objects.latest("pk")
    asked = {"asked_by": hire_staff("finance"), "created_at": clock.now(), "key": str(uuid4())}
    waiting = Approval.objects.create(customer=customer, kind="refund", amount=5, **asked)
    page = desk.seat("support")

    for row, button in [
        (call, "Refund"),
        (customer, "Adjust balance"),
        (customer, "Statement"),
        (customer, "Export"),
    ]:
        page.goto(console.url_of(row))
        expect(page.get_by_role("link", name="History")).to_be_visible()  # the buttons are there
        expect(page.get_by_role("link", name=button)).to_have_count(0)

    refused = [
        address(Call, "refund", call.pk),
        *(address(Customer, act, customer.pk) for act in ("adjust", "statement", "export")),
        *(address(DeckVersion, act, version.pk) for act in ("publish", "undo", "preview_again")),
        address(RateDeck, "import_rates", version.deck_id),
        address(Job, "export"),
        *(address(Approval, act, waiting.pk) for act in ("approve", "reject")),
    ]
    assert {url: page.request.get(url).status for url in refused} == dict.fromkeys(refused, 403)
    rows = _money()
    page.goto(address(Call, "add_note", call.pk))
    filled = {
        "csrfmiddlewaretoken": page.locator("input[name=csrfmiddlewaretoken]").first.input_value(),
        "kind": "top_up",
        "amount": "5",
        "reason": "for myself",
        "token": str(uuid4()),
        "month": f"{clock.now():%Y-%m}-01",
        "form": "csv",
        "what": "ledger",
        "first": "2026-01-01",
        "last": "2026-01-31",
    }
    for url in refused:
        answer = page.request.post(url, form=filled)
        assert answer.status == 403, url
        assert "Your role may not" in answer.text(), f"{url} refused something else"
    assert _money() == rows


def _money() -> list[list[dict[str, Any]]]:
    """Every row that an act with money would have made or changed."""
    return [list(model.objects.order_by("pk").values()) for model in (Entry, Approval, DeckVersion, Job, LogEntry)]


def _sign_in(page: Page) -> None:
    user = hire_staff("support")
    page.goto("/admin/")
    page.get_by_label("Username").fill(user.username)
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.locator("#console-search")).to_be_visible()


def _copies(receiver: Receiver, call_id: str, event: str) -> list[Received]:
    """What arrived of an event of a call, each attempt."""
    told = [item for item in list(receiver.received) if item.path == "/webhooks"]
    return [item for item in told if item.body["event"] == event and (item.body["call"] or {}).get("id") == call_id]
