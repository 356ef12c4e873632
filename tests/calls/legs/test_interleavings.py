"""Whatever happens to a call and those it dials, in whatever order: each ends once, is charged once, and is told of.

Seeded: a failure names its seed. More of them with FAULTS=full.
"""

import json
import os
import random
from collections import Counter
from datetime import timedelta
from decimal import Decimal
from typing import Any

from applications.models import Customer
from billing.models import Balance, Entry, Hold, Rate
from calls import commands
from calls.flow.document import check as checked
from calls.flow.fetching import Fetched
from calls.models import FINAL, LIVE, Attempt, Call, CallEvent, Flow
from minivoice import clock, errors
from telephony.engines.facts import Fact
from tests.calls.exchange import Hall, read
from tests.calls.legs.test_transfer import NUMBER
from tests.calls.steps import place
from tests.conftest import Actor
from webhooks.models import WebhookEvent

SEEDS = 1000 if os.environ.get("FAULTS") == "full" else 30
MOST_STEPS = 14
FIRST, SECOND = "+15551230002", "+15551230003"
JOINING: list[list[dict[str, Any]]] = [
    [{"transfer": {"to": FIRST}}],
    [{"bridge": {"to": FIRST}}],
    [{"bridge": {"to": FIRST, "fallback": [{"bridge": {"to": SECOND}}, {"pause": {"seconds": 60}}]}}],
    [{"bridge": {"to": FIRST, "fallback": [{"pause": {"seconds": 60}}, {"transfer": {"to": SECOND}}]}}],
]
OTHERS: list[list[dict[str, Any]]] = [[{"pause": {"seconds": 60}}], []]
REFUSALS = [(17, 486), (1, 404), (21, 603), (41, 503), (0, None)]


class Story:
    """One call, and what befalls it."""

    def __init__(self, hall: Hall, acme: Actor, dice: random.Random) -> None:
        self.hall, self.dice = hall, dice
        self.heard: list[Fact] = []
        if dice.random() < 0.5:
            self.call = hall.call_in(NUMBER)
        else:
            self.call = place(acme)
            hall.settle()
            hall.engine.answer_far_end(str(self.call.attempts.get().channel_id))
            hall.settle()
        self.instruct()

    def go_on(self) -> None:
        """Let something happen, and perhaps be heard of at once."""
        self.dice.choice(
            [
                *[self.ring, self.refuse, *[self.answer] * 4],
                *[self.hang_up_somebody, self.hang_up_by_api, self.replace, self.instruct, self.wake],
                *[self.take_over, self.repeat, self.repeat, self.disorder, self.tick],
            ]
        )()
        if self.dice.random() < 0.6:
            self.hear()

    def hear(self) -> None:
        self.heard.extend(self.hall.engine.facts)
        self.hall.settle()

    def channels(self, *states: str) -> list[str]:
        """The channels of the call's legs that are in one of these states on the engine."""
        legs = [attempt.channel for attempt in Attempt.objects.filter(call__parent=self.call)]
        live = self.hall.engine.live
        return [channel for channel in legs if channel in live and live[channel].state in states]

    def ring(self) -> None:
        for channel in self.channels("Down"):
            self.hall.engine.ring_far_end(channel)

    def answer(self) -> None:
        for channel in self.channels("Down"):
            self.hall.engine.answer_far_end(channel)

    def refuse(self) -> None:
        for channel in self.channels("Down"):
            cause, sip_code = self.dice.choice(REFUSALS)
            self.hall.engine.end(channel, cause=cause, sip_code=sip_code)

    def hang_up_somebody(self) -> None:
        if live := sorted(self.hall.engine.live):
            self.hall.engine.end(self.dice.choice(live), cause=16)

    def hang_up_by_api(self) -> None:
        call = self.dice.choice([self.call, *self.call.legs.all()])
        commands.hang_up(call=read(call), now=clock.now())

    def replace(self) -> None:
        actions = self.dice.choice(JOINING + OTHERS)
        try:
            commands.instruct(call=read(self.call), actions=checked({"actions": actions}), now=clock.now())
        except errors.CallAlreadyEnded:
            assert read(self.call).is_final or read(self.call).hung_up_at

    def instruct(self) -> None:
        """The answer URL answers, if it was asked."""
        channel = self.call.attempts.get().channel
        tokens = [token for asked, _, token in self.hall.fetches if asked == channel]
        if tokens:
            document = Fetched(checked({"actions": self.dice.choice(JOINING)}), "", 200, 1)
            self.hall.do(lambda lane: lane.fetched(channel, tokens[-1], document), channel)

    def wake(self) -> None:
        if self.hall.wakes:
            channel, token = self.hall.wakes[-1]
            self.hall.do(lambda lane: lane.woken(channel, token), channel)

    def take_over(self) -> None:
        """Another switchboard takes over; what happened and was not heard is lost."""
        self.hall.die()
        self.hall.tick()

    def repeat(self) -> None:
        """Something is told once more, late."""
        if self.heard:
            self.hall.engine.facts.append(self.dice.choice(self.heard))

    def disorder(self) -> None:
        """What waits to be heard is heard in another order."""
        facts = list(self.hall.engine.facts)
        self.dice.shuffle(facts)
        self.hall.engine.facts.clear()
        self.hall.engine.facts.extend(facts)

    def tick(self) -> None:
        self.hall.tick()

    def end(self) -> None:
        """Who is on the call hangs up, which ends all that is left of it; a minute passes."""
        channel = self.call.attempts.get().channel
        if channel in self.hall.engine.live:
            self.hall.engine.end(channel, cause=16)
        self.hear()
        for seconds in (6, 15, 21, 60):
            if Call.objects.filter(LIVE).exists() or self.hall.engine.bridges.inside:
                self.hall.tick(at=clock.now() + timedelta(seconds=seconds))


def check(story: Story) -> None:
    """Each ended once, was charged once and is told of; nothing is left on the engine."""
    call = read(story.call)
    legs = list(call.legs.order_by("id"))
    for each in (call, *legs):
        assert each.status in FINAL
        assert each.timeline.filter(kind__in=[f"call_{status}" for status in FINAL]).count() == 1
        charges = [-entry.amount for entry in Entry.objects.filter(key=f"charge:{each.public_id}")]
        assert charges == [each.cost_amount] * bool(each.cost_amount)
        assert (each.cost_amount or 0) == 0 or each.answered_at
        assert not Hold.objects.filter(key=each.public_id, closed_at=None).exists()
    told = WebhookEvent.objects.filter(call_id=call.public_id, type__in=[f"call.{status}" for status in FINAL])
    [event] = told
    assert event.type == f"call.{call.status}"
    [said] = [json.loads(bytes(event.body))["data"]]
    assert [(leg["id"], leg["status"], Decimal(leg["cost_amount"])) for leg in said.get("legs", [])] == [
        (leg.public_id, leg.status, leg.cost_amount) for leg in legs
    ]
    assert not WebhookEvent.objects.filter(call_id__in=[leg.public_id for leg in legs]).exists()
    asked = Counter(asked["channel_id"] for asked in story.hall.engine.originated)
    assert set(asked.values()) <= {1}
    assert (story.hall.engine.live, story.hall.engine.bridges.inside) == ({}, {})


def test_random_lives_end_once_are_charged_once_and_are_told_of(hall: Hall, acme: Actor) -> None:
    Customer.objects.update(max_concurrent_calls=10_000, max_cps=10_000)
    Rate.objects.update(price_per_minute=Decimal("0.06"))
    for seed in range(SEEDS):
        story = Story(hall, acme, random.Random(seed))
        try:
            for _ in range(story.dice.randrange(1, MOST_STEPS)):
                story.go_on()
            story.end()
            check(story)
        except Exception as error:
            kinds = list(CallEvent.objects.filter(call=story.call).order_by("id").values_list("kind", flat=True))
            raise AssertionError(f"seed {seed}: {error!r}; {kinds}") from error
    assert not Flow.objects.exists()
    assert not Call.objects.filter(LIVE).exists()
    assert Balance.objects.get().held == 0
