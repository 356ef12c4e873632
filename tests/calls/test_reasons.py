"""Why a call ended: what a SIP code, a cause, a timer and those who wanted it to end make of it."""

from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from calls import dialing
from calls.models import Party, Reason
from telephony.engines.facts import Kind
from tests.calls.steps import FakeEngine, answer, dial, end, events, place, tell
from tests.conftest import Actor

pytestmark = pytest.mark.django_db

RINGS_FIRST = True
ENDINGS = [
    (486, RINGS_FIRST, "busy"),
    (600, RINGS_FIRST, "busy"),
    (603, RINGS_FIRST, "rejected"),
    (607, RINGS_FIRST, "rejected"),
    (404, False, "invalid_number"),
    (410, False, "invalid_number"),
    (484, False, "invalid_number"),
    (604, False, "invalid_number"),
    (480, RINGS_FIRST, "no_answer"),
    (408, RINGS_FIRST, "no_answer"),
    (480, False, "unreachable"),
    (408, False, "unreachable"),
    (401, False, "trunk_failed"),
    (403, False, "trunk_failed"),
    (407, False, "trunk_failed"),
    (488, False, "trunk_failed"),
    (500, False, "trunk_failed"),
    (503, False, "trunk_failed"),
    (580, RINGS_FIRST, "trunk_failed"),
    (487, RINGS_FIRST, "rejected"),
    (433, False, "rejected"),
    (606, False, "rejected"),
]


@pytest.mark.parametrize(("sip_code", "rang", "reason"), ENDINGS)
def test_a_sip_code_ends_a_call_for_its_documented_reason(
    acme: Actor, engine: FakeEngine, now: datetime, sip_code: int | None, rang: bool, reason: str
) -> None:
    call = dial(acme)
    if rang:
        tell(call, Kind.RINGING, at=now)

    end(call, at=now, sip_code=sip_code)

    assert (call.status, call.end_reason, call.sip_code) == ("failed", reason, sip_code)
    assert (call.cost_amount, call.billable_seconds) == (0, 0)
    assert events(call) == ["call.created", "call.failed"]


@pytest.mark.parametrize(
    ("cause", "reason"),
    [
        (17, "busy"),
        (21, "rejected"),
        (1, "invalid_number"),
        (28, "invalid_number"),
        (38, "trunk_failed"),
        (0, "engine_lost"),
        (16, "engine_lost"),
    ],
)
def test_a_cause_speaks_where_there_is_no_sip_code(
    acme: Actor, engine: FakeEngine, now: datetime, cause: int, reason: str
) -> None:
    call = dial(acme)
    tell(call, Kind.RINGING, at=now)

    end(call, at=now, cause=cause)

    assert (call.status, call.end_reason) == ("failed", reason)


def test_a_canceled_call_ends_canceled_whatever_the_engine_says(acme: Actor, engine: FakeEngine, now: datetime) -> None:
    call = dial(acme)
    tell(call, Kind.RINGING, at=now)
    dialing.hang_up(call=call, reason=Reason.CANCELED, by=Party.API, now=now)

    end(call, at=now, sip_code=487)

    assert (call.status, call.end_reason, call.hangup_by) == ("canceled", "canceled", "api")
    assert call.cost_amount == 0
    assert events(call) == ["call.created", "call.canceled"]


@pytest.mark.usefixtures("second_trunk")
def test_a_canceled_call_is_not_tried_over_the_next_trunk(acme: Actor, engine: FakeEngine, now: datetime) -> None:
    call = dial(acme)
    dialing.hang_up(call=call, reason=Reason.CANCELED, by=Party.API, now=now)

    end(call, at=now, sip_code=503)

    assert (call.status, call.attempts.count()) == ("canceled", 1)


def test_the_first_intent_explains_the_end(acme: Actor, engine: FakeEngine, now: datetime) -> None:
    call = dial(acme)
    answer(call, at=now)
    dialing.hang_up(call=call, reason=Reason.ANSWER_URL_FAILED, by=Party.SYSTEM, now=now)
    dialing.hang_up(call=call, reason=Reason.HANGUP, by=Party.API, now=now)

    end(call, at=now + timedelta(seconds=1))

    assert (call.status, call.end_reason, call.hangup_by) == ("completed", "answer_url_failed", "system")


@pytest.mark.parametrize(
    ("longest", "after_seconds", "reason", "by"),
    [
        (14_400, 58.9, "out_of_funds", "system"),
        (14_400, 59.0, "out_of_funds", "system"),
        (14_400, 58.0, "hangup", "callee"),
        (20, 20.0, "max_duration", "system"),
        (20, 19.0, "hangup", "callee"),
    ],
)
def test_the_timers_end_is_told_from_a_hangup(
    acme: Actor, engine: FakeEngine, now: datetime, longest: int, after_seconds: float, reason: str, by: str
) -> None:
    call = dial(acme, max_duration_seconds=longest)
    answer(call, at=now)

    end(call, at=now + timedelta(seconds=after_seconds))

    assert (call.status, call.end_reason, call.hangup_by) == ("completed", reason, by)
    assert (call.cost_amount, call.overrun_amount) == (Decimal("0.60"), 0)


def test_canceled_before_it_was_dialled_it_is_never_dialled(acme: Actor, engine: FakeEngine, now: datetime) -> None:
    call = place(acme)

    dialing.hang_up(call=call, reason=Reason.CANCELED, by=Party.API, now=now)

    assert dialing.drain() == 0
    assert (engine.originated, engine.hung_up) == ([], [])
    call.refresh_from_db()
    assert (call.status, call.cost_amount) == ("canceled", 0)
