"""A call that the engine does not join yet, as its recording ends a moment later, is joined when it does."""

from tests.calls.exchange import Hall, channel_of, read
from tests.calls.legs.test_transfer import kinds, transferred


def test_one_that_is_still_being_recorded_is_joined_a_moment_later(hall: Hall) -> None:
    call, leg = transferred(hall)
    hall.engine.bridges.refusals = 2
    hall.engine.answer_far_end(channel_of(leg))
    hall.settle()
    hall.wake(call)
    assert hall.engine.bridges.members(channel_of(leg)) == []

    hall.wake(call)

    assert hall.engine.bridges.members(channel_of(leg)) == [channel_of(leg), channel_of(call)]
    assert "leg_joined" in kinds(call)


def test_one_that_the_engine_never_joins_is_hung_up(hall: Hall) -> None:
    call, leg = transferred(hall)
    hall.engine.bridges.refusals = 1000
    hall.engine.answer_far_end(channel_of(leg))
    hall.settle()
    while not read(call).intent and hall.engine.bridges.refusals > 900:
        hall.wake(call)

    assert read(call).intent == "hangup"
    [failed] = call.timeline.filter(kind="action_failed")
    assert failed.data == {"action": "transfer", "why": "currently recording"}
