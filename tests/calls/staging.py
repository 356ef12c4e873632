"""A call that was answered, the run of its instructions, and a line that remembers."""

import json
import random
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import pytest

from calls.flow import document, store
from calls.flow.fetching import Fetched, Request
from calls.flow.line import Line
from calls.flow.runner import Runner
from calls.models import Call, Flow, Party, Reason
from minivoice import clock
from telephony.audio import Fetched as Audio
from telephony.engines.facts import ChannelGone, Direction, Fact, Kind
from tests.calls.steps import FakeEngine, answer, dial
from tests.conftest import Actor
from webhooks.models import WebhookEvent


class FakeLine(Line):
    """A line that does nothing and remembers everything."""

    def __init__(self) -> None:
        self.channel_id = "channel"
        self.said: list[str] = []
        self.stopped: list[str] = []
        self.fetched: list[Request] = []
        self.audio: list[str] = []
        self.waits: list[tuple[float, int]] = []
        self.ended: list[tuple[Reason, Party]] = []
        self.is_mute = False
        self.done: list[str] = []
        self.asked = 0
        self.room = ""

    def say(self, text: str, *, voice: str) -> str:
        if self.is_mute:
            raise ChannelGone("no such channel")
        self.said.append(f"{voice}: {text}" if voice else text)
        return f"playback {len(self.said)}"

    def play(self, media: Sequence[str], *, playback_id: str = "") -> str:
        return self.say(" ".join(media), voice="")

    def fetch_audio(self, url: str) -> str:
        self.audio.append(url)
        return f"request {len(self.audio)}"

    def stop(self, playback_id: str) -> None:
        self.stopped.append(playback_id)

    def answer(self, timer_seconds: int) -> None:
        self.done.append("answer")

    def start_music(self) -> None:
        if self.is_mute:
            raise ChannelGone("no such channel")
        self.done.append("music")

    def stop_music(self) -> None:
        self.done.append("no music")

    def mute(self, direction: Direction) -> None:
        self.done.append(f"mute {direction}")

    def unmute(self, direction: Direction) -> None:
        self.done.append(f"unmute {direction}")

    def join(self, room: str, *others: str, is_mute: bool = False) -> bool:
        self.room = room
        return True

    def leave(self, room: str) -> None:
        self.room = ""

    def press(self, keys: str) -> float:
        self.done.append(keys)
        return len(keys) * 0.2

    def fetch(self, request: Request, token: int) -> None:
        self.fetched.append(request)
        self.asked = token

    def wake_in(self, seconds: float, token: int) -> None:
        self.waits.append((seconds, token))

    def hang_up(self, call_id: int, reason: Reason, by: Party, *, now: datetime) -> None:
        self.ended.append((reason, by))


class Stage:
    """A call that was answered, its runner and its line."""

    def __init__(self, call: Call, now: datetime) -> None:
        self.call, self.now, self.line = call, now, FakeLine()
        self.runner = self.take_over()

    def take_over(self) -> Runner:
        """Return a runner as another process would make it."""
        flow = store.load(self.call.pk)
        assert flow is not None
        return Runner(flow, self.line)

    def begin(self, *actions: Any) -> None:
        """Start, and answer the request for instructions with these."""
        self.runner.start(now=self.now)
        self.bring(*actions)

    def bring(self, *actions: Any) -> None:
        body = json.dumps({"actions": actions}).encode()
        self.runner.fetched(self.line.asked, Fetched(document.parse(body), "", 200, 5), now=self.now)

    def played(self, *, failed: bool = False) -> None:
        self.hear(Kind.PLAY_FAILED if failed else Kind.PLAYED, playback_id=f"playback {len(self.line.said)}")

    def fetched_audio(self, *fetched: str, request: int = 1) -> None:
        """Audio was fetched, or could not be."""
        told = f"request {request}", Audio(*fetched)
        self.runner.tell(lambda step: step.audio_fetched(*told, now=self.now), now=self.now)

    def rendered(self, *media: str, playback: int = 1) -> None:
        """A text was rendered, or could not be."""
        told = f"playback {playback}", media
        self.runner.tell(lambda step: step.rendered(*told, now=self.now), now=self.now)

    def press(self, digits: str) -> None:
        for digit in digits:
            self.hear(Kind.DIGIT, digit=digit)

    def hear(self, kind: Kind, **more: Any) -> None:
        """A fact about the channel arrives."""
        fact = Fact(kind=kind, channel_id="channel", at=self.now, **more)
        self.runner.heard(fact, now=self.now)

    def wait(self) -> None:
        """Let the latest wait be over."""
        self.runner.woken(self.line.waits[-1][1], now=self.now)

    def again(self) -> None:
        """Begin anew on a fresh line, as if nothing had been run yet. The row is not read again: that is dear."""
        flow, fresh = self.runner.flow, {"actions": None, "position": 0, "redirects": 0, "is_held": False, "muted": ""}
        Flow.objects.filter(pk=self.call.pk).update(**fresh)
        for name, value in fresh.items():
            setattr(flow, name, value)
        self.line = FakeLine()
        self.runner = Runner(flow, self.line)

    def run_out(self, chance: random.Random) -> None:
        """Let happen whatever the line waits for, and a key now and then, until it ends the call."""
        played, fetched, heard = 0, 1, 0
        while not self.line.ended:
            if chance.random() < 0.1:
                self.press(chance.choice("0123456789*#"))
            elif len(self.line.fetched) > fetched:
                fetched = len(self.line.fetched)
                self.bring()
            elif len(self.line.audio) > heard:
                heard = len(self.line.audio)
                self.fetched_audio(*chance.choice([("sound:a",), ("", "http_404")]), request=heard)
            elif self.line.room:
                self.end_conference()
            elif len(self.line.said) > played:
                played = len(self.line.said)
                self.played()
            else:
                self.wait()

    def end_conference(self) -> None:
        """The conference that the call is in is over."""
        told = self.runner.flow.conference_id or 0
        self.runner.tell(lambda step: step.conference_over(told, now=self.now), now=self.now)

    def gathered(self) -> dict[str, Any]:
        """Return the data of the latest `call.gathered`."""
        body = WebhookEvent.objects.filter(type="call.gathered").latest("pk").body
        data: dict[str, Any] = json.loads(bytes(body))["data"]
        return data

    def timeline(self) -> list[str]:
        return list(self.call.timeline.order_by("id").values_list("kind", flat=True))

    def failures(self) -> list[tuple[str, str]]:
        """Return what failed and why, in its order."""
        lines = self.call.timeline.filter(kind="action_failed").order_by("id")
        return [(line.data["action"], line.data["why"]) for line in lines]

    def row(self) -> Flow:
        return Flow.objects.get(pk=self.call.pk)


@pytest.fixture
def stage(acme: Actor, engine: FakeEngine) -> Stage:
    call, now = dial(acme, answer_url="https://example.test/answer"), clock.now()
    answer(call, at=now)
    return Stage(call, now)
