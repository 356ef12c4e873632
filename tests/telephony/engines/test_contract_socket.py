"""Commands over the event socket do what they do over HTTP. Runs unchanged on every engine."""

import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass

import pytest

from telephony.engines.ari import Ari
from telephony.engines.facts import Answer, ChannelGone, CommandRefused, EngineUnreachable, Kind
from tests.stillness import watched
from tests.telephony.engines.cable import Cable
from tests.telephony.engines.listening import NO_TRUNK, Ears, SimulatedEngine, dial, order, until
from tests.telephony.engines.real import RealEngine

RINGS, ANSWERS = "+15551230480", "+15551230002"
Engine = SimulatedEngine | RealEngine


@dataclass
class Way:
    """How an engine is commanded, and what is heard of it."""

    ari: Ari
    ears: Ears


@pytest.fixture(scope="module")
def engine(each_engine: Engine) -> Engine:
    """Each engine that must keep the contract."""
    return each_engine


@pytest.fixture
def cable(engine: Engine) -> Iterator[Cable]:
    with closing(Cable(engine.port)) as cable:
        yield cable


@pytest.fixture
def by_socket(cable: Cable) -> Iterator[Way]:
    """Commands over the event socket."""
    ari = Ari(cable.url, "minivoice", "secret")
    with Ears(ari) as ears:
        until(lambda: ari.is_over_socket)
        yield Way(ari, ears)


@pytest.fixture(params=["over the socket", "over HTTP"])
def way(request: pytest.FixtureRequest, by_socket: Way, cable: Cable) -> Way:
    """Both ways."""
    if request.param == "over the socket":
        return by_socket
    return Way(Ari(cable.url, "minivoice", "secret"), by_socket.ears)


def test_the_socket_alone_carries_a_call(by_socket: Way, cable: Cable) -> None:
    channel_id = answered(by_socket)
    by_socket.ari.ping()
    by_socket.ari.play(channel_id, playback_id=str(uuid.uuid4()), media=["sound:beep"])
    by_socket.ears.wait_for(channel_id, Kind.PLAYED)
    assert by_socket.ari.hang_up(channel_id, reason_code=17)
    assert by_socket.ears.wait_for(channel_id, Kind.ENDED).cause == 17
    assert cable.connections == 1


def test_the_channel_list_goes_over_http(by_socket: Way, cable: Cable) -> None:
    channel_id = answered(by_socket)
    assert channel_id in {channel.id for channel in by_socket.ari.channels()}
    assert cable.connections == 2
    by_socket.ari.hang_up(channel_id)


def test_a_command_too_long_for_the_socket_goes_over_http(by_socket: Way, cable: Cable) -> None:
    channel_id = answered(by_socket)
    quotes = "say:" + '"' * 8000  # 16,000 bytes in a body, 32,000 in a frame
    by_socket.ari.play(channel_id, playback_id=str(uuid.uuid4()), media=[quotes] * 2 + ["sound:beep"] * 100)
    assert cable.connections == 2
    assert by_socket.ari.hang_up(channel_id)
    assert by_socket.ari.is_over_socket


def test_either_way_a_body_as_long_as_the_engine_reads_is_taken_and_a_longer_one_never_sent(way: Way) -> None:
    channel_id, beep = answered(way), "sound:beep"
    fits = (40_960 - len('{"media": []}')) // len('"sound:beep", ')
    way.ari.play(channel_id, playback_id=str(uuid.uuid4()), media=[beep] * fits)
    with pytest.raises(CommandRefused, match="too long"):
        way.ari.play(channel_id, playback_id=str(uuid.uuid4()), media=[beep] * (fits + 2))
    assert way.ari.hang_up(channel_id)


def test_either_way_a_text_of_any_script_counts_by_its_bytes(way: Way) -> None:
    channel_id = answered(way)
    four_bytes_each = "say:" + "😀" * 8000
    way.ari.play(channel_id, playback_id=str(uuid.uuid4()), media=[four_bytes_each])
    with pytest.raises(CommandRefused, match="too long"):
        way.ari.play(channel_id, playback_id=str(uuid.uuid4()), media=[four_bytes_each] * 2)
    assert way.ari.hang_up(channel_id)


def test_either_way_a_command_has_the_same_outcome(way: Way) -> None:
    ari, unknown = way.ari, str(uuid.uuid4())
    up, ringing = answered(way), dial(ari, RINGS)
    ari.answer(up)
    ari.set_timer(up, seconds=20)
    assert 15 < float(ari.get_variable(up, "TIMEOUT(absolute)") or 0) <= 20
    assert ari.get_variable(up, "NEVER_SET") is None
    assert ari.stop_playback(unknown) is False
    assert ari.hang_up(unknown) is False
    for channel_id in (ringing, unknown):
        with pytest.raises(ChannelGone):
            ari.play(channel_id, playback_id="p", media=["sound:beep"])
    for channel_id in (up, ringing):
        assert ari.hang_up(channel_id)
        way.ears.wait_for(channel_id, Kind.ENDED)


def test_either_way_an_id_in_use_is_taken_and_later_refusals_stay_refusals(way: Way) -> None:
    assert order(way.ari, "refused-before", ANSWERS, trunk=NO_TRUNK) is Answer.REFUSED
    in_use = dial(way.ari, RINGS)
    assert order(way.ari, in_use, RINGS) is Answer.TAKEN
    assert order(way.ari, "refused-after", ANSWERS, trunk=NO_TRUNK) is Answer.REFUSED
    assert way.ears.of("refused-after") == []
    assert way.ari.hang_up(in_use)


def test_a_refusal_sent_before_an_id_in_use_was_answered_is_never_called_taken(by_socket: Way, cable: Cable) -> None:
    in_use = dial(by_socket.ari, RINGS)
    cable.hold()
    with ThreadPoolExecutor() as pool:
        again = pool.submit(order, by_socket.ari, in_use, RINGS)
        until(lambda: len(cable.held) == 1)
        refused = pool.submit(order, by_socket.ari, "refused", ANSWERS, trunk=NO_TRUNK)
        until(lambda: len(cable.held) == 2)
        cable.release()
        assert again.result() is Answer.TAKEN
        assert refused.result() in (Answer.REFUSED, Answer.UNCLEAR)
    by_socket.ari.hang_up(in_use)


def test_a_command_that_waits_when_the_socket_is_cut_fails_at_once_and_the_call_lives_on(
    by_socket: Way, cable: Cable
) -> None:
    channel_id = answered(by_socket)
    media = {"playback_id": str(uuid.uuid4()), "media": ["sound:beep"]}
    assert isinstance(cut_while(cable, lambda: by_socket.ari.play(channel_id, **media)), EngineUnreachable)
    assert [channel.state for channel in by_socket.ari.channels() if channel.id == channel_id] == ["Up"]
    assert by_socket.ari.hang_up(channel_id)


def test_an_originate_that_waits_when_the_socket_is_cut_is_unclear_and_not_sent_again(
    by_socket: Way, cable: Cable
) -> None:
    channel_id = str(uuid.uuid4())
    assert cut_while(cable, lambda: order(by_socket.ari, channel_id, RINGS)) is Answer.UNCLEAR
    assert channel_id not in {channel.id for channel in by_socket.ari.channels()}


def test_commands_of_many_threads_are_each_answered_to_their_own_asker(by_socket: Way, cable: Cable) -> None:
    calls = [answered(by_socket, timer_seconds=100 + number) for number in range(8)]

    def ask(call: int) -> list[str | None]:
        return [by_socket.ari.get_variable(calls[call], "TIMER_SECONDS") for _ in range(25)]

    with ThreadPoolExecutor(8) as pool:
        told = list(pool.map(ask, range(8)))
    assert told == [[str(100 + number)] * 25 for number in range(8)]
    assert cable.connections == 1
    for channel_id in calls:
        by_socket.ari.hang_up(channel_id)


def answered(way: Way, *, timer_seconds: int = 0) -> str:
    channel_id = dial(way.ari, ANSWERS, timer_seconds=timer_seconds)
    way.ears.wait_for(channel_id, Kind.ENTERED)
    return channel_id


def cut_while(cable: Cable, command: Callable[[], object]) -> object:
    """Cut the socket while the engine has not been given `command`; return its result, or its error."""
    cable.hold()
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(command)
        until(lambda: cable.held)
        with watched() as still:
            cut_at = time.time()
            cable.cut()
            outcome = waiting.exception() or waiting.result()
            over_at = time.time()
            assert over_at - cut_at - still.seconds(cut_at, over_at) < 1
    return outcome
