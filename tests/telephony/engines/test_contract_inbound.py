"""The contract: calls that come in over a trunk, on the simulator and on Asterisk with a caller over SIP."""

from datetime import timedelta

import pytest

from telephony.engines.facts import Arrival, Kind
from tests.stillness import Stillness
from tests.telephony.engines.calling import CALLER, DIALLED, CallingIn, calling_in
from tests.telephony.engines.listening import Ears, SimulatedEngine, until
from tests.telephony.engines.real import RealEngine

Engine = SimulatedEngine | RealEngine


@pytest.fixture
def calls(each_engine: Engine) -> CallingIn:
    return calling_in(each_engine)


def test_a_call_says_its_trunk_its_caller_and_what_was_dialled(each_engine: Engine, calls: CallingIn) -> None:
    with Ears(each_engine.ari) as ears, calls.call() as caller:
        fact = ears.wait_for_arrival()

        assert fact.arrival == Arrival(endpoint=calls.trunk, caller=CALLER, dialled=DIALLED)
        [row] = [row for row in each_engine.ari.channels() if row.id == fact.channel_id]
        assert (row.state, row.entered, row.arrival) == ("Ring", True, fact.arrival)
        caller.give_up()
        ears.wait_for(fact.channel_id, Kind.ENDED)


@pytest.mark.parametrize(
    ("cause", "told", "sip_code"),
    [(1, 404, 404), (16, 603, None), (17, 486, 486), (19, 480, 480), (34, 503, 503)],
)
def test_a_refusal_reaches_the_caller(
    each_engine: Engine, calls: CallingIn, cause: int, told: int, sip_code: int | None
) -> None:
    with Ears(each_engine.ari) as ears, calls.call() as caller:
        channel = ears.wait_for_arrival().channel_id
        each_engine.ari.ring(channel)

        assert each_engine.ari.hang_up(channel, reason_code=cause)

        assert caller.refused() == told
        ended = ears.wait_for(channel, Kind.ENDED)
        assert (ended.cause, ended.sip_code) == (cause, sip_code)
        assert ears.kinds(channel) == [Kind.ENTERED, Kind.HANGUP_REQUESTED, Kind.ENDED]


def test_a_caller_that_gives_up_is_no_answered_call(each_engine: Engine, calls: CallingIn) -> None:
    with Ears(each_engine.ari) as ears, calls.call() as caller:
        channel = ears.wait_for_arrival().channel_id

        caller.give_up()

        ended = ears.wait_for(channel, Kind.ENDED)
        assert (ended.cause, ended.sip_code) == (127, 487)
        assert Kind.ANSWERED not in ears.kinds(channel)


def test_an_answered_caller_presses_keys_and_hangs_up(each_engine: Engine, calls: CallingIn) -> None:
    with Ears(each_engine.ari) as ears, calls.call() as caller:
        channel = ears.wait_for_arrival().channel_id
        each_engine.ari.set_timer(channel, seconds=30)
        each_engine.ari.answer(channel)
        ears.wait_for(channel, Kind.ANSWERED)
        caller.wait_for_answer()

        each_engine.ari.answer(channel)
        caller.press("4")
        assert ears.wait_for(channel, Kind.DIGIT).digit == "4"
        caller.hang_up()

        ended = ears.wait_for(channel, Kind.ENDED)
        assert (ended.cause, ended.sip_code) == (0, None)
        kinds = ears.kinds(channel)
        assert kinds == [Kind.ENTERED, Kind.ANSWERED, Kind.DIGIT, Kind.HANGUP_REQUESTED, Kind.ENDED]


def test_a_timer_set_before_the_answer_ends_the_call(
    each_engine: Engine, calls: CallingIn, stillness: Stillness
) -> None:
    with Ears(each_engine.ari) as ears, calls.call() as caller:
        channel = ears.wait_for_arrival().channel_id
        each_engine.ari.set_timer(channel, seconds=1)
        each_engine.ari.answer(channel)
        answered = ears.wait_for(channel, Kind.ANSWERED)
        caller.wait_for_answer()

        ended = ears.wait_for(channel, Kind.ENDED)

        seconds = (ended.at - answered.at).total_seconds()
        assert seconds >= 0.8 - stillness.seconds(answered.at - timedelta(seconds=1), answered.at)
        assert seconds <= 1.2 + stillness.seconds(answered.at, ended.at)
        assert Kind.HANGUP_REQUESTED not in ears.kinds(channel)


def test_a_call_waits_for_somebody_to_take_it(each_engine: Engine, calls: CallingIn) -> None:
    with calls.call() as caller:
        until(lambda: any(row.arrival for row in each_engine.ari.channels()))
        with Ears(each_engine.ari) as ears:
            channel = ears.wait_for_arrival().channel_id
            each_engine.ari.hang_up(channel, reason_code=17)
            assert caller.refused() == 486
            ears.wait_for(channel, Kind.ENDED)
