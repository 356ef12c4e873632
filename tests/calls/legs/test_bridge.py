"""Bridge: a transfer that goes on with its fallback when nobody is to be had."""

from typing import Any

import pytest

from calls import commands
from calls.flow import document
from calls.models import Call, Flow
from minivoice import clock
from telephony.engines.facts import Kind
from tests.calls.exchange import Hall, channel_of, leg_of, read

NUMBER, FIRST, SECOND = "+15551230001", "+15551230002", "+15551230003"
NEXT = {"redirect": {"url": "https://example.test/next", "method": "POST"}}


def bridged(hall: Hall, *fallback: Any, to: str = FIRST) -> Call:
    call = hall.call_in(NUMBER)
    hall.instruct(call, {"type": "bridge", "to": to, "fallback": list(fallback)}, {"say": {"text": "Never said"}})
    return call


@pytest.mark.parametrize(("code", "status"), [(486, "busy"), (404, "invalid_number"), (603, "rejected")])
def test_nobody_there_leads_to_the_fallback_and_the_next_request_says_why(hall: Hall, code: int, status: str) -> None:
    call = bridged(hall, NEXT)

    hall.engine.end(channel_of(leg_of(call)), sip_code=code)
    hall.settle()

    _, request, _ = hall.fetches[-1]
    assert (request.url, request.context["bridge_status"]) == ("https://example.test/next", status)
    assert read(call).status == "ringing"


def test_a_leg_that_is_refused_leads_to_the_fallback(hall: Hall) -> None:
    call = bridged(hall, NEXT, to="+4930123456")

    assert hall.fetches[-1][1].context["bridge_status"] == "refused"
    assert not call.legs.exists()


def test_who_is_on_hold_hears_music_until_the_destination_answers_and_again_when_it_does_not(hall: Hall) -> None:
    """Once the end of the tone that never rang ended the music, and the fallback was waited out in silence."""
    call = hall.call_in(NUMBER)
    pause = {"pause": {"seconds": 60}}
    hall.instruct(call, {"hold": {}}, {"bridge": {"to": FIRST, "fallback": [{"bridge": {"to": SECOND}}]}})
    hall.engine.end(channel_of(leg_of(call)), sip_code=486)
    hall.settle()
    assert (hall.engine.music, hall.engine.ringing) == ({channel_of(call)}, set())

    hall.engine.answer_far_end(channel_of(leg_of(call)))
    hall.settle()
    assert hall.engine.music == set()

    commands.instruct(call=read(call), actions=document.check({"actions": [pause]}), now=clock.now())
    hall.tick()
    assert hall.engine.music == {channel_of(call)}


def test_who_is_on_hold_hears_music_again_after_a_word_while_the_leg_rings(hall: Hall) -> None:
    call = hall.call_in(NUMBER)
    hall.instruct(call, {"hold": {}}, {"bridge": {"to": FIRST, "fallback": [NEXT]}})
    hall.engine.music.clear()  # what is played ends it
    hall.engine.say(Kind.PLAYED, channel_of(call), playback_id="a word")
    hall.settle()
    assert hall.engine.music == {channel_of(call)}

    hall.engine.answer_far_end(channel_of(leg_of(call)))
    hall.settle()
    hall.engine.say(Kind.PLAYED, channel_of(call), playback_id="another")
    hall.settle()
    assert hall.engine.music == set()


def test_without_a_fallback_the_call_ends_as_its_leg(hall: Hall) -> None:
    call = bridged(hall)

    hall.engine.end(channel_of(leg_of(call)), sip_code=486)
    hall.settle()

    assert (read(call).status, read(call).end_reason) == ("failed", "busy")


def test_one_number_is_tried_after_the_other_each_once(hall: Hall) -> None:
    call = bridged(hall, {"bridge": {"to": SECOND, "fallback": [NEXT]}})
    hall.engine.end(channel_of(leg_of(call)), sip_code=486)
    hall.settle()
    assert leg_of(call).to_number == SECOND
    hall.die()  # which begins the current action again, and that alone

    hall.tick()

    assert [asked["endpoint"].split("@")[0] for asked in hall.engine.originated] == [
        f"PJSIP/{FIRST}",
        f"PJSIP/{SECOND}",
    ]
    hall.engine.answer_far_end(channel_of(leg_of(call)))
    hall.settle()
    assert read(call).status == "in_progress"
    assert Flow.objects.get().bridge_status == "answered"


def test_a_destination_that_answered_and_hangs_up_ends_the_call(hall: Hall) -> None:
    call = bridged(hall, NEXT)
    hall.engine.answer_far_end(channel_of(leg_of(call)))
    hall.settle()

    hall.engine.end(channel_of(leg_of(call)))
    hall.settle()

    assert (read(call).status, read(call).end_reason) == ("completed", "hangup")
    assert len(hall.fetches) == 1


def test_new_instructions_are_told_that_the_bridge_was_answered(hall: Hall) -> None:
    call = bridged(hall, NEXT)
    hall.engine.answer_far_end(channel_of(leg_of(call)))
    hall.settle()

    commands.instruct(call=read(call), url="https://example.test/after", now=clock.now())
    hall.tick()

    _, request, _ = hall.fetches[-1]
    assert (request.url, request.context["bridge_status"]) == ("https://example.test/after", "answered")
    assert hall.engine.bridges.inside == {}


@pytest.mark.parametrize(
    ("fallback", "path"),
    [
        ([{"fly": {}}], "$.actions[0].bridge.fallback[0].fly"),
        (
            [{"bridge": {"to": SECOND, "fallback": [{"say": {}}]}}],
            "$.actions[0].bridge.fallback[0].bridge.fallback[0].say.text",
        ),
        ([{"hangup": {}}] * 201, "$.actions"),
    ],
)
def test_a_fallback_is_checked_with_its_document(fallback: list[Any], path: str) -> None:
    with pytest.raises(document.InvalidDocument) as refusal:
        document.check({"actions": [{"bridge": {"to": FIRST, "fallback": fallback}}]})

    assert refusal.value.path == path
