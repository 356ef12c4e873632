"""Tracks: what the engine records for us, by name. The names are made of the recording's id and nothing else, so that
whatever is found on the engine leads to its row.

A whole call is recorded by two channels that listen in, one a direction, each named as its track: recording the
channel itself would hold up whatever is played on it. A voicemail is recorded on the channel itself.
"""

import re
from typing import NamedTuple

from calls.models import Recording
from telephony.engines.facts import Direction

SIDES = {"said": Direction.IN, "heard": Direction.OUT}  # of the party on the call's own channel

_NAME = re.compile(r"(rec_call_[0-9]{8}T[0-9]{6}\.[0-9]{9}(?:-[0-9]+)?)-(said|heard)")


class Track(NamedTuple):
    """One side of a recording. `name` is that of the engine's file and, for a whole call, of the listening channel."""

    recording_id: str  # the public one
    side: str

    @property
    def name(self) -> str:
        return f"{self.recording_id}-{self.side}"

    @property
    def direction(self) -> Direction:
        return SIDES[self.side]


def of(recording: Recording) -> list[Track]:
    """Return the tracks of a recording."""
    sides = SIDES if recording.kind == Recording.Kind.CALL else ("said",)
    return [Track(recording.public_id, side) for side in sides]


def read(name: str) -> Track | None:
    """Return the track that an engine's file or channel of this name is, None when it is nothing of ours."""
    found = _NAME.fullmatch(name)
    return Track(found[1], found[2]) if found else None
