"""A trunk's channels and calls per second, counted at the claim of each attempt over it."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest
from django.db import connection

from calls import capacity, dialing, lifecycle
from calls.models import Attempt, Call
from minivoice import clock
from telephony import link
from telephony.models import Trunk
from tests import factories
from tests.calls.steps import FakeEngine, dial, end, latest, place
from tests.conftest import Actor

pytestmark = pytest.mark.usefixtures("nobody_dials")

AGAIN = timedelta(seconds=1.1)


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> FakeEngine:
    """The engine at the edge: it takes every call."""
    fake = FakeEngine()
    monkeypatch.setattr(link, "adapter", lambda: fake)
    return fake


@pytest.fixture
def now() -> datetime:
    """The moment the test begins."""
    return clock.now()


@pytest.fixture
def one_channel(world: None) -> None:
    """The platform's trunk carries one call at a time."""
    Trunk.objects.update(max_channels=1)


@pytest.mark.django_db
@pytest.mark.usefixtures("one_channel")
def test_a_full_trunk_is_passed_over_for_the_next(acme: Actor, engine: FakeEngine) -> None:
    second = factories.TrunkFactory(name="Second carrier", priority=20)
    dial(acme)

    call = dial(acme)

    assert latest(call).trunk == second
    assert call.attempts.count() == 1
    assert engine.originated[1]["endpoint"] == f"PJSIP/+15551230002@{second.endpoint}"


@pytest.mark.django_db
@pytest.mark.usefixtures("one_channel")
def test_a_trunk_that_was_tried_is_not_taken_again(acme: Actor, engine: FakeEngine, now: datetime) -> None:
    second = factories.TrunkFactory(name="Second carrier", priority=20, max_channels=1)
    call = dial(acme)
    blocker = dial(acme)
    end(call, at=now, sip_code=503)

    dialing.drain()

    assert latest(blocker).trunk == second
    assert (latest(call).number, latest(call).state) == (2, "due")


@pytest.mark.django_db
@pytest.mark.usefixtures("one_channel")
def test_a_call_waits_for_a_channel_and_takes_it(acme: Actor, engine: FakeEngine, now: datetime) -> None:
    first, second = dial(acme), place(acme)
    assert dialing.drain() == 0
    second.refresh_from_db()
    assert second.status == "queued"

    end(first, at=now, sip_code=486)
    Attempt.objects.filter(call=second).update(due_at=now)

    assert dialing.drain() == 1
    second.refresh_from_db()
    assert second.status == "dialing"


@pytest.mark.django_db
@pytest.mark.usefixtures("one_channel")
def test_a_call_that_finds_no_room_in_its_setup_time_fails_for_the_trunk(acme: Actor, engine: FakeEngine) -> None:
    dial(acme)
    call = place(acme)
    attempt = latest(call)

    for seconds, goes_on in ((21, True), (23, False)):
        at = call.accepted_at + timedelta(seconds=seconds)
        told = lifecycle.found_no_room(attempt_id=attempt.pk, customer_id=call.customer_id, now=at)
        assert told is goes_on

    call.refresh_from_db()
    assert (call.status, call.end_reason, call.cost_amount) == ("failed", "trunk_failed", 0)
    assert call.timeline.filter(kind="trunks_full").count() == 1
    assert len(engine.originated) == 1


@pytest.mark.django_db
def test_calls_per_second_are_counted_over_any_one_second(acme: Actor, engine: FakeEngine) -> None:
    Trunk.objects.update(max_cps=2)
    calls = [place(acme) for _ in range(3)]

    assert dialing.drain() == 2

    Attempt.objects.filter(state="taken").update(claimed_at=clock.now() - timedelta(seconds=1))
    Attempt.objects.filter(state="due").update(due_at=clock.now())
    assert dialing.drain() == 1
    assert {latest(call).state for call in calls} == {"taken"}


@pytest.mark.django_db
@pytest.mark.usefixtures("one_channel")
def test_health_is_told_of_channels_in_use_and_refused_credentials(acme: Actor, engine: FakeEngine) -> None:
    trunk, now = Trunk.objects.get(), clock.now()
    first = dial(acme)
    assert capacity.load(now=now).channels == {trunk.pk: 1}
    assert capacity.load(now=now).refusals == {}

    end(first, at=now, sip_code=401)

    told = capacity.load(now=now)
    assert told.channels == {}
    assert told.refusals == {trunk.pk: (401, now)}


@pytest.mark.django_db
def test_a_403_is_about_credentials_that_nothing_has_proved_and_for_a_minute(acme: Actor, engine: FakeEngine) -> None:
    trunk, now = Trunk.objects.get(), clock.now()
    end(dial(acme), at=now, sip_code=403)
    assert capacity.load(now=now).refusals == {}  # the carrier knows us by our address

    Trunk.objects.update(username="us")

    assert capacity.load(now=now).refusals == {trunk.pk: (403, now)}
    assert capacity.load(now=now + timedelta(minutes=1)).refusals == {}


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("one_channel", "audited")
def test_two_customers_on_one_channel_of_the_platform_have_one_call_at_a_time(
    acme: Actor, globex: Actor, engine: FakeEngine
) -> None:
    globex.customer.caller_id_policy = "any"
    globex.customer.save()
    for actor in (acme, globex) * 4:
        place(actor)

    for round_number in range(1, 4):
        claimed = drain_side_by_side(6)

        assert claimed == 1
        assert len(engine.originated) == round_number
        [open_one] = Attempt.objects.filter(state__in=["claimed", "taken", "unclear"])
        end(Call.objects.get(pk=open_one.call_id), at=clock.now(), sip_code=486)
        Attempt.objects.filter(state="due").update(due_at=clock.now())


def drain_side_by_side(count: int) -> int:
    """Dial what is due in as many threads; return how many attempts were dialled in all."""
    barrier = threading.Barrier(count)

    def drain() -> int:
        try:
            barrier.wait(5)
            return dialing.drain()
        finally:
            connection.close()

    with ThreadPoolExecutor(count) as threads:
        return sum(done.result(20) for done in [threads.submit(drain) for _ in range(count)])


@pytest.mark.django_db
def test_a_call_for_the_customers_own_trunk_takes_no_channel_of_the_platforms(acme: Actor, engine: FakeEngine) -> None:
    own = factories.TrunkFactory(customer=acme.customer, gateway_name="own", proxy="192.0.2.7", max_channels=0)
    call = place(acme, from_number="+15559990000")
    Trunk.objects.filter(pk=own.pk).update(is_active=False)

    assert dialing.drain() == 0

    assert engine.originated == []
    assert latest(call).trunk == own


@pytest.mark.django_db
@pytest.mark.usefixtures("one_channel")
def test_many_that_wait_for_a_channel_do_not_hold_up_who_looks(acme: Actor, engine: FakeEngine) -> None:
    dial(acme)
    waiting = [place(acme) for _ in range(3)]
    before = {call.pk: latest(call).due_at for call in waiting}

    assert dialing.drain(seconds=-1) == 0

    assert sum(latest(call).due_at != before[call.pk] for call in waiting) == 1
