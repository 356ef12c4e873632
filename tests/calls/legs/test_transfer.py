"""Transfer: the call dials another, is joined with it, and ends with it."""

import json
from datetime import timedelta
from decimal import Decimal
from importlib import import_module
from typing import Any

import pytest
from django.db import connection

from applications.models import Customer
from billing.models import Balance, Hold, Rate
from calls import commands, dialing, legs
from calls.models import Call, Flow, Refusal
from minivoice import clock
from telephony.engines.facts import Answer, Kind
from telephony.models import Number
from tests import factories
from tests.calls.exchange import Exchange, Hall, channel_of, has_ended, leg_of, read
from tests.conftest import Actor
from webhooks.models import WebhookEvent

NUMBER, DESTINATION = "+15551230001", "+15551230002"
TRANSFER = {"transfer": {"destination": DESTINATION}}
SPELLINGS_OF_DESTINATION = (
    *("+15551230002", "15551230002", "0015551230002", "01115551230002", "001115551230002"),
    *("+1-555-123-0002", "+1.555.123.0002", "1_555_1230002", "155512300020000000000"),
)


def transferred(hall: Hall, action: Any = None, *before: Any) -> tuple[Call, Call]:
    """Somebody calls in and is transferred; return the call and its leg, which is dialled."""
    call = hall.call_in(NUMBER)
    hall.instruct(call, *before, action or TRANSFER)
    if before:
        hall.wake(call)
    return call, leg_of(call)


def joined(hall: Hall) -> tuple[Call, Call]:
    """A caller and a callee who talk."""
    call, leg = transferred(hall)
    hall.engine.answer_far_end(channel_of(leg))
    hall.settle()
    assert hall.engine.bridges.members(channel_of(leg)) == [channel_of(leg), channel_of(call)]
    return call, leg


def final_event(call: Call) -> dict[str, Any]:
    event = WebhookEvent.objects.get(call_id=call.public_id, type=f"call.{read(call).status}")
    data: dict[str, Any] = json.loads(bytes(event.body))["data"]
    return data


def kinds(call: Call) -> list[str]:
    return list(call.timeline.order_by("id").values_list("kind", flat=True))


def test_an_unanswered_caller_is_answered_with_the_destination(hall: Hall) -> None:
    call, leg = transferred(hall)
    assert (read(call).status, leg.status) == ("ringing", "dialing")
    hall.engine.ring_far_end(channel_of(leg))
    hall.engine.answer_far_end(channel_of(leg))

    hall.settle()

    assert (read(call).status, read(leg).status) == ("in_progress", "in_progress")
    assert hall.engine.bridges.members(channel_of(leg)) == [channel_of(leg), channel_of(call)]
    assert hall.engine.ringing == set()
    told = ["leg_accepted", "leg_ringing", "leg_answered", "leg_joined"]
    assert [kind for kind in kinds(call) if kind.startswith("leg_")] == told


def test_the_call_ends_when_the_destination_hangs_up(hall: Hall) -> None:
    call, leg = joined(hall)

    hall.engine.end(channel_of(leg))
    hall.settle()

    assert (read(call).status, read(call).end_reason, read(call).hangup_by) == ("completed", "hangup", "callee")
    assert hall.engine.bridges.inside == {}


@pytest.mark.parametrize(("whose", "reasons"), [("leg", ("hangup", "media_lost")), ("call", ("media_lost", "hangup"))])
def test_what_is_not_charged_of_lost_media_is_that_of_the_end_which_lost_it(
    hall: Hall, whose: str, reasons: tuple[str, str]
) -> None:
    """Once a caller who was heard throughout was not charged for the minute in which the leg was not."""
    call, leg = joined(hall)
    since = clock.now() - timedelta(seconds=65)
    Call.objects.update(accepted_at=since, answered_at=since)

    silent = channel_of(leg if whose == "leg" else call)
    hall.engine.say(Kind.MEDIA_LOST, silent)
    hall.engine.end(silent, cause=44)
    hall.settle()

    assert (read(call).end_reason, read(leg).end_reason) == reasons
    lengths = {row.end_reason: row.duration_seconds for row in (read(call), read(leg))}
    assert lengths["media_lost"] in {5, 6}
    assert lengths["hangup"] in {65, 66}


def test_a_caller_who_hangs_up_ends_both_and_the_last_event_knows_what_each_cost(hall: Hall) -> None:
    """Once the event was told while the leg was still up, and lacked its cost."""
    call, leg = joined(hall)

    hall.engine.end(channel_of(call))
    hall.settle()

    assert (read(call).end_reason, read(call).hangup_by) == ("caller_hung_up", "caller")
    assert (read(leg).status, read(leg).end_reason, read(leg).hangup_by) == ("completed", "hangup", "caller")
    [told] = final_event(call)["legs"]
    assert (told["id"], told["status"], told["cost_amount"]) == (leg.public_id, "completed", "0.60")


def test_a_call_is_charged_to_its_own_end_though_its_leg_ends_later(hall: Hall) -> None:
    call, leg = joined(hall)
    hall.engine.end(channel_of(call))
    hung_up_at = hall.engine.facts[0].at
    hall.engine.is_away = True  # the leg cannot be hung up yet
    hall.settle()
    assert (read(call).status, read(call).hung_up_at) == ("in_progress", hung_up_at)
    assert Hold.objects.filter(closed_at=None).count() == 2
    hall.engine.is_away = False

    hall.tick(at=clock.now() + commands.QUEUE_TIME)

    assert has_ended(leg)
    assert (read(call).status, read(call).ended_at, read(call).end_reason) == (
        "completed",
        hung_up_at,
        "caller_hung_up",
    )


def test_a_caller_who_gives_up_cancels_the_leg_which_costs_nothing(hall: Hall) -> None:
    call, leg = transferred(hall)
    hall.engine.ring_far_end(channel_of(leg))

    hall.engine.end(channel_of(call), cause=127, sip_code=487)
    hall.settle()

    assert (read(call).status, read(call).end_reason) == ("failed", "caller_hung_up")
    assert (read(leg).status, read(leg).cost_amount) == ("canceled", 0)
    assert [told["status"] for told in final_event(call)["legs"]] == ["canceled"]
    assert Balance.objects.get().held == 0


@pytest.mark.parametrize(("code", "reason", "cause"), [(486, "busy", 17), (404, "invalid_number", 1)])
def test_a_caller_is_told_why_nobody_is_to_be_had(hall: Hall, code: int, reason: str, cause: int) -> None:
    call, leg = transferred(hall)

    hall.engine.end(channel_of(leg), cause=cause, sip_code=code)
    hall.settle()

    assert (read(leg).end_reason, read(call).status, read(call).end_reason) == (reason, "failed", reason)
    assert hall.engine.causes == [cause]


def test_an_answered_caller_hears_that_it_rings(hall: Hall) -> None:
    call, leg = transferred(hall, None, {"gather": {"timeout_seconds": 1}})
    assert hall.engine.ringing == {channel_of(call)}

    hall.engine.answer_far_end(channel_of(leg))
    hall.settle()

    assert hall.engine.ringing == set()


def test_an_answered_caller_hears_that_it_rings_again_after_a_word(hall: Hall) -> None:
    """Once the warning that funds run out ended the tone, and the caller waited in silence."""
    call, leg = transferred(hall, None, {"gather": {"timeout_seconds": 1}})
    hall.engine.ringing.clear()  # what is played ends it
    hall.engine.say(Kind.PLAYED, channel_of(call), playback_id="a word")
    hall.settle()
    assert hall.engine.ringing == {channel_of(call)}

    hall.engine.answer_far_end(channel_of(leg))
    hall.settle()
    hall.engine.say(Kind.PLAYED, channel_of(call), playback_id="another")
    hall.settle()
    assert hall.engine.ringing == set()


@pytest.mark.parametrize("who", ["the caller", "the callee"])
def test_one_who_is_warned_is_joined_at_once(hall: Hall, who: str) -> None:
    """Once the engine kept the lane waiting until all was said, and both heard nothing for seconds more."""
    call, leg = transferred(hall)
    channels = {"the caller": channel_of(call), "the callee": channel_of(leg)}
    hall.engine.answer_far_end(channel_of(leg))
    hall.do(lambda lane: lane.interject(channels[who], ["sound:warning"]))
    assert list(hall.engine.playing.values()) == [channels[who]]

    hall.settle()

    assert hall.engine.bridges.members(channel_of(leg)) == [channel_of(leg), channel_of(call)]
    assert "leg_joined" in kinds(call)


def test_a_takeover_joins_one_who_is_still_warned(hall: Hall) -> None:
    call, leg = transferred(hall)
    hall.do(lambda lane: lane.interject(channel_of(call), ["sound:warning"]))
    hall.engine.answer_far_end(channel_of(leg))
    hall.die()

    hall.tick()

    assert hall.engine.bridges.members(channel_of(leg)) == [channel_of(leg), channel_of(call)]


def test_later_actions_do_not_run(hall: Hall) -> None:
    call = hall.call_in(NUMBER)
    hall.instruct(call, TRANSFER, {"say": {"text": "Never said"}})

    hall.engine.end(channel_of(leg_of(call)), sip_code=486)
    hall.settle()

    assert has_ended(call)
    assert kinds(call).count("action_started") == 1


@pytest.mark.parametrize(
    ("changes", "destination", "code"),
    [
        ({"max_concurrent_calls": 1}, DESTINATION, "concurrent_call_limit_reached"),
        ({"blocked_prefixes": ["1555"]}, DESTINATION, "destination_blocked"),
        ({}, "+4930123456", "rate_not_found"),
        ({}, "sip:desk@elsewhere.example", "no_active_trunk"),
        *(
            ({"blocked_prefixes": ["1555"]}, f"sip:{user}@pbx.example", "destination_blocked")
            for user in SPELLINGS_OF_DESTINATION
        ),
        ({"allowed_countries": ["DE"]}, "sip:15551230002@pbx.example", "destination_blocked"),
        ({"allowed_countries": ["DE"]}, "sip:0049-30-123456@elsewhere.example", "no_active_trunk"),
        ({}, "sip:19005551234@pbx.example", "destination_blocked"),
    ],
)
def test_a_leg_that_is_refused_ends_the_call_and_says_by_which_check(
    hall: Hall, acme: Actor, changes: dict[str, Any], destination: str, code: str
) -> None:
    factories.RateFactory(version=Rate.objects.get().version, prefix="sip")
    factories.TrunkFactory(customer=acme.customer, proxy="pbx.example") if "pbx" in destination else None
    call = hall.call_in(NUMBER)
    Customer.objects.update(**changes)

    hall.instruct(call, {"transfer": {"to": destination}})

    assert (read(call).status, read(call).end_reason) == ("failed", "originate_failed")
    [line] = call.timeline.filter(kind="leg_refused")
    assert (line.data["code"], line.data["to"]) == (code, destination)
    assert [(row.code, row.last_number) for row in Refusal.objects.all()] == [(code, destination[:16])]
    assert Call.objects.count() == 1


def test_a_caller_id_that_is_not_the_customers_is_refused(hall: Hall) -> None:
    call = hall.call_in(NUMBER)

    hall.instruct(call, {"transfer": {"to": DESTINATION, "from": "+15559999999"}})

    [line] = call.timeline.filter(kind="leg_refused")
    assert line.data["code"] == "caller_id_not_allowed"


def test_a_leg_is_admitted_beside_what_its_call_holds(hall: Hall) -> None:
    Rate.objects.update(price_per_minute=Decimal("99.89"))  # of a hundred, of which the call holds 0.12
    call = hall.call_in(NUMBER)

    hall.instruct(call, TRANSFER)

    [line] = call.timeline.filter(kind="leg_refused")
    assert line.data["code"] == "insufficient_balance"


def test_new_instructions_part_the_two(hall: Hall) -> None:
    call, leg = joined(hall)
    room = channel_of(leg)

    commands.instruct(call=read(call), actions=[], now=clock.now())
    hall.tick()

    assert room not in hall.engine.bridges.inside
    assert (read(leg).status, read(leg).hangup_by) == ("completed", "api")
    assert (read(call).status, read(call).end_reason) == ("completed", "hangup")


def test_nobody_is_dialled_for_a_call_that_is_to_end(hall: Hall) -> None:
    call = hall.call_in(NUMBER)
    Call.objects.update(intent="canceled", intent_by="api")

    hall.instruct(call, TRANSFER)

    assert (Call.objects.count(), hall.engine.originated) == (1, [])
    Call.objects.update(intent="", intent_by="")


def test_a_takeover_joins_a_leg_that_was_answered_meanwhile(hall: Hall) -> None:
    call, leg = transferred(hall)
    hall.engine.answer_far_end(channel_of(leg))
    hall.die()

    hall.tick()

    assert hall.engine.bridges.members(channel_of(leg)) == [channel_of(leg), channel_of(call)]
    assert len(hall.engine.originated) == 1
    assert read(call).status == "in_progress"


def test_a_takeover_leaves_those_who_talk_as_they_are(hall: Hall) -> None:
    call, leg = joined(hall)
    hall.die()

    hall.tick()

    assert (kinds(call).count("leg_joined"), len(hall.engine.originated)) == (1, 1)
    hall.engine.end(channel_of(leg))
    hall.settle()
    assert read(call).end_reason == "hangup"


def test_a_takeover_learns_that_the_leg_has_ended(hall: Hall) -> None:
    call, leg = transferred(hall)
    hall.die()
    hall.engine.end(channel_of(leg), sip_code=486)
    hall.settle()

    hall.tick()

    assert (read(call).end_reason, len(hall.engine.originated)) == ("busy", 1)


def test_a_leg_that_ends_in_another_process_ends_its_call(hall: Hall) -> None:
    """A worker that finds no trunk for it tells no lane."""
    hall.engine.answers.extend([Answer.REFUSED] * 2)
    call = hall.call_in(NUMBER)
    hall.instruct(call, TRANSFER)
    assert (leg_of(call).end_reason, has_ended(call)) == ("originate_failed", False)

    hall.tick()

    assert read(call).end_reason == "originate_failed"


def test_a_forwarded_call_takes_new_instructions(hall: Hall, acme: Actor) -> None:
    Number.objects.update(route_mode="sip", routing_target=DESTINATION)
    call = hall.call_in(NUMBER)
    leg = leg_of(call)
    hall.engine.answer_far_end(channel_of(leg))
    hall.settle()

    answer = acme.client().post(
        f"/v1/calls/{call.public_id}/actions", {"actions": [{"pause": {"seconds": 60}}]}, format="json"
    )
    hall.tick()

    assert answer.status_code == 200
    assert (read(leg).status, read(call).status) == ("completed", "in_progress")


def test_a_leg_that_cannot_be_hung_up_does_not_keep_the_next_one_up(
    hall: Hall, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Once the first that failed was the last that a sweep looked at."""
    poisoned, healthy = joined(hall)[1], joined(hall)[1]
    hang_up = dialing.hang_up

    def fail_for_one(*, call: Call, **more: Any) -> bool:
        if call == poisoned:
            raise ValueError("poison")
        return hang_up(call=call, **more)

    with monkeypatch.context() as patch:
        patch.setattr(dialing, "hang_up", fail_for_one)
        Flow.objects.update(leg=None)  # nobody wants either
        legs.sweep(now=clock.now())
    hall.settle()

    assert (has_ended(poisoned), has_ended(healthy)) == (False, True)
    assert f"{poisoned.public_id} is left to the next sweep" in caplog.text


def test_a_call_that_was_forwarded_before_the_upgrade_goes_on(hall: Hall) -> None:
    """Once it had no flow after it, and the leg that nobody wanted was hung up."""
    Number.objects.update(route_mode="sip", routing_target=DESTINATION)
    other = joined_by(hall, hall.call_in(NUMBER))
    call = hall.call_in(NUMBER)
    joined_by(hall, call)
    transfer = Flow.objects.get(call=call).actions
    Flow.objects.filter(call=call).delete()

    with connection.cursor() as cursor:
        cursor.execute(import_module("calls.migrations.0019_flows_of_forwarded_calls").ADD_FLOWS)
    hall.die()
    hall.tick()

    assert (Flow.objects.get(call=call).actions, read(call).status) == (transfer, "in_progress")
    assert {read(leg).status for leg in (other, leg_of(call))} == {"in_progress"}
    hall.engine.end(channel_of(leg_of(call)))
    hall.settle()
    assert (read(call).end_reason, Call.objects.count()) == ("hangup", 4)


def joined_by(hall: Hall, call: Call) -> Call:
    """Have a forwarded call's leg answered; return it."""
    leg = leg_of(call)
    hall.engine.answer_far_end(channel_of(leg))
    hall.settle()
    return leg


def test_an_empty_bridge_that_a_killed_process_left_behind_is_destroyed(
    hall: Hall, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once it stayed on the engine for ever: a leg's end was written down, and its bridge not destroyed."""
    call, leg = joined(hall)
    room, another = channel_of(leg), joined(hall)[1]
    hall.engine.bridges.create("somebody's own")
    with monkeypatch.context() as patch:
        patch.setattr(hall.engine.bridges, "destroy", lambda bridge_id: False)
        hall.engine.end(room)
        hall.settle()
    assert has_ended(call)
    assert hall.engine.bridges.members(room) == []
    hall.die()

    hall.tick(at=clock.now() + timedelta(seconds=6))

    assert set(hall.engine.bridges.inside) == {"somebody's own", channel_of(another)}


@pytest.mark.parametrize("kind", [Kind.ENDED, Kind.ENTERED, Kind.RINGING])
def test_what_is_told_twice_changes_nothing(hall: Hall, exchange: Exchange, kind: Kind) -> None:
    call, leg = joined(hall)
    channel = channel_of(leg)
    if kind is Kind.ENDED:
        exchange.end(channel)
        hall.settle()

    exchange.say(kind, channel)
    hall.settle()

    assert has_ended(call) is (kind is Kind.ENDED)
    assert len(exchange.originated) == 1
