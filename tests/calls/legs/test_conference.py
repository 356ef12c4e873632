"""Conference: calls of one customer in a room, from the first who comes until the last has left."""

import threading
from typing import Any

import pytest
from django.db import connection
from django.db.utils import OperationalError
from pytest_django import DjangoAssertNumQueries

from calls import commands, conferences
from calls.flow import document, store
from calls.models import Call, Conference, Flow
from minivoice import clock
from tests import factories
from tests.calls.exchange import Hall, channel_of, has_ended, read
from tests.conftest import Actor

NUMBER = "+15551230001"
FAREWELL = {"gather": {"timeout_seconds": 9}}


def enter(hall: Hall, *then: Any, room: str = "lobby", before: Any = (), **params: Any) -> Call:
    """Somebody calls in and is let into a room."""
    call = hall.call_in(NUMBER)
    hall.instruct(call, *before, {"conference": {"room": room, **params}}, *then)
    return call


def rooms(hall: Hall) -> list[list[str]]:
    """Who is with whom on the engine."""
    return [sorted(members) for members in hall.engine.bridges.inside.values()]


def channels(*calls: Call) -> list[str]:
    return sorted(channel_of(call) for call in calls)


def lines(call: Call) -> list[str]:
    kinds = call.timeline.order_by("id").values_list("kind", flat=True)
    return [kind for kind in kinds if kind.startswith("conference_")]


def hang_up(hall: Hall, call: Call) -> None:
    hall.engine.end(channel_of(call))
    hall.settle()


def test_all_who_come_are_answered_and_in_one_room(hall: Hall) -> None:
    calls = [enter(hall) for _ in range(3)]

    assert rooms(hall) == [channels(*calls)]
    assert {read(call).status for call in calls} == {"in_progress"}
    assert [lines(call) for call in calls] == [["conference_joined"]] * 3


def test_what_is_under_way_is_told_in_two_queries(
    hall: Hall, acme: Actor, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    first, second, third = enter(hall), enter(hall, end_on_exit=True), enter(hall, room="another")

    with django_assert_num_queries(2):
        told = [
            (conference.customer, conference.room, [(flow.call, flow.is_host) for flow in conference.flows.all()])
            for conference in conferences.under_way()
        ]

    assert told == [
        (acme.customer, "lobby", [(first, False), (second, True)]),
        (acme.customer, "another", [(third, False)]),
    ]


def test_rooms_of_other_names_are_other_rooms(hall: Hall) -> None:
    first, second = enter(hall, room="a"), enter(hall, room="A")

    assert rooms(hall) == [channels(first), channels(second)]


def test_rooms_of_other_customers_are_other_rooms(hall: Hall) -> None:
    call = enter(hall)
    Conference.objects.update(customer=factories.CustomerFactory())

    other = enter(hall)

    assert rooms(hall) == [channels(call), channels(other)]


def test_who_is_mute_is_not_heard(hall: Hall) -> None:
    call = enter(hall, mute=True)
    enter(hall)

    assert hall.engine.bridges.mute == {channel_of(call)}


def test_who_hangs_up_leaves_the_others_and_the_last_ends_it(hall: Hall) -> None:
    first, second = enter(hall), enter(hall)
    hang_up(hall, first)
    hall.tick()
    assert rooms(hall) == [channels(second)]
    assert Conference.objects.get().flows.get().call_id == second.pk

    hang_up(hall, second)
    hall.tick()

    assert (rooms(hall), Conference.objects.count()) == ([], 0)
    assert read(second).end_reason == "caller_hung_up"


def test_when_a_host_hangs_up_the_others_go_on_and_the_room_is_new_for_who_comes_then(hall: Hall) -> None:
    host, stays, ends = enter(hall, end_on_exit=True), enter(hall, FAREWELL), enter(hall)
    hang_up(hall, host)
    late = enter(hall)

    hall.tick()

    assert rooms(hall) == [channels(late)]
    assert (read(stays).status, has_ended(ends), read(ends).end_reason) == ("in_progress", True, "hangup")
    assert lines(stays) == ["conference_joined", "conference_ended"]
    assert Flow.objects.get(call=stays).position == 1
    hall.tick()
    assert [conference.bridge_id for conference in Conference.objects.all()] == list(hall.engine.bridges.inside)


def test_who_is_told_twice_that_one_room_ended_stays_in_the_next(hall: Hall) -> None:
    """A lane that is slow hears it of two ticks."""
    host, call = enter(hall, end_on_exit=True), enter(hall, {"conference": {"room": "after"}})
    hang_up(hall, host)
    [(channel, conference_id)] = conferences.sweep()

    for _ in range(2):
        hall.do(lambda lane: lane.conference_over(channel, conference_id), channel)

    assert rooms(hall) == [channels(call)]
    assert lines(call) == ["conference_joined", "conference_ended", "conference_joined"]


def test_when_a_host_is_instructed_anew_the_others_go_on(hall: Hall) -> None:
    host, other = enter(hall, end_on_exit=True), enter(hall, FAREWELL)
    commands.instruct(call=read(host), url="https://example.test/after", now=clock.now())

    hall.tick()

    assert (rooms(hall), [conference.is_over for conference in Conference.objects.all()]) == ([], [True])
    assert hall.fetches[-1][1].url == "https://example.test/after"
    assert lines(other) == ["conference_joined", "conference_ended"]


def test_new_instructions_take_one_out_and_the_others_stay(hall: Hall) -> None:
    first, second = enter(hall), enter(hall)
    commands.instruct(call=read(first), url="https://example.test/after", now=clock.now())

    hall.tick()

    assert rooms(hall) == [channels(second)]
    assert lines(second) == ["conference_joined"]


@pytest.mark.parametrize("is_back", [True, False])
def test_new_instructions_that_nobody_lived_to_begin_take_it_out_too(hall: Hall, *, is_back: bool) -> None:
    """Once they began beside the voices of the room."""
    first, second = enter(hall), enter(hall)
    then = {"conference": {"room": "lobby"}} if is_back else FAREWELL
    commands.instruct(call=read(first), actions=document.check({"actions": [then]}), now=clock.now())
    hall.die()

    hall.tick()

    assert rooms(hall) == [channels(*[first, second] if is_back else [second])]
    assert lines(first) == ["conference_joined"] * (2 if is_back else 1)


def test_on_a_takeover_all_stay_and_nobody_joins_twice(hall: Hall) -> None:
    calls = [enter(hall, end_on_exit=True), enter(hall)]
    hall.die()

    hall.tick()

    assert rooms(hall) == [channels(*calls)]
    assert [lines(call) for call in calls] == [["conference_joined"]] * 2
    assert Conference.objects.get().flows.count() == 2


def test_a_host_who_left_while_nobody_led_has_ended_it(hall: Hall) -> None:
    host, other = enter(hall, end_on_exit=True), enter(hall, FAREWELL)
    hall.die()
    hang_up(hall, host)

    hall.tick()

    assert (rooms(hall), lines(other)) == ([], ["conference_joined", "conference_ended"])
    assert Flow.objects.get(call=other).position == 1


def test_who_was_killed_on_the_way_in_is_let_in_by_the_next(hall: Hall) -> None:
    call = hall.call_in(NUMBER)
    hall.instruct(call, FAREWELL)
    flow = store.load(call.pk)
    assert flow is not None
    flow.actions = [["conference", {"room": "lobby", "mute": False, "end_on_exit": False}]]
    flow.save()
    conferences.enter(flow, room="lobby", is_host=False, now=clock.now())
    hall.die()

    hall.tick()

    assert rooms(hall) == [channels(call)]
    assert Conference.objects.count() == 1


def test_who_was_killed_on_the_way_out_does_not_come_back(hall: Hall, monkeypatch: pytest.MonkeyPatch) -> None:
    def die(*_: Any, **__: Any) -> None:
        raise OperationalError("gone")

    host, call = enter(hall, end_on_exit=True), enter(hall, FAREWELL)
    hang_up(hall, host)
    with monkeypatch.context() as patch:
        patch.setattr(store, "stepped", die)
        hall.tick()
    hall.tick()

    assert rooms(hall) == []
    assert lines(call) == ["conference_joined", "conference_ended"]


def test_who_enters_an_empty_room_that_is_just_looked_at_stays(hall: Hall, monkeypatch: pytest.MonkeyPatch) -> None:
    close, came = conferences._close_if_empty, []

    def close_after_one_came(conference: Conference) -> bool:
        came.append(enter(hall, FAREWELL))
        return close(conference)

    hang_up(hall, enter(hall))
    with monkeypatch.context() as patch:
        patch.setattr(conferences, "_close_if_empty", close_after_one_came)
        hall.tick()

    assert rooms(hall) == [channels(*came)]
    assert lines(came[0]) == ["conference_joined"]


def test_what_the_engine_refuses_is_noted_and_the_flow_goes_on(hall: Hall) -> None:
    host = enter(hall, end_on_exit=True)
    hall.engine.bridges.refusals = 1000

    call = enter(hall, FAREWELL, end_on_exit=True)
    while not call.timeline.filter(kind="action_failed") and hall.engine.bridges.refusals > 900:
        hall.wake(call)
    hall.tick()

    [failed] = call.timeline.filter(kind="action_failed")
    assert failed.data == {"action": "conference", "why": "currently recording"}
    assert rooms(hall) == [channels(host)]  # which it has not ended


def test_one_who_is_warned_is_let_in_at_once(hall: Hall) -> None:
    call = hall.call_in(NUMBER)
    hall.do(lambda lane: lane.interject(channel_of(call), ["sound:warning"]))

    hall.instruct(call, {"conference": {"room": "lobby"}})

    assert rooms(hall) == [channels(call)]
    assert lines(call) == ["conference_joined"]


def test_one_that_is_still_being_recorded_is_let_in_a_moment_later(hall: Hall) -> None:
    """Once the engine's refusal was the end of it, when new instructions took the place of a voicemail."""
    host = enter(hall)
    hall.engine.bridges.refusals = 3
    call = enter(hall)
    for _ in range(3):
        assert rooms(hall) == [channels(host)]
        hall.wake(call)

    assert rooms(hall) == [channels(host, call)]
    assert lines(call) == ["conference_joined"]


def test_music_of_a_hold_stops_in_there_and_comes_again(hall: Hall) -> None:
    host = enter(hall, end_on_exit=True)
    call = enter(hall, {"pause": {"seconds": 60}}, before=[{"hold": {}}])
    assert hall.engine.music == set()

    hang_up(hall, host)
    hall.tick()

    assert hall.engine.music == {channel_of(call)}


@pytest.mark.django_db(transaction=True)
def test_a_room_that_empties_while_one_enters_is_not_taken_from_under_it(hall: Hall) -> None:
    """The look at what is empty waits for nobody, and closes none that somebody has locked to enter."""
    first = enter(hall)
    second = hall.call_in(NUMBER)
    hall.instruct(second, FAREWELL)
    hang_up(hall, first)
    swept, entered = threading.Event(), threading.Event()

    def come_in() -> None:
        flow = store.load(second.pk)
        assert flow is not None
        written = store.entered

        def slowly(*given: Any, **named: Any) -> None:
            entered.set()
            assert swept.wait(10)
            written(*given, **named)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(store, "entered", slowly)
            conferences.enter(flow, room="lobby", is_host=False, now=clock.now())
        connection.close()

    thread = threading.Thread(target=come_in)
    thread.start()
    assert entered.wait(10)
    conferences.sweep()
    swept.set()
    thread.join()

    assert [conference.is_over for conference in Conference.objects.all()] == [False]
    assert Flow.objects.get(call=second).conference == Conference.objects.get()
