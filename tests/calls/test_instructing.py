"""`POST /v1/calls/:id/actions`: a live call follows other instructions, and the old ones are heard no more."""

from typing import Any

import pytest

from calls import commands, sweeps
from calls.flow import store
from calls.flow.document import Action
from calls.flow.fetching import Fetched
from calls.models import Call, Flow
from minivoice import clock
from telephony.engines.facts import Kind
from tests.calls.steps import FakeEngine, answer, dial, end, latest, place
from tests.calls.test_switchboard import GATHER, SAY, Stage, stage
from tests.conftest import Actor, refusal

__all__ = ["stage"]  # a fixture

BYE = {"say": {"text": "Goodbye"}}


def instruct(actor: Actor, call: Call, body: dict[str, Any]) -> Any:
    return actor.client().post(f"/v1/calls/{call.public_id}/actions", body, format="json")


def switch(stage: Stage) -> None:
    """The tick finds what was replaced."""
    for channel_id, call_id in sweeps.instructed():
        stage.do(lambda lane, to=(channel_id, call_id): lane.instruct(*to))  # type: ignore[misc]


def lines(call: Call) -> list[str]:
    return [line.kind for line in call.timeline.order_by("id")]


def test_a_running_flow_is_stopped_and_the_new_one_runs(stage: Stage, acme: Actor) -> None:
    stage.instruct(GATHER, SAY)
    stopped: list[str] = []
    stage.engine.stop_playback = lambda playback_id: bool(stopped.append(playback_id))  # type: ignore[method-assign]

    response = instruct(acme, stage.call, {"actions": [BYE, {"hangup": {}}]})
    switch(stage)

    assert response.status_code == 200
    assert stopped == stage.engine.played[:1]
    assert len(stage.engine.played) == 2
    assert sweeps.instructed() == []
    assert Flow.objects.get().position == 0
    stage.hear(Kind.PLAYED, playback_id=stage.engine.played[1])
    assert stage.engine.hung_up == [stage.channel_id]
    assert "instructions_replaced" in lines(stage.call)


@pytest.mark.parametrize(
    "action",
    [
        Action("pause", {"seconds": 60}),
        Action("send_digits", {"digits": "1WWWWW2", "pause_before_ms": 0}),
        Action("redirect", {"url": "https://example.test/slow", "method": "POST", "max_redirects": 10}),
    ],
)
def test_what_any_action_waits_for_is_waited_for_no_longer(stage: Stage, acme: Actor, action: Action) -> None:
    stage.engine.press = lambda channel_id, keys: None  # type: ignore[attr-defined]
    stage.instruct(action, SAY)
    waits, fetches = list(stage.board.wakes), list(stage.board.fetches)

    instruct(acme, stage.call, {"actions": [{"pause": {"seconds": 60}}]})
    switch(stage)
    for _, _, token in waits:
        stage.do(lambda lane, old=token: lane.woken(stage.channel_id, old))  # type: ignore[misc]
    late = Fetched([SAY], "", 200, 1)
    for _, _, token in fetches:
        stage.do(lambda lane, old=token: lane.fetched(stage.channel_id, old, late))  # type: ignore[misc]

    assert stage.engine.played == []
    assert [line.data["action"] for line in stage.call.timeline.filter(kind="action_started")] == [action.name, "pause"]


def test_who_is_on_hold_stays_so_until_the_new_flow_resumes(stage: Stage, acme: Actor) -> None:
    music: list[str] = []
    stage.engine.start_music = lambda channel_id: music.append("on")  # type: ignore[attr-defined]
    stage.engine.stop_music = lambda channel_id: music.append("off")  # type: ignore[attr-defined]
    stage.instruct(Action("hold", {}), Action("pause", {"seconds": 60}))

    instruct(acme, stage.call, {"actions": [{"resume": {}}, BYE]})
    switch(stage)

    assert music == ["on", "off"]
    assert not stage.call.timeline.filter(kind="action_failed").exists()


def test_an_url_is_asked_for_the_instructions(stage: Stage, acme: Actor) -> None:
    stage.instruct(SAY)

    assert instruct(acme, stage.call, {"url": "https://example.test/next"}).status_code == 200
    switch(stage)

    _, request, _ = stage.board.fetches[-1]
    assert (request.url, request.method, request.context["reason"]) == ("https://example.test/next", "POST", "redirect")


def test_the_end_of_the_old_flow_does_not_hang_up_on_the_new_one(stage: Stage, acme: Actor) -> None:
    stage.instruct(SAY)

    instruct(acme, stage.call, {"actions": [BYE]})
    stage.hear(Kind.PLAYED, playback_id=stage.engine.played[0])
    assert stage.engine.hung_up == []
    switch(stage)

    assert len(stage.engine.played) == 2
    stage.hear(Kind.PLAYED, playback_id=stage.engine.played[1])
    assert stage.engine.hung_up == [stage.channel_id]


def test_a_step_of_the_old_flow_is_not_written_over_the_new_one(stage: Stage, acme: Actor) -> None:
    stage.instruct(SAY, SAY, SAY)

    instruct(acme, stage.call, {"actions": [BYE]})
    stage.hear(Kind.PLAYED, playback_id=stage.engine.played[0])
    assert Flow.objects.get().position == 0
    switch(stage)

    assert len(stage.engine.played) == 2


def test_what_comes_twice_is_begun_once_in_its_last_form(stage: Stage, acme: Actor) -> None:
    stage.instruct(SAY)
    for text in ("One", "Two"):
        instruct(acme, stage.call, {"actions": [{"say": {"text": text}}]})

    switch(stage)

    flow = Flow.objects.get()
    assert (flow.actions, flow.generation, flow.running) == ([["say", {"text": "Two"}]], 2, 2)
    assert len(stage.engine.played) == 2


def test_a_tick_that_tells_a_busy_lane_again_does_not_begin_them_again(stage: Stage, acme: Actor) -> None:
    """Once every further tick while a lane was busy had the new instructions begin anew."""
    stage.instruct(SAY)
    instruct(acme, stage.call, {"actions": [BYE]})
    [(channel_id, call_id)] = sweeps.instructed()

    for _ in range(2):
        stage.do(lambda lane: lane.instruct(channel_id, call_id))

    assert len(stage.engine.played) == 2


def test_new_instructions_wait_until_the_channel_is_ours(stage: Stage, acme: Actor) -> None:
    """Once they began on a channel that a listing showed answered, and failed on it."""
    stage.hear(Kind.ANSWERED)
    instruct(acme, stage.call, {"actions": [BYE]})

    switch(stage)
    assert (stage.engine.played, len(sweeps.instructed())) == ([], 1)
    stage.hear(Kind.ENTERED)

    assert (len(stage.engine.played), sweeps.instructed()) == (1, [])


@pytest.mark.django_db
def test_a_call_not_yet_answered_begins_with_them(acme: Actor, engine: FakeEngine) -> None:
    call = dial(acme)

    assert instruct(acme, call, {"actions": [BYE]}).status_code == 200
    assert sweeps.instructed() == []
    answer(call, at=clock.now())

    assert sweeps.instructed() == [(str(latest(call).channel_id), call.pk)]
    flow = store.load(call.pk)
    assert flow is not None
    assert flow.actions == [["say", {"text": "Goodbye"}]]
    assert store.begun(flow)
    assert sweeps.instructed() == []


@pytest.mark.django_db
def test_a_generation_that_was_replaced_meanwhile_is_not_begun(acme: Actor, engine: FakeEngine) -> None:
    call = dial(acme)
    instruct(acme, call, {"actions": [BYE]})
    flow = store.load(call.pk)
    assert flow is not None
    instruct(acme, call, {"actions": []})

    assert store.begun(flow) is False
    with pytest.raises(store.FlowEnded):
        store.received(flow, [Action("hangup", {})], now=clock.now())


@pytest.mark.django_db
def test_a_call_that_has_ended_is_told_nothing_more(acme: Actor, engine: FakeEngine) -> None:
    call = dial(acme)
    end(call, at=clock.now(), sip_code=486)

    assert refusal(instruct(acme, call, {"actions": []})) == (409, "call_already_ended")
    assert not Flow.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize("is_answered", [True, False])
def test_a_call_that_is_being_hung_up_is_told_nothing_more(acme: Actor, engine: FakeEngine, is_answered: bool) -> None:
    """Once it answered 200, and the instructions were never begun."""
    call = dial(acme, answer_url="https://example.test/answer")
    if is_answered:
        answer(call, at=clock.now())
    commands.hang_up(call=call, now=clock.now())

    assert refusal(instruct(acme, call, {"actions": [BYE]})) == (409, "call_already_ended")
    assert "instructions_replaced" not in lines(call)
    assert not Flow.objects.exclude(generation=0).exists()


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "actions"),
        ({"actions": [], "url": "https://example.test/next"}, "actions"),
        ({"actions": {}}, "actions"),
        ({"actions": [{"fly": {}}]}, "actions[0]"),
        ({"actions": [BYE, {"say": {}}]}, "actions[1].say.text"),
        ({"actions": [BYE] * 201}, "actions"),
        ({"url": "ftp://example.test"}, "url"),
        ({"url": "http://127.0.0.1/"}, "url"),
        ({"url": "https://example.test/next", "method": "PUT"}, "method"),
    ],
)
def test_what_is_wrong_is_told_by_its_path_and_changes_nothing(acme: Actor, body: dict[str, Any], param: str) -> None:
    call = place(acme)

    response = instruct(acme, call, body)

    assert refusal(response) == (400, "invalid_request")
    assert response.json()["error"]["param"].startswith(param)
    assert not Flow.objects.exists()


@pytest.mark.django_db
def test_another_applications_call_is_nobodys(acme: Actor, globex: Actor) -> None:
    assert refusal(instruct(globex, place(acme), {"actions": []})) == (404, "call_not_found")
