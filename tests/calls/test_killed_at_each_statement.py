"""A process killed at whatever moment of the actions that are done at once: another one goes on, and nothing tells.

`tests/faults/test_killed_in_an_action.py` kills real processes; here the moments are all there are.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import connection, transaction

from calls.flow import document
from calls.models import Flow, Recording
from telephony import link
from tests.calls.recordings.tape import Tape
from tests.calls.staging import FakeLine, Stage, stage

__all__ = ["stage"]  # a fixture

pytestmark = pytest.mark.django_db

ACTIONS = [
    {"set_variables": {"variables": {"before": 1, "after": 1}}},
    {"hold": {}},
    {"mute": {"direction": "read"}},
    {"start_recording": {}},
    {"mute": {"direction": "write"}},
    {"unmute": {"direction": "read"}},
    {"remove_variables": {"names": ["before"]}},
    {"stop_recording": {}},
    {"resume": {}},
    {"unmute": {"direction": "write"}},
    {"start_stream": {"stream_url": "wss://example.com/stream"}},
    {"pause": {"seconds": 60}},
]
COMMANDS = {"start_music", "stop_music", "mute", "unmute", "snoop", "record_channel", "stop", "hang_up"}


class Killed(BaseException):
    """No code may catch it."""


class Killer:
    """Kills at the nth statement or command, before it."""

    def __init__(self) -> None:
        self.left = 0

    @contextmanager
    def armed(self, nth: int) -> Iterator[None]:
        self.left = nth
        with connection.execute_wrapper(self._statement):
            yield
        self.left = 0

    def watched(self, real: Any) -> Any:
        """Return a stand-in whose commands are passes."""
        killer = self

        class Watched:
            def __getattr__(self, name: str) -> Any:
                found = getattr(real, name)
                if name == "recordings":
                    return self
                return killer._command(found) if name in COMMANDS else found

        return Watched()

    def _command(self, command: Callable[..., Any]) -> Callable[..., Any]:
        def watched(*args: Any, **named: Any) -> Any:
            self._pass()
            return command(*args, **named)

        return watched

    def _statement(self, execute: Callable[..., Any], sql: str, *rest: Any) -> Any:
        if "SAVEPOINT" not in sql:
            self._pass()
        return execute(sql, *rest)

    def _pass(self) -> None:
        self.left -= 1
        if self.left == 0:
            raise Killed


def run(stage: Stage) -> None:
    """A process goes on from the call's rows."""
    stage.runner = stage.take_over()
    stage.runner.start(now=stage.now)


def told(stage: Stage) -> dict[str, Any]:
    """Return what is left of the actions: on the line, on the engine, in the rows and on the timeline."""
    stage.call.refresh_from_db()
    flow, lines = stage.row(), stage.call.timeline.order_by("id")
    begun = [line.data["position"] for line in lines if line.kind == "action_started"]
    assert begun == sorted(begun), "an action before the current one ran again"
    return {
        "failed": stage.failures(),
        "position": flow.position,
        "held": flow.is_held,
        "muted": flow.muted,
        "variables": stage.call.variables,
        "recordings": [(row.state, row.ended_at is None) for row in Recording.objects.all()],
        "begun": sorted(set(begun)),
        "waits": stage.line.waits[-1][0],
        "heard": {word.split()[-1]: word for word in stage.line.done},  # the last word about each
    }


def test_another_goes_on_and_no_action_fails(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once what was undone already could not be undone by the next, and was told as a failure."""
    killer = Killer()
    actions = [[action.name, action.params] for action in document.check({"actions": ACTIONS})]
    Flow.objects.update(actions=actions)
    outcomes = []
    for nth in range(1, 1000):
        tape = Tape()
        stage.line = killer.watched(FakeLine())
        monkeypatch.setattr(link, "adapter", lambda tape=tape: killer.watched(tape))
        moment = transaction.savepoint()
        was_killed = False
        try:
            with killer.armed(nth):
                run(stage)
        except Killed:
            was_killed = True
            run(stage)
        outcomes.append((told(stage), len(set(tape.listening)), tape.live))
        transaction.savepoint_rollback(moment)
        if not was_killed:
            break

    *killed, (undisturbed, *quiet) = outcomes
    assert len(killed) > 3 * len(ACTIONS)
    assert undisturbed["begun"] == list(range(len(ACTIONS)))
    assert (undisturbed["failed"], undisturbed["variables"], quiet) == ([], {"after": 1}, [0, []])
    assert undisturbed["heard"] == {"music": "no music", "in": "unmute in", "out": "unmute out"}
    assert [outcome for outcome in killed if outcome != (undisturbed, *quiet)] == []
