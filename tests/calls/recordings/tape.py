"""An engine that records what tests say, and a call on it."""

import io
import math
import struct
from datetime import datetime, timedelta
from functools import cache
from typing import Any, BinaryIO

from django.core.files import File

from calls.models import Call, Recording
from calls.recordings import collecting, files, progress, recorder, tracks
from minivoice import clock
from telephony.engines.facts import (
    ChannelGone,
    CommandRefused,
    Direction,
    EngineError,
    Fact,
    Kind,
    NameTaken,
)
from tests.calls.steps import FakeEngine, latest
from webhooks.models import WebhookEvent


class Tape(FakeEngine):
    """Remembers who listens in and what is recorded; tells nothing by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.listening: dict[str, tuple[str, Direction]] = {}
        self.live: list[str] = []
        self.files: dict[str, bytes] = {}
        self.fails_with: dict[str, EngineError] = {}  # by the name of the command
        self.asked: dict[str, Any] = {}  # of the latest recording
        self.entering = 0  # so many tries to record come too soon
        self.recordings = self

    def snoop(self, channel_id: str, *, snoop_id: str, direction: Direction) -> None:
        self._fail("snoop")
        if snoop_id in self.listening:
            raise CommandRefused("in use")
        self.listening[snoop_id] = (channel_id, direction)

    def record_channel(self, channel_id: str, *, name: str, **asked: Any) -> None:
        self._fail("record_channel")
        self.asked = asked
        if self.entering:
            self.entering -= 1
            raise ChannelGone("not entered yet")
        if name in self.live or name in self.files:
            raise NameTaken(name)
        self.live.append(name)

    def stop(self, name: str) -> bool:
        self._fail("stop")
        if name not in self.live:
            return False
        self.end(name)
        return True

    def end(self, name: str, *, seconds: float = 1.0) -> None:
        """A recording ends, as with its channel."""
        self.live.remove(name)
        self.files[name] = wav(440 if name.endswith("said") else 880, seconds=seconds)

    def hang_up(self, channel_id: str, *, reason_code: int | None = None) -> bool:
        self.listening.pop(channel_id, None)
        return super().hang_up(channel_id, reason_code=reason_code)

    def save(self, name: str, file: BinaryIO) -> int:
        self._fail("save")
        if name not in self.files:
            raise ChannelGone(name)
        return file.write(self.files[name])

    def delete(self, name: str) -> bool:
        self._fail("delete")
        return self.files.pop(name, None) is not None

    def stored(self) -> list[str]:
        self._fail("stored")
        return list(self.files)

    def _fail(self, command: str) -> None:
        if command in self.fails_with:
            raise self.fails_with[command]


def tell(recording: Recording, kind: Kind, *, at: datetime, sides: tuple[str, ...] = ("said", "heard")) -> list[bool]:
    """Have the engine tell of a recording's tracks."""
    return [
        progress.record(
            Fact(kind=kind, channel_id=track.name, at=at + timedelta(seconds=0.25 * number), recording=track.name),
            now=at,
        )
        for number, track in enumerate(tracks.of(recording))
        if track.side in sides
    ]


def events(call: Call) -> list[str]:
    """The types of a call's events about recordings, in their order, which has no gaps."""
    told = list(WebhookEvent.objects.filter(call_id=call.public_id).order_by("sequence"))
    assert [event.sequence for event in told] == list(range(1, len(told) + 1))
    call.refresh_from_db()
    assert call.events == len(told)
    return [event.type for event in told if event.type.startswith("recording.")]


def kept(call: Call) -> Recording:
    """A recording of a call that is up, of a second, whose audio is kept. The engine is a Tape."""
    recording = recorder.start(call=call, now=clock.now())
    tell(recording, Kind.RECORDING_STARTED, at=clock.now())
    recorder.stop(recording, now=clock.now())
    collect()
    recording.refresh_from_db()
    return recording


def shown(call: Call) -> Recording:
    """One more recording of a call, as `kept` leaves it, without the way there."""
    number, at, audio = call.recordings.count() + 1, clock.now(), wav(440, seconds=0.01)
    recording = Recording.objects.create(
        public_id=f"rec_{call.public_id}" + (f"-{number}" if number > 1 else ""),
        call=call,
        number=number,
        kind=Recording.Kind.CALL,
        state=Recording.State.COMPLETED,
        storage_type=files.storage_type(),
        created_at=at,
        updated_at=at,
        ended_at=at,
        duration_seconds=0,
        size_bytes=len(audio),
    )
    files.storage(recording.storage_type).save(files.name(recording.public_id), File(io.BytesIO(audio)))
    return recording


def collect() -> None:
    """A worker does what is due, now."""
    Recording.objects.exclude(due_at=None).update(due_at=clock.now())
    collecting.drain()


def channel_of(call: Call) -> str:
    """The call's channel."""
    return str(latest(call).channel_id)


@cache
def wav(tone: int, *, seconds: float, is_finished: bool = True) -> bytes:
    """A track with a tone; one that was not finished says nothing of its length."""
    samples = b"".join(
        struct.pack("<h", int(8000 * math.sin(2 * math.pi * tone * frame / 8000)))
        for frame in range(int(8000 * seconds))
    )
    size = len(samples) if is_finished else 0
    header = struct.pack("<4sI4s", b"RIFF", 36 + size, b"WAVE")
    header += struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, 8000, 16000, 2, 16)
    return header + struct.pack("<4sI", b"data", size) + samples


def opened(content: bytes) -> io.BytesIO:
    """A file with this content."""
    return io.BytesIO(content)
