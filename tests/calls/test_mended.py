"""Faults that were once there: each stays mended."""

from datetime import datetime
from uuid import uuid4

import pytest

from calls import lifecycle, sweeps
from calls.models import Attempt, Party, Reason
from minivoice import clock
from telephony.engines.facts import Channel, Fact, Kind
from tests import factories
from tests.calls.steps import FakeEngine, dial, end, latest, place
from tests.conftest import Actor

pytestmark = pytest.mark.django_db


@pytest.fixture
def now() -> datetime:
    return clock.now()


@pytest.fixture
def second_trunk(world: None) -> None:
    factories.TrunkFactory(name="Second carrier", priority=20)


@pytest.mark.parametrize("trunks", [1, 2])
def test_a_call_canceled_while_the_engine_was_asked_is_not_tried_again(acme: Actor, now: datetime, trunks: int) -> None:
    """Once the intent was not looked at, and the next trunk was dialled."""
    factories.TrunkFactory.create_batch(trunks - 1, priority=20)
    call = place(acme)
    Attempt.objects.update(state="claimed", claimed_at=now)
    lifecycle.intend(call_id=call.pk, customer_id=call.customer_id, reason=Reason.CANCELED, by=Party.API, now=now)

    goes_on = lifecycle.refused(attempt_id=latest(call).pk, customer_id=call.customer_id, now=now)

    call.refresh_from_db()
    assert (goes_on, call.status, call.end_reason) == (False, "canceled", "canceled")
    assert call.attempts.count() == 1


@pytest.mark.usefixtures("second_trunk")
@pytest.mark.parametrize("cause", [1, 17, 19, 21])
def test_a_cause_that_the_far_end_gave_is_no_reason_for_the_next_trunk(
    acme: Actor, engine: FakeEngine, now: datetime, cause: int
) -> None:
    """Once a missing SIP code counted as a transport failure though the cause said busy."""
    call = dial(acme)

    end(call, at=now, cause=cause)

    assert call.is_final
    assert call.attempts.count() == 1


def test_a_strange_channel_with_a_name_of_36_characters_does_not_stop_the_sweep(
    acme: Actor, engine: FakeEngine, now: datetime
) -> None:
    """Once any 36 characters passed for a UUID, and each comparison failed."""
    engine.up = [Channel("a-name-of-exactly-36-characters-0001", "Up", now, entered=True)]
    assert len(engine.up[0].id) == len(str(uuid4()))

    assert sweeps.reconcile(now=now) == ([], [])
    assert engine.hung_up == []


@pytest.mark.parametrize("channel_id", ["1700000000.12", "a-name-of-exactly-36-characters-0001"])
def test_a_fact_about_a_channel_with_another_kind_of_name_is_nobodys(
    world: None, now: datetime, channel_id: str
) -> None:
    """Once a name that is no UUID, as Asterisk gives its own channels, raised."""
    assert lifecycle.record(Fact(kind=Kind.ENDED, channel_id=channel_id, at=now), now=now) is None
