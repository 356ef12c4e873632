"""The next trunk: tried where nobody can have been rung, never where a phone may have rung."""

from datetime import datetime, timedelta

import pytest

from calls import dialing, failover, lifecycle
from minivoice import clock
from telephony.engines.facts import Fact, Kind
from telephony.models import Trunk
from tests import factories
from tests.calls.steps import FakeEngine, dial, end, latest, tell
from tests.conftest import Actor

pytestmark = pytest.mark.django_db

TRANSPORT_FAILED = 38  # Q.850: network out of order
NEXT = [401, 403, 407, 408, 480, 488, 500, 502, 503, 504, None]
NOT_NEXT = [404, 410, 484, 486, 487, 600, 603, 604, 607, 433, 501, 580]


@pytest.mark.usefixtures("second_trunk")
@pytest.mark.parametrize("sip_code", NEXT)
def test_the_next_trunk_is_tried_where_nothing_rang(
    acme: Actor, engine: FakeEngine, now: datetime, sip_code: int | None
) -> None:
    call = dial(acme)

    end(call, at=now, sip_code=sip_code, cause=None if sip_code else TRANSPORT_FAILED)

    assert call.status == "dialing"
    assert list(call.attempts.order_by("number").values_list("state", "sip_code")) == [
        ("ended", sip_code),
        ("due", None),
    ]
    assert dialing.drain() == 1
    assert len({asked["endpoint"] for asked in engine.originated}) == 2
    assert len({asked["channel_id"] for asked in engine.originated}) == 2
    call.refresh_from_db()
    assert str(call.provider_call_id) == engine.originated[0]["channel_id"]


@pytest.mark.usefixtures("second_trunk")
@pytest.mark.parametrize("sip_code", NOT_NEXT)
def test_the_next_trunk_is_not_tried_where_a_phone_may_have_rung(
    acme: Actor, engine: FakeEngine, now: datetime, sip_code: int
) -> None:
    call = dial(acme)

    end(call, at=now, sip_code=sip_code)

    assert call.is_final
    assert call.attempts.count() == 1


@pytest.mark.usefixtures("second_trunk")
@pytest.mark.parametrize("sip_code", NEXT)
@pytest.mark.parametrize("kind", [Kind.RINGING, Kind.PROGRESS])
def test_the_next_trunk_is_never_tried_after_a_ring(
    acme: Actor, engine: FakeEngine, now: datetime, kind: Kind, sip_code: int | None
) -> None:
    call = dial(acme)
    tell(call, kind, at=now)

    end(call, at=now, sip_code=sip_code)

    assert call.is_final
    assert call.attempts.count() == 1


@pytest.mark.usefixtures("second_trunk")
@pytest.mark.parametrize("sip_code", NEXT)
@pytest.mark.parametrize(("later_seconds", "is_over"), [(1, True), (-1, False)])
def test_the_next_trunk_is_never_tried_after_a_ring_that_may_have_gone_unheard(
    acme: Actor, engine: FakeEngine, now: datetime, sip_code: int | None, later_seconds: int, is_over: bool
) -> None:
    """Once the switchboard's socket was away while it rang, and a refusal after that rang the phone a second time."""
    call = dial(acme)
    asked_at = latest(call).claimed_at
    assert asked_at is not None
    heard_since = asked_at + timedelta(seconds=later_seconds)

    tell(call, Kind.ENDED, at=now, sip_code=sip_code, cause=TRANSPORT_FAILED, heard_since=heard_since)

    assert (call.is_final, call.attempts.count()) == ((True, 1) if is_over else (False, 2))


@pytest.mark.usefixtures("second_trunk")
def test_at_most_three_trunks_are_tried_one_after_the_other(acme: Actor, engine: FakeEngine, now: datetime) -> None:
    for priority in (30, 40):
        factories.TrunkFactory(priority=priority)
    call = dial(acme)

    for _ in range(3):
        assert call.attempts.exclude(state="ended").count() == 1
        end(call, at=now, sip_code=503)
        dialing.drain()

    assert (call.status, call.end_reason, call.sip_code) == ("failed", "trunk_failed", 503)
    assert len(engine.originated) == 3


@pytest.mark.usefixtures("second_trunk")
def test_no_trunk_is_tried_after_the_setup_time(acme: Actor, engine: FakeEngine) -> None:
    call = dial(acme)

    end(call, at=clock.now() + failover.SETUP_TIME, sip_code=503)

    assert (call.end_reason, call.attempts.count()) == ("trunk_failed", 1)


@pytest.mark.usefixtures("second_trunk")
def test_a_first_trunks_late_word_does_not_end_the_second(acme: Actor, engine: FakeEngine, now: datetime) -> None:
    call = dial(acme)
    first = latest(call)
    end(call, at=now, sip_code=503)
    dialing.drain()

    for kind in (Kind.RINGING, Kind.ANSWERED, Kind.ENDED):
        lifecycle.record(Fact(kind=kind, channel_id=str(first.channel_id), at=now), now=now)

    call.refresh_from_db()
    assert (call.status, latest(call).state) == ("dialing", "taken")


def test_a_call_admitted_for_the_customers_own_trunk_never_goes_out_by_the_platforms(
    acme: Actor, engine: FakeEngine, now: datetime
) -> None:
    """Its caller id was not checked: no carrier of the platform may show it."""
    own = factories.TrunkFactory(customer=acme.customer, gateway_name="own", proxy="192.0.2.7")
    call = dial(acme, from_number="+15559990000")
    Trunk.objects.filter(pk=own.pk).update(is_active=False)

    end(call, at=now, sip_code=503)

    assert (call.end_reason, call.attempts.count()) == ("trunk_failed", 1)
    assert [asked["endpoint"] for asked in engine.originated] == [f"PJSIP/+15551230002@{own.public_id}"]
