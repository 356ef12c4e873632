"""The network by itself, on a clock that the test moves."""

import dataclasses
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from telephony.simulator.channels import Order
from telephony.simulator.events import Event
from telephony.simulator.network import Network


class HandTimer:
    def __init__(self, due_at: datetime, action: Callable[[], None]) -> None:
        self.due_at = due_at
        self.action = action
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class HandTiming:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self._now = datetime(2026, 3, 1, tzinfo=UTC)
        self._timers: list[HandTimer] = []

    def now(self) -> datetime:
        return self._now

    def later(self, seconds: float, action: Callable[[], None]) -> HandTimer:
        timer = HandTimer(self._now + timedelta(seconds=seconds), action)
        self._timers.append(timer)
        return timer

    def advance(self, seconds: float) -> None:
        end = self._now + timedelta(seconds=seconds)
        while due := [timer for timer in self._timers if timer.due_at <= end and not timer.cancelled]:
            timer = min(due, key=lambda timer: timer.due_at)
            self._timers.remove(timer)
            self._now = timer.due_at
            timer.action()
        self._now = end


class Heard:
    """An audience that takes notes."""

    def __init__(self, *, connected: bool = True) -> None:
        self.connected = connected
        self.events: list[Event] = []

    def publish(self, event: Event, *, in_app: bool) -> None:
        self.events.append(event)

    @property
    def types(self) -> list[str]:
        return [event["type"] for event in self.events]


def network(timing: HandTiming, heard: Heard, *, records_kept: int = 10) -> Network:
    return Network(timing=timing, audience=heard, refused_trunks=set(), records_kept=records_kept)


def order(number: str, **variables: str) -> Order:
    return Order(
        channel_id="c1",
        number=number,
        trunk="carrier",
        caller_id="+15551230001",
        context="minivoice-out",
        variables=variables,
        timeout_seconds=30,
    )


def test_a_call_that_nobody_takes_over_is_kept_for_fifteen_seconds() -> None:
    timing, heard = HandTiming(), Heard(connected=False)
    calls = network(timing, heard)
    calls.originate(order("+15551230002"))
    timing.advance(0.2 + 14.9)
    assert [channel.state for channel in calls.channels()] == ["Up"]
    timing.advance(0.2)
    assert calls.channels() == []
    assert "StasisStart" not in heard.types
    assert heard.types[-1] == "ChannelDestroyed"


def test_the_events_of_a_call_come_as_asterisk_sends_them() -> None:
    timing, heard = HandTiming(), Heard()
    calls = network(timing, heard)
    channel = calls.originate(order("+15551230002"))
    timing.advance(1)
    channel.play("p1", ["sound:beep"], {})
    timing.advance(1)
    channel.hang_up()
    statuses = [event["dialstatus"] for event in heard.events if event["type"] == "Dial"]
    assert statuses == ["", "RINGING", "ANSWER"]
    assert heard.types == [
        "ChannelCreated",
        "Dial",
        "Dial",
        "ChannelStateChange",
        "Dial",
        "ChannelStateChange",
        "StasisStart",
        "PlaybackStarted",
        "PlaybackFinished",
        "ChannelHangupRequest",
        "StasisEnd",
        "ChannelHangupRequest",
        "ChannelDestroyed",
    ]
    assert all(event["timestamp"].endswith("+0000") for event in heard.events)


def test_the_timer_does_not_eat_the_ring_time_and_ends_without_a_request() -> None:
    timing, heard = HandTiming(), Heard()
    calls = network(timing, heard)
    calls.originate(order("+15551230555", TIMER_SECONDS="4"))
    timing.advance(5 + 3.99)
    assert len(calls.channels()) == 1
    timing.advance(0.02)
    assert calls.channels() == []
    assert [event["cause"] for event in heard.events if event["type"] == "ChannelHangupRequest"] == [16]
    assert heard.events[-1]["cause"] == 0


def test_nothing_happens_after_the_end() -> None:
    timing, heard = HandTiming(), Heard()
    calls = network(timing, heard)
    channel = calls.originate(order("+15551230742", TIMER_SECONDS="60"))
    timing.advance(1)
    channel.play("p1", ["say:" + "a" * 100], {})
    channel.play("p2", ["sound:beep"], {})
    timing.advance(0.5)
    channel.press("12345")
    channel.hang_up()
    ended = list(heard.types)
    timing.advance(100)
    assert heard.types == ended
    finished = [event["playback"] for event in heard.events if event["type"] == "PlaybackFinished"]
    assert [(playback["id"], playback["state"]) for playback in finished] == [("p1", "failed"), ("p2", "failed")]


def test_speech_lasts_as_long_as_its_text() -> None:
    timing, heard = HandTiming(), Heard()
    channel = network(timing, heard).originate(order("+15551230002"))
    timing.advance(1)
    channel.play("p1", ["say:" + "a" * 100], {})
    timing.advance(1.99)
    assert "PlaybackFinished" not in heard.types
    timing.advance(0.02)
    assert "PlaybackFinished" in heard.types


def test_only_the_newest_are_remembered() -> None:
    timing, heard = HandTiming(), Heard()
    calls = network(timing, heard, records_kept=2)
    for channel_id in ("c1", "c2", "c3"):
        calls.originate(dataclasses.replace(order("+15551230486"), channel_id=channel_id))
    assert list(calls.records) == ["c2", "c3"]
