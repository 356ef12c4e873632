"""A call's page: its story in plain words, kept up to date while it is live, and what staff may do about it."""

import re
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from io import BytesIO
from pathlib import Path
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from billing import ledger
from billing.models import Balance, Entry
from calls import timeline
from calls.admin.story import Story, arithmetic
from calls.models import Call, Recording, Status
from calls.recordings import files
from tests.console.conftest import NOW, Cast, make_call
from tests.console.pages import address
from tests.console.test_calls import LIVE
from tests.timelines import written_kinds
from webhooks.models import WebhookEvent

TALKED = {
    "status": Status.COMPLETED,
    "end_reason": "hangup",
    "hangup_by": "callee",
    "sip_code": None,
    "answered_at": NOW,
    "duration_seconds": 61,
    "billable_seconds": 120,
    "cost_amount": Decimal("0.024"),
}


def story(call: Call) -> Story:
    """A story that knows no attempts and no events."""
    return Story(call, attempts=[], events=[])


def talked(cast: Cast) -> Call:
    """A call that was answered, and charged 0.024."""
    call = make_call(cast, **TALKED)
    ledger.post(
        customer_id=cast.customer.pk,
        kind=Entry.Kind.CHARGE,
        amount=-Decimal("0.024"),
        key=f"charge:{call.public_id}",
        call_id=call.public_id,
        now=NOW,
    )
    return call


def act(name: str, call: Call) -> str:
    return reverse(f"admin:calls_call_{name}", args=[call.pk])


def test_every_line_of_a_timeline_has_words() -> None:
    kinds = written_kinds()
    assert {"dialed", "gathered", "leg_joined", "answer_url_failed", "trunks_full"} <= kinds
    told = Path("calls/admin/story.py").read_text()
    assert {kind for kind in kinds if f'"{kind}"' not in told} == set()


def test_what_an_engine_says_again_is_not_told_again() -> None:
    assert list(story(Call()).tell("engine_answered", {"channel_id": "a", "repeated": True})) == []


def test_a_line_without_words_is_shown_as_it_is() -> None:
    told = list(story(Call()).tell("moon_seen", {"phase": "full", "from": {"place": "roof"}}))
    assert told == [("Moon seen", "phase full, from place roof")]


@pytest.mark.parametrize(
    ("kind", "data", "what", "details"),
    [
        ("engine_ended", {"sip_code": 486, "cause": 17, "attempt": 1}, "The line ended", "SIP 486 (busy), cause 17"),
        ("gathered", {"digits": "42", "status": "completed", "timed_out": False}, "Digits gathered", "“42”; completed"),
        ("gathered", {"digits": None, "status": "completed"}, "Digits gathered", "digits not kept, they are sensitive"),
        ("action_started", {"action": "say", "position": 0}, "Action: say", "number 1 of the instructions"),
        (
            "answer_url_answered",
            {"url": "https://acme.example/a", "actions": 2, "http_status": 200, "duration_ms": 84},
            "Instructions received",
            "https://acme.example/a, HTTP 200 in 84 ms: 2 actions",
        ),
        (
            "extension_refused",
            {"funded_seconds": 60, "hold": "0.01", "limited_by": "day_cap"},
            "Hold not raised",
            "for the day cap: the call may last 60 s",
        ),
        ("conference_joined", {"room": "lobby", "mute": True}, "In conference room lobby", "muted"),
        ("hangup_asked", {"by": "api", "reason": "hangup"}, "Hang-up asked for", "by the customer's application"),
    ],
)
def test_lines_are_told_as_people_say_them(kind: str, data: dict[str, object], what: str, details: str) -> None:
    ((said, more),) = story(Call(currency="USD")).tell(kind, data)
    assert said == what
    assert details in str(more)


def test_an_accepted_call_tells_who_asked_what_was_checked_the_rate_and_the_hold(root: Client, cast: Cast) -> None:
    call = make_call(cast, request_id="req_1")
    data = {
        "request_id": "req_1",
        "hold": "0.012",
        "funded_seconds": 60,
        "available": "10.00",
        "rate": {"prefix": "1555", "description": "US test", "price_per_minute": "0.012", "increments": "60/60"},
        "live_calls": 1,
        "max_concurrent_calls": 20,
    }
    told = dict(story(call).tell("accepted", data))
    assert list(told) == ["Call requested", "All checks passed", "Rate found", "Money held"]
    assert "Front desk" in told["Call requested"]
    assert "request req_1" in told["Call requested"]
    assert told["All checks passed"] == "1 of at most 20 calls up; 10.00 USD available"
    assert told["Rate found"] == "0.012 USD a minute (US test, prefix 1555), billed 60/60"


def test_a_charge_is_told_with_its_arithmetic(cast: Cast) -> None:
    call = make_call(cast, **TALKED, connection_fee=Decimal("0.01"))
    call.cost_amount = Decimal("0.034")
    assert arithmetic(call) == "61 s billed as 120 s (60/60); 120 / 60 × 0.012 = 0.024 + 0.01 connection fee"
    call.cost_amount, call.minimum_charge = Decimal("0.05"), Decimal("0.05")
    assert arithmetic(call).endswith("+ 0.016 up to the minimum of 0.05")
    call.cost_amount, call.overrun_amount = Decimal("0.03"), Decimal("0.02")
    assert arithmetic(call).endswith("- 0.02 beyond what was held, which is our loss")


def test_a_leg_and_its_call_are_linked(root: Client, cast: Cast) -> None:
    call = make_call(cast, 1)
    leg = make_call(cast, 2, parent=call)
    assert address(Call, "change", leg.public_id) in root.get(address(Call, "change", call.pk)).content.decode()
    assert address(Call, "change", call.public_id) in root.get(address(Call, "change", leg.pk)).content.decode()


def test_a_live_calls_page_asks_with_one_query_whether_anything_is_new(root: Client, cast: Cast) -> None:
    call = make_call(cast, **LIVE)
    page = root.get(address(Call, "change", call.pk))
    asked, shown = page.context["live_url"], page.context["version"]
    assert f'data-version="{shown.word}"' in page.content.decode()
    stranger = Client()
    with CaptureQueriesContext(connection) as queries:
        said = stranger.get(asked).json()
    assert len(queries) == 1
    assert said == {"version": shown.word, "is_over": False}
    timeline.add(call, "engine_ringing", at=NOW + timedelta(seconds=1))
    assert stranger.get(asked).json()["version"] != shown.word
    part = root.get(page.context["part_url"])
    assert part["X-Version"] == stranger.get(asked).json()["version"]
    assert "Ringing" in part.content.decode()
    assert "<html" not in part.content.decode()


@pytest.mark.parametrize("change", ["webhook", "entry", "note", "replay"])
def test_whatever_the_page_shows_is_new_when_it_changes(root: Client, cast: Cast, change: str) -> None:
    call = make_call(cast, **LIVE)
    asked = root.get(address(Call, "change", call.pk)).context["live_url"]
    before = root.get(asked).json()["version"]
    if change == "webhook":
        WebhookEvent.objects.update(attempts=2)
    elif change == "replay":
        WebhookEvent.objects.update(replayed_at=NOW)
    elif change == "note":
        root.post(act("add_note", call), {"note": "rang back"})
    else:
        ledger.post(
            customer_id=cast.customer.pk,
            kind=Entry.Kind.REFUND,
            amount=Decimal(1),
            key="a",
            call_id=call.public_id,
            now=NOW,
        )
    assert root.get(asked).json()["version"] != before


def test_nobody_is_told_a_version_without_a_token_that_was_given_to_staff(root: Client, cast: Cast) -> None:
    call = make_call(cast, **LIVE)
    asked = root.get(address(Call, "change", call.pk)).context["live_url"]
    assert root.get(f"{asked[:-1]}{'A' if asked[-1] != 'A' else 'B'}").status_code == 403
    User.objects.update(is_active=False)
    assert Client().get(asked).status_code == 404


def test_a_page_of_a_call_that_is_over_asks_no_more(root: Client, cast: Cast) -> None:
    call = make_call(cast)
    assert "data-live=" in root.get(address(Call, "change", call.pk)).content.decode()  # its webhook is due again
    WebhookEvent.objects.update(status="delivered", next_attempt_at=None)
    assert "data-live=" not in root.get(address(Call, "change", call.pk)).content.decode()


def test_the_part_is_for_those_only_who_may_see_calls(staff: Callable[..., Client], cast: Cast) -> None:
    call = make_call(cast)
    assert staff("webhooks.view_webhookevent").get(act("part", call)).status_code == 403
    assert staff("calls.view_call").get(act("part", call)).status_code == 200
    assert Client().get(act("part", call)).status_code == 302


def test_a_page_costs_the_same_queries_however_long_its_story(root: Client, cast: Cast) -> None:
    call = make_call(cast)
    with CaptureQueriesContext(connection) as few:
        root.get(address(Call, "change", call.pk))
    for number in range(30):
        timeline.add(call, "action_started", at=NOW, action="say", position=number)
    root.post(act("add_note", call), {"note": "one"})
    root.post(act("add_note", call), {"note": "two"})
    with CaptureQueriesContext(connection) as many:
        root.get(address(Call, "change", call.pk))
    assert len(many) - len(few) <= 1  # the messages of the two notes


def test_a_note_is_on_the_timeline_with_who_wrote_it_and_is_not_the_customers(
    staff: Callable[..., Client], cast: Cast
) -> None:
    call = make_call(cast)
    assert staff("calls.view_call").post(act("add_note", call), {"note": "no"}).status_code == 403
    browser = staff("calls.view_call", "calls.note_call")
    assert "This field is required" in browser.post(act("add_note", call), {"note": ""}).content.decode()
    assert browser.post(act("add_note", call), {"note": "rang <b>back</b>"}).status_code == 302
    page = browser.get(address(Call, "change", call.pk)).content.decode()
    assert "note: rang &lt;b&gt;back&lt;/b&gt;" in page
    assert re.search(r"staff-\w{8} \(staff\)", page)
    assert "rang" not in str(timeline.read(call))


def test_a_refund_gives_back_what_was_charged_at_most_and_once(root: Client, cast: Cast) -> None:
    call, token = talked(cast), uuid4()
    before = Balance.objects.get(customer=cast.customer).posted
    form = {"amount": "0.025", "reason": "bad line", "token": token}
    assert "at most 0.024 can be given back" in root.post(act("refund", call), form).content.decode()
    for _ in range(2):
        assert root.post(act("refund", call), {**form, "amount": "0.02"}).status_code == 302
    entry = Entry.objects.get(kind=Entry.Kind.REFUND)
    assert (entry.amount, entry.call_id, entry.note) == (Decimal("0.02"), call.public_id, "bad line")
    assert Balance.objects.get(customer=cast.customer).posted == before + Decimal("0.02")
    again = root.post(act("refund", call), {**form, "amount": "0.02", "token": uuid4()})
    assert "at most 0.004 can be given back" in again.content.decode()
    page = root.get(address(Call, "change", call.pk)).content.decode()
    assert "0.02 USD refunded Reason: bad line" in page.replace(". Reason", " Reason")


@pytest.mark.parametrize("amount", ["0", "-1", "", "0.0000001", "x"])
def test_a_refund_of_nothing_is_refused(root: Client, cast: Cast, amount: str) -> None:
    call = talked(cast)
    answer = root.post(act("refund", call), {"amount": amount, "reason": "why", "token": uuid4()})
    assert answer.status_code == 200
    assert not Entry.objects.filter(kind=Entry.Kind.REFUND).exists()


def test_support_that_moves_no_money_refunds_nothing(staff: Callable[..., Client], cast: Cast) -> None:
    call = talked(cast)
    browser = staff("calls.view_call", "calls.change_call", "billing.view_entry")
    assert act("refund", call) not in browser.get(address(Call, "change", call.pk)).content.decode()
    answer = browser.post(act("refund", call), {"amount": "0.01", "reason": "why", "token": uuid4()})
    assert answer.status_code == 403


def test_all_webhooks_of_a_call_are_replayed_with_a_reason(staff: Callable[..., Client], cast: Cast) -> None:
    call = make_call(cast)
    WebhookEvent.objects.update(status="exhausted", next_attempt_at=None)
    assert staff("calls.view_call").post(act("replay_webhooks", call), {"reason": "no"}).status_code == 403
    browser = staff("calls.view_call", "webhooks.change_webhookevent")
    answer = browser.post(act("replay_webhooks", call), {"reason": "mended"}, follow=True)
    assert "Sent again: 1 of 1 events." in answer.content.decode()
    assert "1 webhook events replayed Reason: mended" in answer.content.decode().replace(". Reason", " Reason")
    assert WebhookEvent.objects.get().status == "pending"
    again = browser.post(act("replay_webhooks", call), {"reason": "again"}, follow=True)
    assert "Nothing was sent" in again.content.decode()


def test_those_who_may_listen_hear_a_recording_or_a_range_of_it(
    root: Client, staff: Callable[..., Client], cast: Cast, settings: object, tmp_path: Path
) -> None:
    call = make_call(cast)
    recording = Recording.objects.create(
        public_id=f"rec_{call.public_id}",
        call=call,
        number=1,
        kind="call",
        state="completed",
        storage_type="local",
        created_at=NOW,
        updated_at=NOW,
        ended_at=NOW,
        duration_seconds=1,
        size_bytes=10,
    )
    files.save(recording.public_id, BytesIO(b"0123456789"), kept_in="local")
    url = reverse("admin:calls_call_audio", args=[recording.public_id])
    assert f'src="{url}"' in root.get(address(Call, "change", call.pk)).content.decode()
    whole = root.get(url)
    assert (whole.status_code, b"".join(whole.streaming_content)) == (200, b"0123456789")
    part = root.get(url, headers={"Range": "bytes=2-4"})
    assert (part.status_code, b"".join(part.streaming_content)) == (206, b"234")
    assert root.get(url, headers={"Range": "bytes=20-"}).status_code == 416
    deaf = staff("calls.view_call", "calls.view_recording")
    assert deaf.get(url).status_code == 403
    assert "Listening takes a right" in deaf.get(address(Call, "change", call.pk)).content.decode()
    file = Path(files.storage("local").path(files.name(recording.public_id)))
    file.unlink()
    file.mkdir()  # a disk that cannot be read
    away = root.get(url)
    assert (away.status_code, away.content) == (503, b"the audio cannot be read at the moment, try again shortly")
    assert "cannot be heard at the moment" in root.get(address(Call, "change", call.pk)).content.decode()
    file.rmdir()
    assert root.get(url).status_code == 404
    Recording.objects.update(state="deleted")
    assert root.get(url).status_code == 404


def test_says_of_what_is_not_kept_how_long_it_was(cast: Cast, root: Client) -> None:
    call = make_call(cast)
    call.attempts.all().delete()
    call.timeline.all().delete()
    WebhookEvent.objects.all().delete()

    text = root.get(address(Call, "change", call.pk)).content.decode()

    assert "a timeline goes 90 days after its call was accepted" in text
    assert "no trunk was asked to place this call" in text
    assert "they go 90 days after they were made" in text


def test_is_named_by_its_id_as_it_is_written(cast: Cast, root: Client) -> None:
    call = make_call(cast)
    url = address(Call, "change", call.pk)
    text = root.get(url).content.decode()
    path = re.findall(r'<a href="([^"]+)"[^>]*tracking-tight">([^<]+)</a>', text)
    assert path == [("/admin/calls/", "Calls"), (address(Call, "changelist"), "Calls"), (url, call.public_id)]
