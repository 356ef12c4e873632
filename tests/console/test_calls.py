"""Calls at the console: found by what a person has, explained in a sentence, hung up."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.urls import reverse

from calls.admin.sentences import sentence
from calls.admin.spelling import spellings
from calls.models import Call, Party, Reason, Status
from tests.console.conftest import NOW, Cast, make_call
from tests.console.pages import address
from webhooks.models import WebhookEvent

LIVE = {
    "ended_at": None,
    "end_reason": "",
    "sip_code": None,
    "cost_amount": None,
    "duration_seconds": None,
    "billable_seconds": None,
    "status": Status.QUEUED,
    "provider_call_id": None,
}


def found(browser: Client, term: str) -> list[str]:
    """The public ids of the calls that a search finds."""
    answer = browser.get(address(Call, "changelist"), {"q": term})
    return [call.public_id for call in answer.context["cl"].result_list]


def test_finds_a_call_by_what_a_person_has(root: Client, cast: Cast) -> None:
    call, other = make_call(cast, 1), make_call(cast, 2)
    assert found(root, call.public_id) == [call.public_id]
    assert found(root, f" {call.provider_call_id} ") == [call.public_id]
    assert found(root, str(call.provider_call_id).replace("-", "").upper()) == [call.public_id]
    assert found(root, "+1 (555) 999-0001") == [call.public_id]
    assert found(root, "+15551230001") == [other.public_id, call.public_id]
    assert found(root, call.public_id[:-1]) == []
    assert found(root, "acme") == []


@pytest.mark.parametrize(
    "spelling",
    [
        *("+15559990001", "15559990001", "0015559990001", "011 1 555 999 0001", "(555) 999-0001", "555.999.0001"),
        *("tel:+1-555-999-0001", "+1/555/9990001", "+1\u00a0555\u2013999\u20110001", "1 555 999 0001"),
    ],
)
def test_reads_a_number_in_any_common_spelling(spelling: str) -> None:
    assert "+15559990001" in spellings(spelling)


def test_reads_a_number_with_its_national_zero_in_brackets() -> None:
    assert spellings("+44 (0)20 7946 0000") == {"+442079460000"}


@pytest.mark.parametrize("text", ["", "acme", "call 5", "+", "()"])
def test_reads_no_number_where_there_is_none(text: str) -> None:
    assert spellings(text) == set()


def test_a_calls_page_says_why_it_ended_and_tells_its_story_in_order(root: Client, cast: Cast) -> None:
    call = make_call(cast)
    answer = root.get(address(Call, "change", call.pk))
    page = answer.content.decode()
    assert "The callee&#x27;s network said the number is busy (486)." in page
    told = answer.context["timeline"]
    assert [line.offset_ms for line in told] == sorted(line.offset_ms for line in told)
    assert [line.what for line in told][-2:] == ["The line ended", "Webhook call.failed"]
    assert (told[-2].offset_ms, told[-2].details) == (1250, "SIP 486 (busy)")
    assert (told[-1].offset_ms, "HTTP 500 in 12 ms" in told[-1].details) == (1300, True)
    assert "0.012 USD, which pays for 60 s of talk" in page
    assert WebhookEvent.objects.get().delivery_id in page
    assert str(call.attempts.get().channel_id) in page


def test_a_calls_page_is_found_by_its_public_id(root: Client, cast: Cast) -> None:
    call = make_call(cast)
    assert root.get(address(Call, "change", call.public_id)).status_code == 200
    assert root.get(address(Call, "change", "call_unknown")).status_code == 302


@pytest.mark.parametrize("reason", [reason for reason in Reason if reason != Reason.HANGUP])
def test_every_end_has_a_sentence(reason: Reason) -> None:
    assert sentence(Call(end_reason=reason, status=Status.FAILED, sip_code=480)).endswith(" (480).")


@pytest.mark.parametrize("party", Party)
def test_every_party_that_hangs_up_has_a_sentence(party: Party) -> None:
    said = sentence(Call(end_reason=Reason.HANGUP, hangup_by=party, status=Status.COMPLETED))
    assert "hung up" in said


def test_every_status_has_a_sentence() -> None:
    for status in (Status.QUEUED, Status.DIALING, Status.RINGING, Status.IN_PROGRESS):
        assert sentence(Call(status=status))


def test_hangs_up_after_a_question_and_keeps_why(root: Client, cast: Cast) -> None:
    call = make_call(cast, **LIVE)
    url = reverse("admin:calls_call_hang_up", args=[call.pk])
    assert root.get(url).status_code == 200
    assert "This field is required" in root.post(url, {"reason": ""}).content.decode()
    call.refresh_from_db()
    assert call.status == Status.QUEUED
    assert root.post(url, {"reason": "customer asked"}).status_code == 302
    call.refresh_from_db()
    assert (call.status, call.end_reason, call.hangup_by) == (Status.CANCELED, Reason.CANCELED, Party.SYSTEM)
    assert LogEntry.objects.get().change_message == "hung up while queued. Reason: customer asked"


def test_a_call_that_is_over_is_not_hung_up_again(root: Client, cast: Cast) -> None:
    call = make_call(cast)
    answer = root.post(reverse("admin:calls_call_hang_up", args=[call.pk]), {"reason": "again"}, follow=True)
    assert "has ended already" in answer.content.decode()
    assert LogEntry.objects.count() == 0


def test_only_staff_who_may_change_calls_hang_up(staff: Callable[..., Client], cast: Cast) -> None:
    call = make_call(cast, **LIVE)
    url = reverse("admin:calls_call_hang_up", args=[call.pk])
    assert staff("calls.view_call").post(url, {"reason": "mischief"}).status_code == 403
    assert staff("calls.change_call", "calls.view_call").post(url, {"reason": "asked"}).status_code == 302
    call.refresh_from_db()
    assert call.status == Status.CANCELED


def test_lists_filter_by_status_and_date(root: Client, cast: Cast) -> None:
    make_call(cast, 1)
    calls = address(Call, "changelist")
    assert len(root.get(calls, {"status__exact": "failed"}).context["cl"].result_list) == 1
    assert len(root.get(calls, {"status__exact": "completed"}).context["cl"].result_list) == 0
    later = (NOW + timedelta(days=1)).isoformat()
    assert len(root.get(calls, {"accepted_at__gte": later}).context["cl"].result_list) == 0


def test_a_list_has_a_thousand_pages(root: Client, cast: Cast) -> None:
    url = address(Call, "changelist")
    assert root.get(url, {"p": 1000}).status_code == 200
    assert root.get(url, {"p": 1001})["Location"] == f"{url}?e=1"
