"""Steps: what an action of a document is while it runs. Here: what they have in common, and the silent ones.

A step lives on its call's thread and is told one thing at a time. It does not outlive the process: on a takeover the
action begins again with a new one, so all that must not be forgotten is in the `Flow` row.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar, Protocol

from calls.flow import store
from calls.flow.document import Action
from calls.flow.line import Line
from calls.models import Call, Flow, Party, Reason
from telephony.audio import Fetched
from telephony.engines.facts import Fact, Kind


class Run(Protocol):
    """What a step may ask of the run that it is part of."""

    flow: Flow
    line: Line
    told_once: Mapping[str, Any]  # what the next request by POST says beside the row's; kept nowhere

    @property
    def call(self) -> Call:
        """The call, as it was when its flow began here."""

    @property
    def is_answered(self) -> bool:
        """Whether the call is answered, as far as its flow knows."""

    def next(self) -> None:
        """Go on with the action after this one, as soon as the step returns. It is told nothing more."""

    def begin_again(self) -> None:
        """Go on with the first action of what the flow's row has now. The step is told nothing more."""

    def end(self, reason: Reason, *, now: datetime, by: Party = Party.SYSTEM) -> None:
        """End the call. The step is told nothing more."""

    def answer(self) -> None:
        """Answer a call that came in, if it waits for that: billing starts."""

    def hush(self) -> None:
        """End the music of a `hold`, which would go on beside what the step does; it comes again after the step."""

    def fetch(self, *, now: datetime) -> None:
        """Ask for the document that the flow's row names: it takes this one's place. The step is told nothing more."""

    def wake_in(self, seconds: float) -> None:
        """Have the step's `woken` called after some seconds, unless it asks again before."""

    def note(self, kind: str, *, now: datetime, **data: Any) -> None:
        """Write a line of the call's timeline."""

    def failed(self, why: str, *, now: datetime) -> None:
        """Note that the action, or a part of it, failed."""

    def nothing_to_undo(self, why: str, *, now: datetime) -> None:
        """Note, as the action begins, that there is nothing for it to undo, unless it did so before a takeover."""


class Step:
    """One action while it runs. What happens is none of its business, unless it says otherwise.

    An EngineError that it lets out is noted, and the flow goes on, or the call ends where silence would follow; with
    EngineUnreachable nobody can know, and the action runs again when the engine is heard.
    """

    ANSWERS: ClassVar[bool] = False  # a call that came in and waits: billing starts with it
    ENDS_IF_FAILED: ClassVar[bool] = False  # the caller would be left in silence

    def __init__(self, run: Run, action: Action) -> None:
        self.run = run
        self.name, self.params = action

    @property
    def is_quiet(self) -> bool:
        """Whether music on hold may go on meanwhile: nothing of this step is heard, nor anybody else."""
        return False

    def begin(self, *, now: datetime) -> None:
        """Do what the action says; call `run.next` or `run.end`, or wait to be told of something."""
        raise NotImplementedError

    def heard(self, fact: Fact, *, now: datetime) -> None:
        """Take a fact about the channel."""
        match fact.kind:
            case Kind.PLAYED | Kind.PLAY_FAILED:
                self.played(fact.playback_id, failed=fact.kind is Kind.PLAY_FAILED, now=now)
            case Kind.DIGIT:
                self.digit(fact.digit, now=now)

    def played(self, playback_id: str, *, failed: bool, now: datetime) -> None:
        """A playback ended, perhaps one that another step began."""

    def digit(self, digit: str, *, now: datetime) -> None:
        """A key was pressed."""

    def woken(self, *, now: datetime) -> None:
        """The wait is over that was asked for last."""

    def hung_up(self, *, now: datetime) -> None:
        """The call is ending: nothing more can be done, but what is to be told of the step must be told now."""

    def rendered(self, playback_id: str, media: Sequence[str], *, now: datetime) -> None:
        """A text was rendered that is to be played under this id, or could not be, perhaps for another step."""

    def audio_fetched(self, request_id: str, fetched: Fetched, *, now: datetime) -> None:
        """Audio was fetched, or could not be, perhaps for another step."""

    def leg_changed(self, *, now: datetime) -> None:
        """The leg that the flow's row names, or named, was answered or has ended."""

    def conference_over(self, conference_id: int, *, now: datetime) -> None:
        """A conference is over, perhaps one of an earlier step."""

    def abandon(self, *, now: datetime) -> None:
        """Stop what goes on for this step alone: other instructions take its place."""


class Pause(Step):
    """Wait."""

    @property
    def is_quiet(self) -> bool:
        return True

    def begin(self, *, now: datetime) -> None:
        self.run.wake_in(self.params["seconds"])

    def woken(self, *, now: datetime) -> None:
        self.run.next()


class Redirect(Step):
    """Ask another URL for the instructions from here on."""

    def begin(self, *, now: datetime) -> None:
        redirects = self.run.flow.redirects + 1
        if redirects > self.params["max_redirects"]:
            self.run.note("too_many_redirects", now=now, max_redirects=self.params["max_redirects"])
            self.run.end(Reason.ANSWER_URL_FAILED, now=now)
            return
        url, method = self.params["url"], self.params["method"]
        store.asked(self.run.flow, url=url, method=method, reason="redirect", redirects=redirects)
        self.run.fetch(now=now)


class Hangup(Step):
    """End the call."""

    def begin(self, *, now: datetime) -> None:
        self.run.end(Reason.HANGUP, now=now)


class Reject(Step):
    """Refuse a call that came in. One that is answered is hung up, which the timeline says."""

    def begin(self, *, now: datetime) -> None:
        if self.run.is_answered:
            self.run.failed("the call is answered: it is hung up", now=now)
            self.run.end(Reason.HANGUP, now=now)
        else:
            self.run.end(Reason.BUSY if self.params["reason"] == "busy" else Reason.REJECTED, now=now)


class SetVariables(Step):
    """Set variables that every later webhook and request carries."""

    def begin(self, *, now: datetime) -> None:
        if not store.set_variables(self.run.flow, self.params["variables"]):
            limits = f"{store.MOST_VARIABLES} variables and {store.MOST_VARIABLE_BYTES} bytes of them"
            self.run.failed(f"a call may have at most {limits}", now=now)
        self.run.next()


class RemoveVariables(Step):
    """Remove variables."""

    def begin(self, *, now: datetime) -> None:
        store.remove_variables(self.run.flow, self.params["names"])
        self.run.next()


class Unavailable(Step):
    """An action that there is not yet: passed over."""

    def begin(self, *, now: datetime) -> None:
        self.run.note("action_not_available", now=now, action=self.name)
        self.run.next()
