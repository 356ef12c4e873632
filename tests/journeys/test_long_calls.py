"""A call that would go on for hours ends before its money is over, whatever of ours is alive: by the engine's timer."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta

import pytest
import requests

from billing.models import Balance, RateDeck
from calls.models import Call, Status
from minivoice import clock
from minivoice.local import engine
from minivoice.local.stack import Platform
from tests import factories
from tests.journeys import records
from tests.journeys.crowd import HANG_ON, Crowd
from tests.journeys.receiver import Receiver
from tests.journeys.stage import Integrator, running, until

TALKS_ON, NOT_HEARD = "+15551230001", "+15551230444"
OURS = ("web", "dial", "webhooks", "work", "beat", "switchboard")
SIMULATED = {"ENGINE": "simulated", "HOLD_SECONDS": "60"}
REAL = {"ENGINE": "asterisk", "HOLD_SECONDS": "12"}

on_simulator = pytest.mark.parametrize("platform", [SIMULATED], indirect=True, ids=["simulator"])
on_asterisk = pytest.mark.parametrize("platform", [REAL], indirect=True, ids=["asterisk"])
needs_asterisk = pytest.mark.skipif(engine.find() is None, reason="there is no Asterisk on this machine")

pytestmark = pytest.mark.timeout(240)


@pytest.fixture(scope="module")
def platform(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, receiver: Receiver, platform_database: str
) -> Iterator[Platform]:
    """A platform whose clock may be moved without a word to other journeys."""
    with running(tmp_path_factory.mktemp("long"), receiver, database=platform_database, **request.param) as platform:
        yield platform


@pytest.fixture(scope="module")
def platform_database() -> str:
    return "long_calls"


@pytest.fixture
def call_of(
    hire: Callable[..., Integrator], receiver: Receiver, platform: Platform
) -> Callable[..., tuple[Crowd, str]]:
    """Have somebody with some funds call one who never hangs up, at 0.60 a minute; return them and the call's id."""

    def make(*, funds: str, increment: int, callee: str = TALKS_ON) -> tuple[Crowd, str]:
        caller = hire(funds=funds)
        crowd = Crowd(caller, receiver, platform)
        receiver.answers["/talk"] = {"actions": HANG_ON}
        _price(caller, increment)
        (call_id,) = crowd.place(callee)
        crowd.wait_for([call_id], Status.IN_PROGRESS)
        return crowd, call_id

    return make


def advance(platform: Platform, seconds: float) -> None:
    """Skip time on the simulated network, in lock-step with the platform."""
    url = f"{platform.facts['simulator_url']}/simulator/advance"
    requests.post(url, json={"seconds": seconds}, timeout=180).raise_for_status()


def talked_seconds(platform: Platform, call_id: str) -> float:
    """How long the call's channel was up, by the engine's own record."""
    channel = str(Call.objects.get(public_id=call_id).provider_call_id)
    return records.all_talks(platform, [channel])[channel].seconds


@contextmanager
def all_of_ours_dead(crowd: Crowd) -> Iterator[None]:
    """No process of the platform lives but its stores and the engine."""
    with ExitStack() as dead:
        for name in OURS:
            dead.enter_context(crowd.kept_dead(name))
        yield


@on_simulator
@pytest.mark.parametrize(("funds", "seconds"), [("1.20", 120), ("72", 7200)])
def test_ends_in_the_last_second_of_its_money(
    call_of: Callable[..., tuple[Crowd, str]], platform: Platform, funds: str, seconds: int
) -> None:
    crowd, call_id = call_of(funds=funds, increment=60)

    advance(platform, 3 * 3600)

    ended = crowd.customer.ended(call_id, seconds=20)
    assert (ended["end_reason"], ended["hangup_by"]) == ("out_of_funds", "system")
    assert (ended["duration_seconds"], ended["billable_seconds"]) == (seconds, seconds)
    assert seconds - 1 <= talked_seconds(platform, call_id) < seconds
    assert crowd.calls().get().overrun_amount == 0
    assert crowd.customer.balance()["available"] == "0.00"


@on_simulator
def test_a_callee_who_is_not_heard_is_not_charged_for(
    call_of: Callable[..., tuple[Crowd, str]], platform: Platform
) -> None:
    crowd, call_id = call_of(funds="1.20", increment=60, callee=NOT_HEARD)

    advance(platform, 60)

    ended = crowd.customer.ended(call_id, seconds=20)
    assert (ended["status"], ended["end_reason"], ended["hangup_by"]) == ("completed", "media_lost", "system")
    assert (ended["duration_seconds"], ended["ended_at"]) == (0, ended["answered_at"])


@on_simulator
def test_ends_in_the_last_second_of_its_money_with_everything_dead_but_the_engine(
    call_of: Callable[..., tuple[Crowd, str]], platform: Platform
) -> None:
    crowd, call_id = call_of(funds="1.20", increment=60)
    advance(platform, 60)
    told_the_engine = crowd.calls().filter(funded_seconds=120)
    until(told_the_engine.exists, seconds=10, what="the engine's timer was moved")
    until(lambda: _seen_for(crowd) > timedelta(seconds=60), seconds=10, what="the channel was seen at 60 s")

    with all_of_ours_dead(crowd):
        advance(platform, 3 * 3600)
        assert 119 <= talked_seconds(platform, call_id) < 120

    crowd.wait_for_all(seconds=60)
    call = crowd.calls().get()
    assert (call.overrun_amount, call.billable_seconds) == (0, 120)


@needs_asterisk
@on_asterisk
def test_a_real_engine_ends_it_too_with_everything_dead_but_itself(
    call_of: Callable[..., tuple[Crowd, str]], platform: Platform
) -> None:
    crowd, call_id = call_of(funds="0.24", increment=6)  # 24 s
    answered_at = crowd.calls().get().answered_at
    assert answered_at is not None
    until(lambda: clock.now() - answered_at > timedelta(seconds=12), seconds=20, what="twelve seconds of talk")
    assert crowd.calls().get().funded_seconds == 24

    with all_of_ours_dead(crowd):
        channel = str(crowd.calls().get().provider_call_id)
        until(lambda: records.talks(platform, [channel]), seconds=25, what="the engine ended the call", every=0.2)
        assert talked_seconds(platform, call_id) == 23  # rounded down: between 23 and 24

    crowd.wait_for_all(seconds=60)
    assert crowd.calls().get().overrun_amount == 0


def _price(customer: Integrator, increment: int) -> None:
    deck, is_new = RateDeck.objects.get_or_create(name=f"Every {increment} s", defaults={"currency": "USD"})
    if is_new:
        factories.RateFactory(
            version=factories.VersionFactory(deck=deck), initial_increment=increment, subsequent_increment=increment
        )
    Balance.objects.filter(customer=customer.customer).update(deck=deck)


def _seen_for(crowd: Crowd) -> timedelta:
    """How long the call's channel is known to have been up."""
    call = crowd.calls().get()
    assert call.proven_at
    assert call.answered_at
    return call.proven_at - call.answered_at
