"""Steps that are heard, and those that listen for keys."""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from calls import gathering
from calls.flow import store
from calls.flow.document import Action
from calls.flow.steps import Run, Step
from telephony.audio import Fetched
from telephony.engines.facts import EngineError, EngineUnreachable

_WAIT_SECONDS: Mapping[str, float] = {"w": 0.5, ",": 0.5, "W": 1.0}


class Speaking(Step):
    """A step with a playback of its own, '' while nothing of it plays."""

    ANSWERS = True

    def __init__(self, run: Run, action: Action) -> None:
        super().__init__(run, action)
        self._playback_id = ""

    def say(self, text: str, *, now: datetime) -> None:
        """Speak; `spoken` is told of the end, also when nothing is heard, which is noted."""
        self._begin(lambda: self.run.line.say(text, voice=self.params.get("voice", "")), now)

    def rendered(self, playback_id: str, media: Sequence[str], *, now: datetime) -> None:
        if playback_id != self._playback_id:
            return
        if media:
            self._begin(lambda: self.run.line.play(media, playback_id=playback_id), now)
        else:
            self._fail("the text could not be spoken", now)

    def played(self, playback_id: str, *, failed: bool, now: datetime) -> None:
        if playback_id != self._playback_id:
            return
        if failed:
            self._fail("not played", now)
        else:
            self._playback_id = ""
            self.spoken(now=now)

    def spoken(self, *, now: datetime) -> None:
        """Its playback is over, or failed, which is noted."""
        raise NotImplementedError

    @property
    def is_quiet(self) -> bool:
        return not self._playback_id

    def abandon(self, *, now: datetime) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop the playback: its end is no news then."""
        playback_id, self._playback_id = self._playback_id, ""
        if playback_id:
            self.run.line.stop(playback_id)

    def _begin(self, playing: Callable[[], str], now: datetime) -> None:
        try:
            self._playback_id = playing()
        except EngineUnreachable:
            raise
        except EngineError as error:
            self._fail(str(error), now)

    def _fail(self, why: str, now: datetime) -> None:
        self._playback_id = ""
        self.run.failed(why, now=now)
        self.spoken(now=now)


class Say(Speaking):
    """Speak a text to its end."""

    def begin(self, *, now: datetime) -> None:
        self.say(self.params["text"], now=now)

    def spoken(self, *, now: datetime) -> None:
        self.run.next()


class Play(Speaking):
    """Play a sound to its end, as often as it is to be heard."""

    def __init__(self, run: Run, action: Action) -> None:
        super().__init__(run, action)
        self._request_id = ""

    def begin(self, *, now: datetime) -> None:
        self._request_id = self.run.line.fetch_audio(self.params["url"])

    def audio_fetched(self, request_id: str, fetched: Fetched, *, now: datetime) -> None:
        if request_id != self._request_id:
            return
        self._request_id = ""
        if fetched.media:
            self._playback_id = self.run.line.play([fetched.media] * self.params["loop"])
        else:
            self.run.failed(fetched.failure, now=now)
            self.run.next()

    def spoken(self, *, now: datetime) -> None:
        self.run.next()


class SendDigits(Step):
    """Press keys for the far end: the engine sends those in a row, the waits between them are ours."""

    ANSWERS = True

    def __init__(self, run: Run, action: Action) -> None:
        super().__init__(run, action)
        self._rows = _rows(self.params["digits"])

    @property
    def is_quiet(self) -> bool:
        return True

    def begin(self, *, now: datetime) -> None:
        if self.params["pause_before_ms"]:
            self.run.wake_in(self.params["pause_before_ms"] / 1000)
        else:
            self.woken(now=now)

    def woken(self, *, now: datetime) -> None:
        if not self._rows:
            self.run.next()
            return
        keys, wait_seconds = self._rows.pop(0)
        seconds = wait_seconds
        if keys:
            seconds += self.run.line.press(keys)
        self.run.wake_in(seconds)


class Gather(Speaking):
    """Collect keys, which may be pressed during the prompt. The digits so far are in this process only."""

    def __init__(self, run: Run, action: Action) -> None:
        super().__init__(run, action)
        self._digits = ""

    def begin(self, *, now: datetime) -> None:
        if self.params["prompt"]:
            self.say(self.params["prompt"], now=now)
        else:
            self.spoken(now=now)

    def spoken(self, *, now: datetime) -> None:
        self.run.wake_in(self.params["timeout_seconds"])

    def digit(self, digit: str, *, now: datetime) -> None:
        self.stop()
        is_finished = digit == self.params["finish_on_key"]
        if not is_finished:
            self._digits += digit
        if is_finished or len(self._digits) >= self.params["max_digits"]:
            self._end("incomplete", now)
            self.run.next()
        else:
            self.run.wake_in(self.params["timeout_seconds"])

    def woken(self, *, now: datetime) -> None:
        self._end("timeout", now)
        self.run.next()

    def hung_up(self, *, now: datetime) -> None:
        self._end("hangup", now)

    def _end(self, otherwise: str, now: datetime) -> None:
        """Publish what came of it, and go past it at once: nothing is gathered twice.

        The status is `otherwise` when too few keys were pressed.
        """
        params, timed_out = self.params, otherwise == "timeout"
        status = "completed" if len(self._digits) >= params["min_digits"] else otherwise
        brought = {"digits": self._digits, "gather_status": status, "timed_out": timed_out}
        self.run.told_once = brought if params["sensitive"] else {}
        store.gathered(
            self.run.flow,
            gathering.outcome(params, digits=self._digits, status=status, timed_out=timed_out),
            kept={} if params["sensitive"] else brought,
            is_last=otherwise == "hangup",
            now=now,
        )


def _rows(digits: str) -> list[tuple[str, float]]:
    """Return keys to press in a row, each time with the seconds to wait after them."""
    rows = re.findall(r"([0-9*#A-D]*)([wW,]*)", digits.replace(" ", ""))
    return [(keys, sum(_WAIT_SECONDS[wait] for wait in waits)) for keys, waits in rows if keys or waits]
