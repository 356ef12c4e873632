"""Steps that change what the line carries: music when nothing else is heard, and which directions are mute."""

from collections.abc import Mapping
from datetime import datetime

from calls.flow import store
from calls.flow.steps import Step
from telephony.engines.facts import Direction

# A direction is seen from the channel's own party: what we write to it goes out.
_DIRECTIONS: Mapping[str, Direction] = {"read": Direction.IN, "write": Direction.OUT, "both": Direction.BOTH}


class Hold(Step):
    """Play music whenever nothing else plays, until `resume`."""

    ANSWERS = True
    ENDS_IF_FAILED = True

    def begin(self, *, now: datetime) -> None:
        self.run.line.start_music()
        store.held(self.run.flow, is_held=True)
        self.run.next()


class Resume(Step):
    """End the music."""

    def begin(self, *, now: datetime) -> None:
        if self.run.flow.is_held:
            self.run.line.stop_music()
            store.held(self.run.flow, is_held=False)
        else:
            self.run.nothing_to_undo("not on hold", now=now)
        self.run.next()


class Mute(Step):
    """Carry nothing of a direction."""

    def begin(self, *, now: datetime) -> None:
        direction = _DIRECTIONS[self.params["direction"]]
        self.run.line.mute(direction)
        store.muted(self.run.flow, _together(_each(self.run.flow.muted) | _each(direction)))
        self.run.next()


class Unmute(Step):
    """Carry a direction again."""

    def begin(self, *, now: datetime) -> None:
        direction, muted = _DIRECTIONS[self.params["direction"]], _each(self.run.flow.muted)
        if muted & _each(direction):
            self.run.line.unmute(direction)
            store.muted(self.run.flow, _together(muted - _each(direction)))
        else:
            self.run.nothing_to_undo("not muted", now=now)
        self.run.next()


def _each(directions: str) -> frozenset[str]:
    return frozenset({"in", "out"} if directions == Direction.BOTH else filter(None, [directions]))


def _together(directions: frozenset[str]) -> str:
    return Direction.BOTH if len(directions) == 2 else "".join(directions)
