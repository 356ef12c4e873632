"""What MiniVoice relies on. Runs unchanged on every engine: where they differ, the simulator is wrong."""

import uuid
from datetime import timedelta

import pytest

from minivoice import clock
from telephony.engines.ari import Ari
from telephony.engines.facts import Answer, ChannelGone, EngineUnreachable, Fact, Kind
from tests.stillness import Stillness, watched
from tests.telephony.engines.listening import INFO_TRUNK, NO_TRUNK, Ears, SimulatedEngine, dial, order, until
from tests.telephony.engines.real import RealEngine

NUMBERS = ("486", "404", "503", "603", "480", "183", "555", "742", "901", "002")


class Heard(dict[str, list[Fact]]):
    """What was heard, by the name of its call; and when the machine stood still meanwhile."""

    still: Stillness

    def seconds(self, name: str, earlier: Kind, later: Kind) -> float:
        """Return how long it was between the first two facts of these kinds, but for what the machine took."""
        begin, end = (first(self[name], kind).at for kind in (earlier, later))
        return (end - begin).total_seconds() - self.still.seconds(begin, end)


Engine = SimulatedEngine | RealEngine


@pytest.fixture(scope="module")
def engine(each_engine: Engine) -> Engine:
    """Each engine that must keep the contract."""
    return each_engine


@pytest.fixture(scope="module")
def heard(engine: Engine) -> Heard:
    """What was heard of one call to each number of the table, and of three with a timer, all at once."""
    with watched() as still, Ears(engine.ari) as ears:
        calls = {end: dial(engine.ari, f"+15551230{end}", setup_seconds=1 if end == "480" else 30) for end in NUMBERS}
        calls["742 by INFO"] = dial(engine.ari, "+15551230742", trunk=INFO_TRUNK)
        calls["timer"] = dial(engine.ari, "+15551230183", timer_seconds=1)
        for name in ("timer while playing", "timer set again"):
            calls[name] = answered(engine.ari, ears, timer_seconds=1)
        engine.ari.play(calls["timer while playing"], playback_id="long", media=["sound:hello-world"] * 50)
        engine.ari.set_timer(calls["timer set again"], seconds=2)
        for way in ("742", "742 by INFO"):
            ears.wait_for(calls[way], Kind.ENTERED)
            engine.ari.play(calls[way], playback_id=f"prompt-{calls[way]}", media=["sound:hello-world"])
        for way in ("742", "742 by INFO"):
            ears.wait_for(calls[way], Kind.DIGIT, count=3)
        for end in ("183", "555", "742", "742 by INFO", "002"):
            ears.wait_for(calls[end], Kind.ENTERED)
            assert engine.ari.hang_up(calls[end])
        for channel_id in calls.values():
            ears.wait_for(channel_id, Kind.ENDED)
        heard = Heard({name: ears.of(channel_id) for name, channel_id in calls.items()})
        heard.still = still
        return heard


@pytest.mark.parametrize(("end", "cause"), [("486", 17), ("404", 1), ("503", 34), ("603", 21)])
def test_a_refusal_is_an_end_with_the_code_of_the_far_end(heard: Heard, end: str, cause: int) -> None:
    ended = heard[end][-1]
    assert (ended.kind, ended.sip_code, ended.cause) == (Kind.ENDED, int(end), cause)
    assert set(kinds(heard[end])) <= {Kind.HANGUP_REQUESTED, Kind.ENDED}


def test_nobody_answers_within_the_time_given(heard: Heard) -> None:
    ended = heard["480"][-1]
    assert Kind.RINGING in kinds(heard["480"])
    assert Kind.ANSWERED not in kinds(heard["480"])
    assert (ended.kind, ended.sip_code, ended.cause) == (Kind.ENDED, 480, 19)


def test_early_media_is_told_before_the_answer(heard: Heard) -> None:
    assert_in_order(heard["183"], Kind.PROGRESS, Kind.ANSWERED, Kind.ENTERED, Kind.ENDED)
    assert seconds_between(heard["183"], Kind.PROGRESS, Kind.ANSWERED) > 1.0
    assert heard.seconds("183", Kind.PROGRESS, Kind.ANSWERED) < 3


def test_a_phone_may_ring_long(heard: Heard) -> None:
    assert_in_order(heard["555"], Kind.RINGING, Kind.ANSWERED, Kind.ENTERED, Kind.ENDED)
    assert seconds_between(heard["555"], Kind.RINGING, Kind.ANSWERED) > 4.5
    assert heard.seconds("555", Kind.RINGING, Kind.ANSWERED) < 6


@pytest.mark.parametrize("way", ["742", "742 by INFO"])
def test_pressed_digits_come_one_by_one_after_the_prompt(heard: Heard, way: str) -> None:
    assert "".join(fact.digit for fact in heard[way]) == "42#"
    assert_in_order(heard[way], Kind.PLAYED, Kind.DIGIT)


def test_the_far_end_hangs_up(heard: Heard) -> None:
    assert_in_order(heard["901"], Kind.ANSWERED, Kind.HANGUP_REQUESTED, Kind.ENDED)
    assert heard["901"][-1].cause in (0, 16)
    assert seconds_between(heard["901"], Kind.ANSWERED, Kind.ENDED) > 0.8
    assert heard.seconds("901", Kind.ANSWERED, Kind.ENDED) < 2


def test_a_call_is_answered_entered_and_hung_up_by_us(heard: Heard) -> None:
    assert_in_order(heard["002"], Kind.ANSWERED, Kind.ENTERED, Kind.HANGUP_REQUESTED, Kind.ENDED)
    assert heard["002"][-1].cause == 16
    assert kinds(heard["002"]).count(Kind.HANGUP_REQUESTED) == 1


@pytest.mark.parametrize("end", ["183", "555", "901", "002"])
def test_what_follows_an_answer_says_when_it_was(heard: Heard, end: str) -> None:
    answered = first(heard[end], Kind.ANSWERED).at
    told = {fact.answered_at for fact in heard[end] if fact.kind in {Kind.ENTERED, Kind.ENDED}}
    assert len(told) == 1
    assert all(moment is not None and abs((moment - answered).total_seconds()) < 0.1 for moment in told)


@pytest.mark.parametrize("end", ["486", "404", "503", "603", "480"])
def test_the_end_of_a_call_that_was_never_answered_says_so(heard: Heard, end: str) -> None:
    assert heard[end][-1].answered_at is None


def test_a_ringing_call_is_cancelled(engine: Engine, ears: Ears) -> None:
    channel_id = dial(engine.ari, "+15551230480")
    ears.wait_for(channel_id, Kind.RINGING)
    assert engine.ari.hang_up(channel_id)
    ears.wait_for(channel_id, Kind.ENDED)
    assert Kind.ANSWERED not in ears.kinds(channel_id)
    assert engine.ari.hang_up(channel_id) is False


def test_a_hang_up_carries_its_cause(engine: Engine, ears: Ears) -> None:
    channel_id = answered(engine.ari, ears)
    engine.ari.hang_up(channel_id, reason_code=17)
    assert ears.wait_for(channel_id, Kind.ENDED).cause == 17


def test_live_channels_are_listed_and_ended_ones_are_not(engine: Engine, ears: Ears) -> None:
    ringing, up = dial(engine.ari, "+15551230480"), answered(engine.ari, ears)
    ears.wait_for(ringing, Kind.RINGING)
    listed = {channel.id: channel for channel in engine.ari.channels()}
    assert (listed[ringing].state, listed[ringing].entered) == ("Ringing", False)
    assert (listed[up].state, listed[up].entered) == ("Up", True)
    for channel_id in (ringing, up):
        engine.ari.hang_up(channel_id)
        ears.wait_for(channel_id, Kind.ENDED)
    assert not {ringing, up} & {channel.id for channel in engine.ari.channels()}


def test_media_plays_to_its_end_in_the_order_asked_for(engine: Engine, ears: Ears) -> None:
    channel_id = answered(engine.ari, ears)
    first, second = str(uuid.uuid4()), str(uuid.uuid4())
    engine.ari.play(channel_id, playback_id=first, media=["sound:hello-world", "sound:beep"])
    engine.ari.play(channel_id, playback_id=second, media=["sound:beep"])
    ears.wait_for(channel_id, Kind.PLAYED, count=2)
    played = [fact.playback_id for fact in ears.of(channel_id) if fact.kind is Kind.PLAYED]
    assert played == [first, second]
    assert engine.ari.stop_playback(first) is False
    engine.ari.hang_up(channel_id)


def test_a_playback_is_stopped(engine: Engine, ears: Ears) -> None:
    channel_id, playback_id = answered(engine.ari, ears), str(uuid.uuid4())
    started = ears.wait_for(channel_id, Kind.ENTERED).at
    engine.ari.play(channel_id, playback_id=playback_id, media=["sound:hello-world"] * 50)
    assert engine.ari.stop_playback(playback_id)
    played = ears.wait_for(channel_id, Kind.PLAYED)
    assert played.playback_id == playback_id
    assert (played.at - started).total_seconds() < 3
    engine.ari.hang_up(channel_id)


def test_media_that_does_not_exist_is_taken_and_fails_later(engine: Engine, ears: Ears) -> None:
    channel_id, playback_id = answered(engine.ari, ears), str(uuid.uuid4())
    engine.ari.play(channel_id, playback_id=playback_id, media=["sound:no-such-sound"])
    assert ears.wait_for(channel_id, Kind.PLAY_FAILED).playback_id == playback_id
    engine.ari.hang_up(channel_id)


def test_the_timer_begins_at_the_answer_and_ends_the_call_by_itself(heard: Heard) -> None:
    assert seconds_between(heard["timer"], Kind.ANSWERED, Kind.ENDED) > 0.9
    assert heard.seconds("timer", Kind.ANSWERED, Kind.ENDED) < 1.5
    assert heard["timer"][-1].cause == 0
    assert Kind.HANGUP_REQUESTED not in kinds(heard["timer"])


def test_the_timer_fires_while_playing(heard: Heard) -> None:
    assert seconds_between(heard["timer while playing"], Kind.ANSWERED, Kind.ENDED) > 0.9
    assert heard.seconds("timer while playing", Kind.ANSWERED, Kind.ENDED) < 1.5


def test_the_timer_fires_with_nobody_listening(engine: Engine) -> None:
    with Ears(engine.ari) as ears:
        channel_id = answered(engine.ari, ears, timer_seconds=1)
    until(lambda: channel_id not in {channel.id for channel in engine.ari.channels()}, seconds=3)


def test_the_timer_is_set_again_and_counts_from_then(heard: Heard) -> None:
    assert seconds_between(heard["timer set again"], Kind.ENTERED, Kind.ENDED) > 1.9
    assert heard.seconds("timer set again", Kind.ENTERED, Kind.ENDED) < 3


def test_the_seconds_left_on_the_timer_can_be_read(engine: Engine, ears: Ears) -> None:
    channel_id = answered(engine.ari, ears, timer_seconds=10)
    engine.ari.set_timer(channel_id, seconds=20)
    assert 15 < float(engine.ari.get_variable(channel_id, "TIMEOUT(absolute)") or 0) <= 20
    engine.ari.hang_up(channel_id)


def test_a_call_answered_while_nobody_listens_is_kept_and_delivered(engine: Engine) -> None:
    with Ears(engine.ari) as before:
        entered = answered(engine.ari, before)
    waiting = dial(engine.ari, "+15551230002")
    until(lambda: state(engine.ari, waiting) == "Up")
    [listed] = [channel for channel in engine.ari.channels() if channel.id == waiting]
    assert listed.entered is False
    with Ears(engine.ari) as after:
        assert after.wait_for(waiting, Kind.ENTERED).answered_at == listed.answered_at is not None
        assert Kind.ENTERED not in after.kinds(entered)  # nothing is replayed
        for kept in (entered, waiting):
            engine.ari.hang_up(kept)
            after.wait_for(kept, Kind.ENDED)


def test_a_cut_socket_ends_the_listening_and_no_call(engine: Engine, ears: Ears) -> None:
    channel_id = answered(engine.ari, ears)
    engine.cut_socket()
    ears.wait(lambda: ears.error, what="end of the listening")
    assert isinstance(ears.error, EngineUnreachable)
    assert state(engine.ari, channel_id) == "Up"
    with Ears(engine.ari) as back:
        engine.ari.hang_up(channel_id)
        back.wait_for(channel_id, Kind.ENDED)


def test_a_second_listener_takes_over_and_the_first_is_told(engine: Engine, ears: Ears) -> None:
    with Ears(engine.ari) as second:
        ears.wait(lambda: ears.error, what="end of the listening")
        channel_id = answered(engine.ari, second)
        engine.ari.hang_up(channel_id)
        second.wait_for(channel_id, Kind.ENDED)
    assert isinstance(ears.error, EngineUnreachable)
    assert ears.of(channel_id) == []


def test_asking_twice_for_one_channel_rings_once(engine: Engine, ears: Ears) -> None:
    channel_id = dial(engine.ari, "+15551230480")
    assert order(engine.ari, channel_id, "+15551230480") is Answer.TAKEN
    ears.wait_for(channel_id, Kind.RINGING)
    assert [channel.id for channel in engine.ari.channels()].count(channel_id) == 1
    engine.ari.hang_up(channel_id)
    ears.wait_for(channel_id, Kind.ENDED)
    assert sum("dialstatus" in f.raw for f in ears.of(channel_id) if f.kind is Kind.RINGING) == 1


def test_the_id_of_an_ended_channel_rings_again(engine: Engine, ears: Ears) -> None:
    channel_id = dial(engine.ari, "+15551230486")
    ears.wait_for(channel_id, Kind.ENDED)
    assert order(engine.ari, channel_id, "+15551230486") is Answer.TAKEN
    ears.wait_for(channel_id, Kind.ENDED, count=2)


def test_an_unknown_trunk_is_refused_and_nothing_rings_even_after_an_id_was_in_use(engine: Engine) -> None:
    in_use = dial(engine.ari, "+15551230480")
    order(engine.ari, in_use, "+15551230480")
    channel_id = str(uuid.uuid4())
    assert order(engine.ari, channel_id, "+15551230002", trunk=NO_TRUNK) is Answer.REFUSED
    engine.ari.hang_up(in_use)
    assert channel_id not in {channel.id for channel in engine.ari.channels()}


def test_a_channel_is_commanded_only_between_entering_and_its_end(engine: Engine, ears: Ears) -> None:
    ringing, up = dial(engine.ari, "+15551230480"), answered(engine.ari, ears)
    engine.ari.answer(up)
    engine.ari.hang_up(up)
    ears.wait_for(up, Kind.ENDED)
    for channel_id in (ringing, up):
        with pytest.raises(ChannelGone):
            engine.ari.play(channel_id, playback_id="p", media=["sound:beep"])
        with pytest.raises(ChannelGone):
            engine.ari.set_timer(channel_id, seconds=5)
    engine.ari.hang_up(ringing)


def test_the_engine_tells_its_time(engine: Engine) -> None:
    before = clock.now()
    assert timedelta(seconds=-1) < engine.ari.now() - before < timedelta(seconds=2)


def test_variables_of_the_originate_can_be_read(engine: Engine, ears: Ears) -> None:
    channel_id = answered(engine.ari, ears, timer_seconds=30)
    assert engine.ari.get_variable(channel_id, "TIMER_SECONDS") == "30"
    assert engine.ari.get_variable(channel_id, "NEVER_SET") is None
    engine.ari.hang_up(channel_id)


def answered(ari: Ari, ears: Ears, *, timer_seconds: int = 0) -> str:
    channel_id = dial(ari, "+15551230002", timer_seconds=timer_seconds)
    ears.wait_for(channel_id, Kind.ENTERED)
    return channel_id


def state(ari: Ari, channel_id: str) -> str:
    return next(channel.state for channel in ari.channels() if channel.id == channel_id)


def kinds(facts: list[Fact]) -> list[Kind]:
    return [fact.kind for fact in facts]


def first(facts: list[Fact], kind: Kind) -> Fact:
    return next(fact for fact in facts if fact.kind is kind)


def seconds_between(facts: list[Fact], earlier: Kind, later: Kind) -> float:
    return (first(facts, later).at - first(facts, earlier).at).total_seconds()


def assert_in_order(facts: list[Fact], *expected: Kind) -> None:
    positions = [kinds(facts).index(kind) for kind in expected]
    assert positions == sorted(positions)
