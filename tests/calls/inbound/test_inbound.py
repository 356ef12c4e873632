"""Calls that come in: whom they reach, who pays, and who is turned away without a trace."""

import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection

from applications.models import Customer
from billing.models import Balance, Hold
from calls import audit, inbound, lifecycle, sweeps
from calls.flow.document import Action
from calls.flow.fetching import Fetched
from calls.lanes import Lane
from calls.models import Call, Flow, Refusal
from minivoice import clock
from telephony.engines.facts import Arrival, Channel, ChannelGone, Fact, Kind
from telephony.models import Number
from tests import factories
from tests.calls.inbound.callers import (
    BUSY,
    CALLER,
    CONGESTED,
    DECLINED,
    NOT_FOUND,
    PLATFORMS,
    hear,
    refused,
    ring,
)
from tests.calls.steps import FakeEngine, keep_within_a_second
from tests.calls.test_switchboard import GATHER, Board
from tests.conftest import Actor
from webhooks.models import WebhookEvent


def test_a_call_is_committed_ringing_with_its_money_its_flow_and_its_event(acme: Actor, number: Number) -> None:
    call = ring()

    assert (call.direction, call.status, call.from_number, call.to_number) == (
        "inbound",
        "ringing",
        CALLER,
        "+15551230001",
    )
    assert (call.customer, call.application) == (acme.customer, acme.application)
    assert Hold.objects.get(key=call.public_id).amount == Decimal("0.12")
    assert Flow.objects.get(call=call).url == call.answer_url
    event = WebhookEvent.objects.get(call_id=call.public_id)
    assert event.type == "call.created"
    assert call.trunk is not None
    assert call.trunk.gateway_name == PLATFORMS


@pytest.mark.parametrize("dialled", ["+15551230001", "15551230001"])
def test_a_number_is_known_with_and_without_its_plus(number: Number, dialled: str) -> None:
    assert ring(dialled).to_number == "+15551230001"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("+15557654321", "+15557654321"),
        ("15557654321", "+15557654321"),
        ("100", "100"),
        ("", "anonymous"),
        ("evil\r\nX: 1", "anonymous"),
        ("12345678901234567890", "anonymous"),
    ],
)
def test_a_caller_is_told_as_the_network_names_him(number: Number, text: str, told: str) -> None:
    assert ring(caller=text).from_number == told


def test_a_channel_is_taken_once_however_often_it_is_told_of(number: Number) -> None:
    first = ring(channel="1795337107.1")

    assert ring(channel="1795337107.1") == first
    assert Call.objects.count() == Hold.objects.count() == 1


@pytest.mark.parametrize("dialled", ["+15551239999", "1", "sip", "+", "+15551230001;x", "0015551230001"])
def test_an_unknown_number_is_not_found(number: Number, dialled: str) -> None:
    assert refused(dialled) == NOT_FOUND


def test_a_number_out_of_use_is_not_found(number: Number) -> None:
    Number.objects.update(is_active=False)

    assert refused() == NOT_FOUND


def test_a_number_whose_application_is_out_of_use_is_not_found(acme: Actor, number: Number) -> None:
    acme.application.is_active = False
    acme.application.save()

    assert refused() == NOT_FOUND


def test_a_number_set_to_reject_declines(number: Number) -> None:
    Number.objects.update(route_mode="reject")

    assert refused() == DECLINED


def test_a_suspended_customer_declines(number: Number) -> None:
    Customer.objects.update(status="suspended")

    assert refused() == DECLINED


def test_no_money_for_the_numbers_rate_is_busy_and_noted(number: Number) -> None:
    Number.objects.update(inbound_price_per_minute=101)

    assert refused() == BUSY
    line = Refusal.objects.get()
    assert (line.code, line.last_number, line.count) == ("insufficient_balance", "+15551230001", 1)


def test_a_call_without_a_price_needs_no_money(acme: Actor) -> None:
    Balance.objects.update(posted=0)

    call = ring()

    assert (call.timer_seconds, Hold.objects.get().amount) == (14_400, 0)


@pytest.mark.parametrize("limit", ["max_concurrent_calls", "max_cps"])
def test_the_customers_own_limits_are_busy(number: Number, limit: str) -> None:
    Customer.objects.update(**{limit: 1})
    ring()
    keep_within_a_second()

    assert refused() == BUSY


def test_a_full_engine_is_congested_and_the_refusal_noted(number: Number, settings: Any) -> None:
    settings.MOST_CALLS = 1
    first = ring()

    assert refused() == CONGESTED
    assert Refusal.objects.get().code == "unavailable"

    hear(first, Kind.ENDED, at=clock.now(), cause=127, sip_code=487)
    ring()


def test_the_day_cap_is_busy(number: Number) -> None:
    Balance.objects.update(day_cap=Decimal("0.20"))
    ring()

    assert refused() == BUSY


def test_a_number_rings_through_its_customers_own_trunk(acme: Actor, number: Number) -> None:
    own = factories.TrunkFactory(customer=acme.customer, inbound_ip="192.0.2.7", inbound_ip_approved_at=clock.now())

    assert ring(trunk=own.endpoint).trunk == own


def test_a_stranger_cannot_ring_a_number_through_a_trunk_of_its_own(globex: Actor, number: Number) -> None:
    theirs = factories.TrunkFactory(
        customer=globex.customer, inbound_ip="192.0.2.8", inbound_ip_approved_at=clock.now()
    )

    assert refused(trunk=theirs.endpoint) == NOT_FOUND
    assert not Refusal.objects.exists()


@pytest.mark.parametrize(
    "state",
    [
        {"inbound_ip": "192.0.2.7"},  # which nobody has approved
        {"direction": "outbound"},
        {"direction": "both", "is_active": False},
        {"direction": "both", "is_active": False, "deleted_at": datetime.fromisoformat("2026-01-01T00:00Z")},
    ],
)
def test_a_trunk_that_takes_no_calls_is_a_stranger(acme: Actor, number: Number, state: dict[str, Any]) -> None:
    trunk = factories.TrunkFactory(customer=acme.customer, **state)

    assert refused(trunk=trunk.endpoint) == NOT_FOUND


def test_a_stranger_costs_one_line_a_minute(
    number: Number, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbound, "_said_at", {})

    for _ in range(20):
        assert refused(trunk="nobody") == NOT_FOUND

    assert [record.args for record in caplog.records if "are refused" in record.msg] == [("nobody",)]


def test_a_caller_who_gives_up_pays_nobody(acme: Actor, number: Number) -> None:
    call = ring()

    hear(call, Kind.ENDED, at=clock.now(), cause=127, sip_code=487)

    assert (call.status, call.end_reason, call.hangup_by) == ("failed", "caller_hung_up", "caller")
    assert call.cost_amount == 0
    assert not Hold.objects.filter(closed_at=None).exists()


def test_an_answered_call_is_charged_at_the_numbers_own_rate(acme: Actor, number: Number) -> None:
    call, now = ring(), clock.now()
    Number.objects.update(inbound_price_per_minute=99)
    hear(call, Kind.ANSWERED, at=now)
    assert call.status == "in_progress"

    hear(call, Kind.ENDED, at=now + timedelta(seconds=40), cause=0)

    assert (call.status, call.end_reason, call.hangup_by) == ("completed", "caller_hung_up", "caller")
    assert (call.duration_seconds, call.billable_seconds, call.cost_amount) == (40, 60, Decimal("0.12"))
    events = WebhookEvent.objects.filter(call_id=call.public_id).order_by("sequence")
    assert [event.type for event in events] == ["call.created", "call.answered", "call.completed"]


def test_the_engines_timer_ends_a_call_without_funds(acme: Actor, number: Number) -> None:
    Balance.objects.update(posted=Decimal("0.12"))
    call, now = ring(), clock.now()
    hear(call, Kind.ANSWERED, at=now)

    hear(call, Kind.ENDED, at=now + timedelta(seconds=59), cause=0)

    assert (call.end_reason, call.hangup_by, call.cost_amount) == ("out_of_funds", "system", Decimal("0.12"))


def test_nobody_rings_for_ever(number: Number, engine: FakeEngine) -> None:
    call = ring()
    [attempt] = call.attempts.all()

    assert sweeps.overdue(now=call.accepted_at + timedelta(seconds=inbound.RING_SECONDS)) == 1

    assert (engine.hung_up, engine.causes) == ([attempt.channel], [19])  # 480
    hear(call, Kind.ENDED, at=clock.now(), cause=19, sip_code=480)
    assert (call.status, call.end_reason, call.sip_code) == ("failed", "no_answer", 480)


def test_a_listing_tells_of_a_call_that_went_unheard(number: Number, engine: FakeEngine) -> None:
    arrival = Arrival(endpoint=PLATFORMS, caller=CALLER, dialled="15551230001")
    engine.up = [Channel("1795337107.5", "Ring", clock.now(), entered=True, arrival=arrival)]

    [fact] = sweeps.reconcile(now=clock.now())

    assert (fact.kind, fact.channel_id, fact.arrival) == (Kind.ENTERED, "1795337107.5", arrival)


def test_a_call_that_listings_lack_twice_has_ended(number: Number, engine: FakeEngine) -> None:
    call = ring()
    [attempt] = call.attempts.all()
    began = call.accepted_at

    assert sweeps.reconcile(now=began + timedelta(seconds=11)) == []
    [fact] = sweeps.reconcile(now=began + timedelta(seconds=16))

    assert (fact.kind, fact.channel_id) == (Kind.LOST, attempt.channel)
    lifecycle.record(fact, now=clock.now())
    call.refresh_from_db()
    assert (call.status, call.end_reason) == ("failed", "engine_lost")


class Answering(FakeEngine):
    """An engine that writes down what is asked of a caller's channel, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[Any, ...]] = []
        self.is_gone = False

    def ring(self, channel: str) -> None:
        self.asked.append(("ring",))

    def set_timer(self, channel: str, *, seconds: float) -> None:
        self.asked.append(("timer", seconds))

    def answer(self, channel: str) -> None:
        if self.is_gone:
            raise ChannelGone(channel)
        self.asked.append(("answer",))

    def play(self, channel: str, *, playback_id: str, media: list[str]) -> None:
        self.asked.append(("play", *media))

    def stop_playback(self, playback_id: str) -> bool:
        return True


class Stage:
    """A lane, with an engine behind it."""

    channel = "1795337107.9"

    def __init__(self, engine: Answering) -> None:
        self.engine, self.board = engine, Board()
        self.lane = Lane(self.board, 0)

    def hear(self, kind: Kind, **more: Any) -> None:
        fact = Fact(kind=kind, channel_id=self.channel, at=clock.now(), **more)
        self.do(lambda lane: lane.take(fact))

    def enter(self, *, trunk: str = PLATFORMS) -> None:
        self.hear(Kind.ENTERED, arrival=Arrival(endpoint=trunk, caller=CALLER, dialled="15551230001"))

    def bring(self, *actions: Action) -> None:
        token = self.board.fetches[-1][2]
        self.do(lambda lane: lane.fetched(self.channel, token, Fetched(actions, "", 200, 1)))

    def do(self, work: Any) -> None:
        done = threading.Event()
        self.lane.put(self.channel, work)
        self.lane.put("", lambda _: done.set())
        assert done.wait(10)


@pytest.fixture
def stage(audited: None, acme: Actor, number: Number, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    engine = Answering()
    monkeypatch.setattr("telephony.link.adapter", lambda: engine)
    acme.application.answer_url = "https://example.test/answer"
    acme.application.save()
    stage = Stage(engine)
    yield stage
    stage.hear(Kind.ENDED, cause=0)
    stage.lane.stop()
    stage.lane.join()


def test_the_first_words_answer_a_call_whose_timer_runs_already(stage: Stage) -> None:
    stage.enter()
    assert stage.engine.asked == [("ring",)]
    assert stage.board.fetches[0][1].context["status"] == "ringing"

    stage.bring(Action("pause", {"seconds": 1}), GATHER)
    assert stage.engine.asked == [("ring",)]  # a pause answers nothing
    token = stage.board.wakes[-1][2]
    stage.do(lambda lane: lane.woken(stage.channel, token))

    assert stage.engine.asked == [("ring",), ("timer", 59), ("answer",), ("play", "say:Press")]


def test_a_second_word_of_the_same_call_starts_nothing_anew(stage: Stage) -> None:
    stage.enter()
    stage.enter()

    assert len(stage.board.fetches) == Call.objects.count() == 1


def test_a_flow_goes_on_in_another_process_without_a_second_answer(stage: Stage) -> None:
    stage.enter()
    stage.bring(GATHER)
    stage.hear(Kind.ANSWERED)
    stage.do(Lane.drop_all)

    stage.enter()

    assert [asked[0] for asked in stage.engine.asked] == ["ring", "timer", "answer", "play", "play"]


def test_a_document_that_fails_is_told_to_the_caller_as_unavailable(stage: Stage) -> None:
    stage.enter()

    token = stage.board.fetches[-1][2]
    stage.do(lambda lane: lane.fetched(stage.channel, token, Fetched(None, "http_500", 500, 1)))

    assert stage.engine.causes == [19]  # 480
    stage.hear(Kind.ENDED, cause=19, sip_code=480)
    call = Call.objects.get()
    assert (call.status, call.end_reason, call.sip_code) == ("failed", "answer_url_failed", 480)


def test_a_caller_who_left_before_the_answer_is_not_charged(stage: Stage) -> None:
    stage.enter()
    stage.engine.is_gone = True
    stage.bring(GATHER)

    stage.hear(Kind.ENDED, cause=127, sip_code=487)

    assert Call.objects.get().end_reason == "caller_hung_up"


def test_a_refusal_is_told_to_the_caller(stage: Stage) -> None:
    stage.enter(trunk="nobody")

    assert (stage.engine.hung_up, stage.engine.causes) == ([stage.channel], [NOT_FOUND])
    assert not Call.objects.exists()


def test_of_many_at_once_no_more_ring_than_the_limit(audited: None, acme: Actor, number: Number) -> None:
    Customer.objects.update(max_concurrent_calls=3)
    causes: list[int] = []

    def call_in(channel: str) -> None:
        try:
            ring(channel=channel)
        except inbound.Refused as refusal:
            causes.append(refusal.cause)
        finally:
            connection.close()

    threads = [threading.Thread(target=call_in, args=(f"1795337107.{number % 8}",)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert Call.objects.count() == 3
    assert set(causes) == {BUSY}
    assert [finding for finding in audit.run() if finding.violations] == []
