"""A call that rang long keeps its whole talk: the engine's timer counts from the answer."""

from collections.abc import Callable
from decimal import Decimal

import pytest

from calls.models import Call
from tests.journeys.crowd import FULL, HANG_ON
from tests.journeys.receiver import Receiver
from tests.journeys.stage import Integrator
from tests.stillness import Stillness

# In full the talk that the hold pays for (60 s, less the second in hand); else what the integrator allows.
RINGS, TALKS, REASON = (50, 59, "out_of_funds") if FULL else (8, 5, "max_duration")


@pytest.mark.timeout(180)
def test_the_ring_time_is_not_taken_from_the_talk(
    hire: Callable[..., Integrator], receiver: Receiver, stillness: Stillness
) -> None:
    receiver.answers["/long"] = {"actions": HANG_ON}
    acme = hire(funds="0.0085", answer="/long")  # exactly one hold
    limit = {} if FULL else {"max_duration_seconds": TALKS}

    call_id = acme.create(f"+155512308{RINGS:02}", timeout_seconds=RINGS + 10, **limit).json()["id"]

    ended = acme.ended(call_id, seconds=RINGS + TALKS + 20)
    assert (ended["status"], ended["end_reason"], ended["hangup_by"]) == ("completed", REASON, "system")
    call = Call.objects.get(public_id=call_id)
    assert call.ringing_at is not None
    assert call.answered_at is not None
    assert call.ended_at is not None
    talked = (call.ended_at - call.answered_at).total_seconds()
    assert RINGS - 0.5 < (call.answered_at - call.ringing_at).total_seconds() < RINGS + 3
    assert talked > TALKS - 0.3
    assert talked - stillness.seconds(call.answered_at, call.ended_at) < TALKS + 1
    assert (call.overrun_amount, acme.balance()["held"]) == (0, "0.00")
    assert Decimal(ended["cost_amount"]) == Decimal("0.00085") * -(-ended["duration_seconds"] // 6)  # 6/6
