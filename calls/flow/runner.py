"""The run of one call's instructions: told what happened, it says what to do next.

A runner lives on the thread its call is pinned to and is told of one thing at a time. All that must outlive the
process is in the `Flow` row; what is kept here (digits so far, the playback, the timer) begins again with its action.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count
from typing import Any, Protocol

from calls import rendering
from calls.flow import store
from calls.flow.document import Action
from calls.flow.fetching import Fetched, Request
from calls.models import Flow, Party, Reason
from minivoice.crash import crashpoint
from telephony.engines.facts import EngineError, EngineUnreachable

_ANSWERING = frozenset({"say", "gather"})  # actions that need the line open both ways: billing starts with them

_tokens = count(1)  # no wait and no request of an earlier runner is taken for one of a later


class Line(Protocol):
    """What a flow can do with its call."""

    def say(self, text: str) -> str:
        """Speak; return the id of the playback. Raises EngineError."""

    def stop(self, playback_id: str) -> None:
        """Stop a playback."""

    def answer(self, timer_seconds: int) -> None:
        """Answer a call that came in, for so long. Raises EngineError."""

    def fetch(self, request: Request, token: int) -> None:
        """Ask for a document; `Runner.fetched` is told it with `token`."""

    def wake_in(self, seconds: float, token: int) -> None:
        """Have `Runner.woken` told `token` after some seconds."""

    def hang_up(self, call_id: int, reason: Reason, by: Party) -> None:
        """End the call."""


@dataclass(slots=True)
class Running:
    """The action that runs: its playback, and the digits a gather has so far."""

    action: Action
    playback_id: str = ""
    digits: str = field(default="", repr=False)


class Runner:
    """The instructions of one live call."""

    def __init__(self, flow: Flow, line: Line) -> None:
        self._flow = flow
        self._line = line
        self._running: Running | None = None
        self._token = next(_tokens)
        self._secret_digits: dict[str, Any] = {}
        self._waits_for_answer = flow.call.is_unanswered_inbound

    def start(self, *, now: datetime) -> None:
        """Begin, or go on where another process stood: the current action runs again from its start."""
        if self._flow.actions is not None:
            self._run(self._flow.position, now)
        elif self._flow.url:
            self._fetch(now)
        else:
            store.note(self._flow.call, "no_answer_url", now=now)
            self._hang_up(Reason.HANGUP)

    def abandon(self) -> None:
        """Stop what is being said: other instructions take this runner's place."""
        if self._running is not None and self._running.playback_id:
            self._line.stop(self._running.playback_id)
        self._running = None

    def fetched(self, token: int, result: Fetched, *, now: datetime) -> None:
        """Take the document, or end a call that nobody instructs; not one that was asked for before a restart."""
        if token != self._token:
            return
        line = {"http_status": result.http_status, "duration_ms": result.duration_ms}
        if result.actions is None:
            store.note(self._flow.call, "answer_url_failed", now=now, url=self._flow.url, why=result.failure, **line)
            self._hang_up(Reason.ANSWER_URL_FAILED)
            return
        store.received(self._flow, result.actions, now=now, **line)
        crashpoint("document_received")
        self._run(0, now)

    def played(self, playback_id: str, *, failed: bool, now: datetime) -> None:
        """A playback ended: speech is over, or a gather's prompt is."""
        running = self._running
        if running is None or running.playback_id != playback_id:
            return
        running.playback_id = ""
        if failed:
            store.note(self._flow.call, "action_failed", now=now, action=running.action.name, why="not played")
        if running.action.name == "say":
            self._next(now)
        elif running.action.name == "gather":
            self._wake_in(running.action.params["timeout_seconds"])

    def digit(self, digit: str, *, now: datetime) -> None:
        """A key was pressed: it counts for a running gather, whose prompt it stops."""
        running = self._running
        if running is None or running.action.name != "gather":
            return
        playback_id, running.playback_id = running.playback_id, ""
        if playback_id:
            self._line.stop(playback_id)
        params = running.action.params
        if digit == params["finish_on_key"]:
            self._end_gather(now, timed_out=False)
            return
        running.digits += digit
        if len(running.digits) >= params["max_digits"]:
            self._end_gather(now, timed_out=False)
        else:
            self._wake_in(params["timeout_seconds"])

    def woken(self, token: int, *, now: datetime) -> None:
        """A wait is over, unless something else happened first."""
        if token != self._token or self._running is None:
            return
        if self._running.action.name == "pause":
            self._next(now)
        elif self._running.action.name == "gather":
            self._end_gather(now, timed_out=True)

    def _run(self, position: int, now: datetime) -> None:
        actions = self._flow.actions or []
        self._token = next(_tokens)
        if position >= len(actions):
            self._running = None
            self._hang_up(Reason.HANGUP)
            return
        action = Action(*actions[position])
        self._running = Running(action)
        store.stepped(self._flow, position, now=now, action=action.name)
        self._perform(action, now)

    def _perform(self, action: Action, now: datetime) -> None:
        if self._waits_for_answer and action.name in _ANSWERING:
            self._line.answer(self._flow.call.timer_seconds)
            self._waits_for_answer = False
        match action.name:
            case "say":
                self._say(action.params, now)
            case "pause":
                self._wake_in(action.params["seconds"])
            case "gather":
                self._gather(action.params, now)
            case "redirect":
                self._redirect(action.params, now)
            case "hangup":
                self._hang_up(Reason.HANGUP)

    def _next(self, now: datetime) -> None:
        self._run(self._flow.position + 1, now)

    def _say(self, params: Mapping[str, Any], now: datetime) -> None:
        if not self._speak(params["text"], now):
            self._next(now)

    def _gather(self, params: Mapping[str, Any], now: datetime) -> None:
        if not params["prompt"] or not self._speak(params["prompt"], now):
            self._wake_in(params["timeout_seconds"])

    def _redirect(self, params: Mapping[str, Any], now: datetime) -> None:
        redirects = self._flow.redirects + 1
        if redirects > params["max_redirects"]:
            store.note(self._flow.call, "too_many_redirects", now=now, max_redirects=params["max_redirects"])
            self._hang_up(Reason.ANSWER_URL_FAILED)
            return
        store.asked(self._flow, url=params["url"], method=params["method"], reason="redirect", redirects=redirects)
        self._fetch(now)

    def _end_gather(self, now: datetime, *, timed_out: bool) -> None:
        running = self._running
        if running is None:
            return
        params = running.action.params
        enough = len(running.digits) >= params["min_digits"]
        status = "completed" if enough else "timeout" if timed_out else "incomplete"
        brought = {"digits": running.digits, "gather_status": status, "timed_out": timed_out}
        told = {name: params[name] for name in ("min_digits", "max_digits", "timeout_seconds", "finish_on_key")}
        shown = None if params["sensitive"] else running.digits
        self._secret_digits = brought if params["sensitive"] else {}
        self._running = None
        store.gathered(
            self._flow,
            {"digits": shown, "status": status, "timed_out": timed_out, **told},
            kept={} if params["sensitive"] else brought,
            now=now,
        )
        self._run(self._flow.position, now)

    def _speak(self, text: str, now: datetime) -> bool:
        """Speak `text` in the running action; return False, noted, when the engine will not.

        Raises EngineUnreachable when nobody can know: the action runs again when the engine is heard.
        """
        running = self._running
        try:
            playback_id = self._line.say(text)
        except EngineUnreachable:
            raise
        except EngineError as error:
            store.note(self._flow.call, "action_failed", now=now, action="say", why=str(error))
            return False
        if running is not None:
            running.playback_id = playback_id
        return True

    def _fetch(self, now: datetime) -> None:
        self._running = None
        call = self._flow.call
        application = store.application_of(call)
        brought, self._secret_digits = self._secret_digits if self._flow.method == "POST" else {}, {}
        self._token = next(_tokens)
        self._line.fetch(
            Request(
                url=self._flow.url,
                method=self._flow.method,
                context={
                    **rendering.context(call, reason=self._flow.reason),
                    **self._flow.gathered,
                    **brought,
                },
                secret=application.webhook_secret,
                previous_secret=application.previous_secret_at(now),
            ),
            self._token,
        )

    def _wake_in(self, seconds: float) -> None:
        self._token = next(_tokens)
        self._line.wake_in(seconds, self._token)

    def _hang_up(self, reason: Reason) -> None:
        self._running = None
        self._line.hang_up(self._flow.call_id, reason, Party.SYSTEM)
