"""The run of one call's instructions: it fetches them, and has one step after the other do them.

A runner lives on the thread its call is pinned to and is told of one thing at a time. All that must outlive the
process is in the `Flow` row; what is kept here and in the step begins again with its action.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from itertools import count
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from calls import rendering
from calls.flow import store
from calls.flow.document import Action
from calls.flow.fetching import BUDGET_SECONDS, Fetched, Request
from calls.flow.line import Line
from calls.flow.registry import STEPS
from calls.flow.steps import Step
from calls.models import Call, Flow, Party, Reason
from minivoice.crash import crashpoint
from telephony.engines.facts import EngineError, EngineUnreachable, Fact, Kind

_tokens = count(1)  # no wait and no request of an earlier runner is taken for one of a later


class Runner:
    """The instructions of one live call. Steps know it as their `Run`."""

    def __init__(self, flow: Flow, line: Line) -> None:
        self.flow = flow
        self.line = line
        self.told_once: Mapping[str, Any] = {}
        self._step: Step | None = None
        self._position = 0
        self._next: int | None = None  # the position that is to run as soon as the step returns
        self._token = next(_tokens)
        self._is_hushed = False  # there would be music, but a step has ended it
        self._is_rerun = False  # a runner of before may have done what the action says already
        self.is_answered = not flow.call.is_unanswered_inbound

    def start(self, *, now: datetime) -> None:
        """Begin, or go on where another process stood: the current action runs again from its start."""
        if self.flow.actions is not None:
            self._is_rerun = self.flow.running == self.flow.generation
            self._go_on(self.flow.position, now)
        elif self.flow.url:
            self._ask(now, BUDGET_SECONDS)
        else:
            self.note("no_answer_url", now=now)
            self.end(Reason.HANGUP, now=now)

    def abandon(self, *, now: datetime) -> None:
        """Stop what the step does: other instructions take this runner's place."""
        step, self._step = self._step, None
        if step is not None:
            step.abandon(now=now)
        if self._is_hushed:
            self._go_on_with_music()

    def fetched(self, token: int, result: Fetched, *, now: datetime) -> None:
        """Take the document, or end a call that nobody instructs; not one that was asked for before a restart."""
        if token != self._token:
            return
        line = {"http_status": result.http_status, "duration_ms": result.duration_ms}
        if result.actions is None:
            self.note("answer_url_failed", now=now, url=self.flow.url, why=result.failure, **line)
            self._fall_back(BUDGET_SECONDS - result.duration_ms / 1000, now)
            return
        self.told_once = {}
        store.received(self.flow, result.actions, now=now, **line)
        crashpoint("document_received")
        self._go_on(0, now)

    def woken(self, token: int, *, now: datetime) -> None:
        """A wait is over, unless something else happened first."""
        if token == self._token:
            self.tell(lambda step: step.woken(now=now), now=now)

    def heard(self, fact: Fact, *, now: datetime) -> None:
        """Take a fact about the channel. Music on hold goes on after what was played, unless more is heard by then."""
        self.tell(lambda step: step.heard(fact, now=now), now=now)
        if fact.kind in {Kind.PLAYED, Kind.PLAY_FAILED}:
            self._go_on_with_music()

    def tell(self, tell: Callable[[Step], None], *, now: datetime) -> None:
        """Tell the running step of something, if one runs, and do what follows from it."""
        if self._step is not None:
            self._try(tell, now)
            self._follow(now)

    @property
    def call(self) -> Call:
        """The call, as it was when its flow began here."""
        return self.flow.call

    def next(self) -> None:
        """Go on with the next action, as soon as the step returns."""
        self._step, self._next = None, self._position + 1

    def begin_again(self) -> None:
        """Go on with the first action of what the flow's row has now, as soon as the step returns."""
        self._step, self._next = None, 0

    def end(self, reason: Reason, *, now: datetime, by: Party = Party.SYSTEM) -> None:
        """End the call, unless other instructions have taken the place of these: they begin in a moment."""
        self._step = None
        self._is_hushed = False
        store.must_be_newest(self.flow)
        self.line.hang_up(self.flow.call_id, reason, by, now=now)

    def answer(self) -> None:
        """Answer a call that came in, if it waits for that: billing starts."""
        if not self.is_answered:
            self.line.answer(self.call.timer_seconds)
            self.is_answered = True

    def hush(self) -> None:
        """End the music of a `hold`, which would go on beside what the step does; it comes again after the step."""
        if self.flow.is_held:
            self.line.stop_music()
            self._is_hushed = True

    def fetch(self, *, now: datetime) -> None:
        """Ask for the document that the flow's row names."""
        store.refresh(self.flow)
        self._ask(now, BUDGET_SECONDS)

    def wake_in(self, seconds: float) -> None:
        """Have the step's `woken` called after some seconds, unless it asks again before."""
        self._token = next(_tokens)
        self.line.wake_in(seconds, self._token)

    def note(self, kind: str, *, now: datetime, **data: Any) -> None:
        """Write a line of the call's timeline."""
        store.note(self.call, kind, now=now, **data)

    def failed(self, why: str, *, now: datetime) -> None:
        """Note that the running action, or a part of it, failed."""
        actions = self.flow.actions or []
        self.note("action_failed", now=now, action=actions[self._position][0], why=why)

    def nothing_to_undo(self, why: str, *, now: datetime) -> None:
        """Note that the running action failed as there was nothing to undo, unless a runner of before has undone it."""
        if not self._is_rerun:
            self.failed(why, now=now)

    def _ask(self, now: datetime, budget_seconds: float) -> None:
        """Ask with the call and its application as they were when last read."""
        self._step = None
        application = self.call.application
        try:
            secret, previous_secret = application.webhook_secret, application.previous_secret_at(now)
        except ImproperlyConfigured:
            why = {"why": "secret_unreadable", "http_status": None, "duration_ms": 0}
            self.note("answer_url_failed", now=now, url=self.flow.url, **why)
            self.end(Reason.ANSWER_URL_FAILED, now=now)
            return
        told_once = self.told_once if self.flow.method == "POST" else {}
        bridged = {"bridge_status": self.flow.bridge_status} if self.flow.bridge_status else {}
        known = {**rendering.context(self.call, reason=self.flow.reason), **self.flow.gathered, **bridged}
        request = Request(
            url=self.flow.url,
            method=self.flow.method,
            context={**known, **told_once},
            secret=secret,
            previous_secret=previous_secret,
            budget_seconds=budget_seconds,
        )
        self._token = next(_tokens)
        self.line.fetch(request, self._token)

    def _fall_back(self, left_seconds: float, now: datetime) -> None:
        """Ask the fallback URL within what is left of the budget, or end a call that nobody instructs."""
        application = self.call.application
        if not application.fallback_url or self.flow.reason == "fallback" or left_seconds <= 0:
            self.end(Reason.ANSWER_URL_FAILED, now=now)
            return
        url, method = application.fallback_url, application.answer_method
        store.asked(self.flow, url=url, method=method, reason="fallback", redirects=self.flow.redirects)
        self._ask(now, left_seconds)

    def _go_on(self, position: int, now: datetime) -> None:
        self._next = position
        self._follow(now)

    def _follow(self, now: datetime) -> None:
        """Run what is next, until a step takes its time. A loop: a document of quick steps must not nest 200 deep."""
        while self._next is not None:
            self._position, self._next = self._next, None
            self._run(now)
            self._is_rerun = False
        if self._is_hushed:
            self._go_on_with_music()

    def _go_on_with_music(self) -> None:
        """Play the music of a `hold` again, unless a step is heard, or somebody else is."""
        if self.flow.is_held and (self._step is None or self._step.is_quiet):
            self.line.go_on_with_music()
            self._is_hushed = False

    def _run(self, now: datetime) -> None:
        """Begin the action at the position, or hang up when there is none any more."""
        actions = self.flow.actions or []
        self._token = next(_tokens)
        if self._position >= len(actions):
            self.end(Reason.HANGUP, now=now)
            return
        action = Action(*actions[self._position])
        kind = STEPS[action.name]
        store.stepped(self.flow, self._position, now=now, action=action.name)
        crashpoint("action_begun")
        if kind.ANSWERS:
            self.answer()
        self._step = kind(self, action)
        self._try(lambda step: step.begin(now=now), now)

    def _try(self, tell: Callable[[Step], None], now: datetime) -> None:
        """Tell the step. What the engine will not do is noted, and the flow goes on.

        Raises EngineUnreachable when nobody can know: the action runs again when the engine is heard.
        """
        step = self._step
        if step is None:
            return
        try:
            tell(step)
        except EngineUnreachable:
            raise
        except EngineError as error:
            self.failed(str(error), now=now)
            if step.ENDS_IF_FAILED:
                self.end(Reason.HANGUP, now=now)
            else:
                self.next()
