"""A trunk's page at the console: how its calls fare, and a test call over it alone."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.urls import reverse

from billing.models import Hold
from calls import dialing, timeline
from calls.models import Attempt, Call, CallEvent, Flow, Reason, Refusal, Status
from minivoice import clock, console
from telephony import link
from telephony.engines.facts import Answer
from telephony.models import Trunk
from tests.calls.steps import FakeEngine, answer, dial, end, latest
from tests.conftest import Actor
from tests.console.pages import address
from tests.factories import TrunkFactory

pytestmark = pytest.mark.usefixtures("nobody_dials")


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> FakeEngine:
    """The engine at the edge: it takes every call unless told otherwise."""
    fake = FakeEngine()
    monkeypatch.setattr(link, "adapter", lambda: fake)
    return fake


def form_of(browser: Client, trunk: Trunk, **changes: str) -> tuple[str, dict[str, str]]:
    """The address of the question, and its form filled in."""
    url = reverse("admin:telephony_trunk_test_call", args=[trunk.pk])
    page = browser.get(url).content.decode()
    token = re.search(r'name="token" value="([^"]*)"', page)
    assert token is not None
    return url, {
        "token": token[1],
        "from_number": "+15551230001",
        "to_number": "+15551230002",
        "reason": "a trial",
    } | changes


def try_out(browser: Client, trunk: Trunk, actor: Actor, **changes: str) -> Any:
    url, form = form_of(browser, trunk, **{"application": actor.application.public_id} | changes)
    return browser.post(url, form, follow=True)


def facts(browser: Client, trunk: Trunk) -> dict[str, str]:
    return dict(browser.get(address(Trunk, "change", trunk.pk)).context["facts"])


def test_a_trunks_page_tells_how_its_calls_of_the_last_hour_fared(
    root: Client, acme: Actor, engine: FakeEngine
) -> None:
    trunk, now = Trunk.objects.get(), clock.now()
    TrunkFactory(name="Elsewhere", priority=20)
    for code in (486, 486, 404):
        end(dial(acme), at=now, sip_code=code)
    Attempt.objects.update(claimed_at=now - timedelta(minutes=61))
    for code in (486, 486, 404):
        end(dial(acme), at=now, sip_code=code)
    end(dial(acme), at=now, cause=17)
    answered, up = dial(acme), dial(acme)
    for call in (answered, up):
        answer(call, at=now)
    end(answered, at=now + timedelta(seconds=3), cause=16)
    dial(acme)
    changes = {"max_channels": 30, "state": "down", "state_reason": "no answer to OPTIONS", "state_at": now}
    Trunk.objects.filter(pk=trunk.pk).update(**changes)

    assert latest(up).trunk == trunk
    assert facts(root, trunk) == {
        "State": "down",
        "Why": "no answer to OPTIONS",
        "Since": console.moment(now),
        "Calls up": "2 of 30",
        "Answered, last hour": "33% of 6",
        "Failures, by SIP code": "486: 2, 404: 1, no SIP code: 1",
    }
    assert facts(root, Trunk.objects.get(name="Elsewhere"))["Answered, last hour"] == "–"
    assert "486: 2, 404: 1" in root.get(address(Trunk, "change", trunk.pk)).content.decode()


def test_the_page_of_a_new_trunk_tells_nothing_yet(root: Client) -> None:
    assert root.get(address(Trunk, "add")).status_code == 200


def test_a_test_call_goes_over_that_trunk_speaks_and_is_paid_like_any(
    root: Client, acme: Actor, engine: FakeEngine
) -> None:
    spare = TrunkFactory(name="Spare", priority=99)

    page = try_out(root, spare, acme)

    call = Call.objects.get()
    assert page.redirect_chain == [(address(Call, "change", call.pk), 302)]
    assert (call.customer, call.from_number, call.to_number) == (acme.customer, "+15551230001", "+15551230002")
    assert Hold.objects.get(key=call.public_id).amount > 0
    assert [action[0] for action in Flow.objects.get().actions] == ["say", "hangup"]
    assert [line["event"] for line in timeline.read(call)] == ["accepted", "trunk_tested", "instructions_replaced"]
    assert CallEvent.objects.get(kind="trunk_tested").data == {"trunk": spare.public_id}
    history = {entry.get_edited_object(): entry.change_message for entry in LogEntry.objects.all()}
    assert history == dict.fromkeys([spare, call], f"test call {call.public_id} to +15551230002. Reason: a trial")
    assert dialing.drain() == 1
    assert engine.originated[0]["endpoint"] == f"PJSIP/+15551230002@{spare.endpoint}"


def test_a_test_call_takes_no_other_trunk(root: Client, acme: Actor, engine: FakeEngine) -> None:
    trunk = Trunk.objects.get()
    TrunkFactory(name="Spare", priority=99)
    try_out(root, trunk, acme)
    assert dialing.drain() == 1
    call = Call.objects.get()

    end(call, at=clock.now(), sip_code=503)

    assert (call.status, call.attempts.count()) == (Status.FAILED, 1)


def test_a_test_call_that_the_engine_refuses_ends(root: Client, acme: Actor, engine: FakeEngine) -> None:
    trunk = Trunk.objects.get()
    TrunkFactory(name="Spare", priority=99)
    engine.answers.append(Answer.REFUSED)
    try_out(root, trunk, acme)

    assert dialing.drain() == 1

    assert Call.objects.get().end_reason == Reason.ORIGINATE_FAILED


def test_a_test_call_over_a_full_trunk_waits_for_it(root: Client, acme: Actor, engine: FakeEngine) -> None:
    trunk = Trunk.objects.get()
    Trunk.objects.update(max_channels=1)
    dial(acme)
    TrunkFactory(name="Spare", priority=99)
    try_out(root, trunk, acme)

    assert dialing.drain() == 0

    assert Attempt.objects.get(state=Attempt.State.DUE).trunk == trunk


def test_a_form_sent_twice_places_one_call(root: Client, acme: Actor) -> None:
    url, form = form_of(root, Trunk.objects.get(), application=acme.application.public_id)
    pages = [root.post(url, form) for _ in range(2)]
    assert [page.url for page in pages] == [address(Call, "change", Call.objects.get().pk)] * 2

    root.post(url, form | {"to_number": "+15551230003"})
    assert Call.objects.count() == 2


def test_over_a_customers_trunk_that_customer_pays_and_nobody_else(root: Client, acme: Actor, globex: Actor) -> None:
    own = TrunkFactory(customer=acme.customer, name="Own")

    refused = try_out(root, own, globex)
    assert "there is no such active application" in refused.content.decode()
    assert not Call.objects.exists()

    try_out(root, own, acme)
    assert Call.objects.get().customer == acme.customer


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"to_number": "911"}, "must be an E.164 number such as +15551230001"),
        ({"to_number": "+442079460000"}, "no active rate matches the destination (rate_not_found)"),
        ({"from_number": "+15559990001"}, "from must be one of your numbers or verified caller ids"),
        ({"application": "app_unknown"}, "there is no such active application"),
    ],
)
def test_says_why_a_test_call_is_refused(root: Client, acme: Actor, changes: dict[str, str], said: str) -> None:
    assert said in try_out(root, Trunk.objects.get(), acme, **changes).content.decode()
    assert not Call.objects.exists()


def test_a_trunk_out_of_use_is_not_tried(root: Client, acme: Actor) -> None:
    trunk = Trunk.objects.get()
    TrunkFactory(name="Spare", priority=99)
    Trunk.objects.filter(pk=trunk.pk).update(is_active=False)
    assert "(no_active_trunk)" in try_out(root, trunk, acme).content.decode()


def test_a_refused_test_call_is_in_the_log_of_refusals(root: Client, acme: Actor) -> None:
    """Once its line went with the transaction that refused it."""
    try_out(root, Trunk.objects.get(), acme, to_number="+442079460000")

    [line] = Refusal.objects.all()
    assert (line.customer, line.code, line.count) == (acme.customer, "rate_not_found", 1)
    assert line.last_number == "+442079460000"


def test_only_staff_with_the_right_place_test_calls(staff: Callable[..., Client], acme: Actor) -> None:
    trunk = Trunk.objects.get()
    url = reverse("admin:telephony_trunk_test_call", args=[trunk.pk])
    assert staff("telephony.view_trunk", "telephony.change_trunk").get(url).status_code == 403
    assert staff("calls.add_call").get(url).status_code == 403
    allowed = staff("telephony.view_trunk", "calls.add_call", "calls.view_call")
    assert "Test call" in allowed.get(address(Trunk, "change", trunk.pk)).content.decode()
    assert try_out(allowed, trunk, acme).status_code == 200
    assert Call.objects.exists()
