"""The engine killed, not coming back for a while, or frozen, with calls up: ten of them, fifty in `make faults`."""

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from time import monotonic, time

import pytest

from billing import rating
from calls.models import Status
from minivoice import clock
from tests.journeys.crowd import FULL, Crowd, seconds_of
from tests.journeys.stage import until
from tests.stillness import Stillness

COUNT = 50 if FULL else 10
LISTED_WITHIN = timedelta(seconds=8)  # the switchboard lists the channels every five
REFUSED_WITHIN_SECONDS = 6
FINAL_WITHIN_SECONDS = 180
FAST_SECONDS = 1.0  # on a machine that does much else


@pytest.mark.timeout(300)
def test_calls_of_a_killed_engine_are_billed_to_when_they_were_last_seen(crowd: Crowd) -> None:
    up = talk(crowd)

    killed_at = clock.now()
    crowd.kill(crowd.engine)

    crowd.wait_for(up, Status.FAILED, seconds=FINAL_WITHIN_SECONDS)
    assert_lost_at(crowd, up, killed_at)
    crowd.wait_for_all(seconds=1)
    until(
        lambda: crowd.customer.create("+15551230486").status_code == 201,
        seconds=30,
        what="calls are taken again",
        every=0.5,
    )
    crowd.wait_for_all(seconds=30)


@pytest.mark.timeout(300)
def test_an_engine_that_is_not_there_refuses_calls_and_ends_none(crowd: Crowd, stillness: Stillness) -> None:
    up = talk(crowd)

    gone_at = clock.now()
    with crowd.kept_dead(crowd.engine):
        gone = monotonic()
        assert_refused_in_time(crowd, gone)
        assert_refuses_and_reads_fast(crowd, stillness)
        crowd.wait_for(up, Status.IN_PROGRESS, seconds=1)

    crowd.wait_for(up, Status.FAILED, seconds=FINAL_WITHIN_SECONDS)
    assert_lost_at(crowd, up, gone_at)
    crowd.wait_for_all(seconds=60)


@pytest.mark.timeout(300)
def test_calls_of_a_frozen_engine_go_on_when_it_does(crowd: Crowd, stillness: Stillness) -> None:
    up = talk(crowd)

    with crowd.frozen_engine(), ThreadPoolExecutor(COUNT) as threads:
        gone = monotonic()
        waiting = [threads.submit(crowd.customer.create, "+15551230001") for _ in range(COUNT)]
        assert max(seconds_of(lambda: crowd.customer.call(up[0]), stillness) for _ in range(20)) < FAST_SECONDS
        assert_refused_in_time(crowd, gone)
        assert_refuses_and_reads_fast(crowd, stillness)
        assert {create.result().status_code for create in waiting} <= {201, 503}
        crowd.wait_for(up, Status.IN_PROGRESS, seconds=1)

    until(lambda: not is_refused(crowd), seconds=20, what="calls are taken again", every=0.5)
    crowd.wait_for(up, Status.IN_PROGRESS, seconds=1)
    crowd.end_all()
    assert {(call.status, call.end_reason) for call in crowd.calls(up)} == {("completed", "hangup")}
    crowd.assert_charged_what_the_engine_recorded(up)


def talk(crowd: Crowd) -> list[str]:
    """Calls that have been up for long enough to be seen in a listing."""
    ids = crowd.place(*["+15551230001"] * COUNT)
    crowd.wait_for(ids, Status.IN_PROGRESS)
    answered_at = max(call.answered_at for call in crowd.calls(ids) if call.answered_at)
    unseen = crowd.calls(ids).filter(proven_at__lte=answered_at)
    until(lambda: not unseen.exists(), seconds=10, what="all calls were seen in a listing")
    return ids


def is_refused(crowd: Crowd) -> bool:
    """Whether a create now is answered 503; one that is accepted is to a callee that hangs up."""
    return crowd.customer.create("+15551230901").status_code == 503


def assert_refused_in_time(crowd: Crowd, gone: float) -> None:
    """No create that begins later than the bound after `gone` (monotonic) is accepted; one may wait some seconds."""
    while True:
        began = monotonic()
        if is_refused(crowd):
            return
        assert began - gone < REFUSED_WITHIN_SECONDS, "a create was accepted"


def assert_refuses_and_reads_fast(crowd: Crowd, stillness: Stillness) -> None:
    """Every create is refused with a word on when to try again, quickly; lists are read quickly."""
    for _ in range(5):
        began = time()
        refused = crowd.customer.create("+15551230901")
        assert refused.status_code == 503
        assert int(refused.headers["Retry-After"]) > 0
        assert refused.elapsed.total_seconds() - stillness.seconds(began, time()) < FAST_SECONDS
        assert seconds_of(lambda: crowd.customer.request("GET", "/v1/calls"), stillness) < FAST_SECONDS


def assert_lost_at(crowd: Crowd, ids: list[str], killed_at: datetime) -> None:
    """The calls ended with the engine: billed to the last listing before it, and not a moment longer."""
    for call in crowd.calls(ids):
        assert (call.status, call.end_reason, call.hangup_by) == ("failed", "engine_lost", "system")
        assert call.ended_at is not None
        assert killed_at - LISTED_WITHIN <= call.ended_at <= killed_at
        seconds = rating.whole_seconds(call.talk_milliseconds(call.ended_at))
        assert call.cost_amount == rating.charge(call.price, seconds).amount
