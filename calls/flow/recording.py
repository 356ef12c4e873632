"""Steps that record: a whole call from here on, and a voicemail."""

from datetime import datetime

from calls.flow.document import Action
from calls.flow.steps import Run, Step
from calls.models import Recording
from calls.recordings import progress, recorder, tracks
from telephony.engines.facts import EngineError, Fact, Kind

_LOOK_SECONDS = 0.2
_LOOKS = 25
_OVERTIME_SECONDS = 15.0  # that the word of a voicemail's end may be late


class _OnceUp(Step):
    """A step that needs a call which is up. That one which came in was answered is heard a moment later."""

    ANSWERS = True

    def __init__(self, run: Run, action: Action) -> None:
        super().__init__(run, action)
        self._looks = 0

    def begin(self, *, now: datetime) -> None:
        try:
            self.start(now=now)
        except progress.NotUp:
            self._looks += 1
            if self._looks > _LOOKS:
                self.run.failed("the call is not up", now=now)
                self.run.next()
            else:
                self.run.wake_in(_LOOK_SECONDS)

    def woken(self, *, now: datetime) -> None:
        self.begin(now=now)

    def start(self, *, now: datetime) -> None:
        """Do what the action says. Raises NotUp."""
        raise NotImplementedError


class StartRecording(_OnceUp):
    """Record the call from here on; one that is recorded already goes on being so."""

    def start(self, *, now: datetime) -> None:
        try:
            recorder.start(call=self.run.call, now=now)
        except EngineError as error:  # an engine that is away, too: the call is worth more than its recording
            self.run.failed(str(error), now=now)
        self.run.next()


class StopRecording(Step):
    """End the recording of the call."""

    def begin(self, *, now: datetime) -> None:
        recording = self.run.call.recordings.filter(kind=Recording.Kind.CALL, ended_at=None).first()
        try:
            if recording is None:
                self.run.nothing_to_undo("the call is not being recorded", now=now)
            else:
                recorder.stop(recording, now=now)
        except EngineError as error:
            self.run.failed(str(error), now=now)
        self.run.next()


class Record(_OnceUp):
    """Record a voicemail: what the far end says, until a key, some seconds, or its end."""

    def __init__(self, run: Run, action: Action) -> None:
        super().__init__(run, action)
        self._name = ""  # of the track, once the engine has been asked
        self._recording_id = 0
        self._is_running = False

    def start(self, *, now: datetime) -> None:
        self.run.hush()
        recording = recorder.start_voicemail(
            call=self.run.call,
            channel=self.run.line.channel_id,
            max_seconds=self.params["max_seconds"],
            beep=self.params["beep"],
            now=now,
        )
        (track,) = tracks.of(recording)
        self._name, self._recording_id = track.name, recording.pk
        self.run.wake_in(self.params["max_seconds"] + _OVERTIME_SECONDS)

    def heard(self, fact: Fact, *, now: datetime) -> None:
        if fact.recording and fact.recording == self._name:
            match fact.kind:
                case Kind.RECORDING_STARTED:
                    self._is_running = True
                case Kind.RECORDED:
                    self.run.next()
                case Kind.RECORDING_FAILED:
                    self.run.failed("the engine could not record", now=now)
                    self.run.next()
        else:
            super().heard(fact, now=now)

    def digit(self, digit: str, *, now: datetime) -> None:
        if self._is_running and digit == self.params["finish_on_key"]:
            recorder.give_up(self._name)  # if that fails, it goes on for its seconds

    def woken(self, *, now: datetime) -> None:
        if not self._name:
            super().woken(now=now)
            return
        self.run.failed("its end was not heard", now=now)
        self.abandon(now=now)
        self.run.next()

    def abandon(self, *, now: datetime) -> None:
        if self._name:
            recorder.give_up(self._name)
            progress.stopped(self._recording_id, at=now, now=now)  # should it only begin now, it is ended at once
