"""Calls that the engine ends because their far end has fallen silent."""

from datetime import datetime, timedelta

import pytest

from billing.models import Rate
from calls import dialing
from calls.models import Call, Party, Reason
from telephony.engines.facts import Kind
from tests.calls.steps import FakeEngine, answer, dial, end, tell
from tests.conftest import Actor

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("told", "after_seconds", "charged_seconds"),
    [
        ([Kind.MEDIA_LOST], 190, 130),
        ([Kind.MEDIA_LOST], 40, 0),
        ([Kind.MEDIA_LOST], 60.9, 0),
        ([Kind.MEDIA_LOST], 61, 1),
        ([Kind.HELD, Kind.MEDIA_LOST], 490, 190),
        ([Kind.HELD, Kind.RESUMED, Kind.MEDIA_LOST], 190, 130),
    ],
)
def test_a_call_whose_media_was_lost_is_charged_to_where_the_far_end_was_last_heard(
    acme: Actor, engine: FakeEngine, now: datetime, told: list[Kind], after_seconds: float, charged_seconds: int
) -> None:
    Rate.objects.update(initial_increment=1, subsequent_increment=1)
    call = dial(acme)
    Call.objects.update(funded_seconds=600)
    answer(call, at=now)
    ended_at = now + timedelta(seconds=after_seconds)
    for kind in told:
        tell(call, kind, at=ended_at)

    end(call, at=ended_at, cause=44)

    assert (call.status, call.end_reason, call.hangup_by) == ("completed", "media_lost", "system")
    assert (call.duration_seconds, call.ended_at) == (charged_seconds, now + timedelta(seconds=charged_seconds))


def test_a_far_end_that_says_its_media_was_lost_is_charged_to_its_end(
    acme: Actor, engine: FakeEngine, now: datetime
) -> None:
    """Cause 44 may come in the `Reason` of its BYE."""
    call = dial(acme)
    answer(call, at=now)
    tell(call, Kind.HANGUP_REQUESTED, at=now)

    end(call, at=now + timedelta(seconds=50), cause=44)

    assert (call.end_reason, call.duration_seconds) == ("hangup", 50)


def test_a_hang_up_of_ours_is_not_the_medias(acme: Actor, engine: FakeEngine, now: datetime) -> None:
    call = dial(acme)
    answer(call, at=now)
    dialing.hang_up(call=call, reason=Reason.HANGUP, by=Party.API, now=now)
    tell(call, Kind.MEDIA_LOST, at=now + timedelta(seconds=50))

    end(call, at=now + timedelta(seconds=50))

    assert (call.end_reason, call.hangup_by, call.duration_seconds) == ("hangup", "api", 50)
