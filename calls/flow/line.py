"""The line of a flow: what it can do with its channel, and ask of the process that runs it."""

import logging
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from typing import Protocol
from uuid import uuid4

from calls import dialing, rows
from calls.flow.fetching import Request
from calls.models import Party, Reason
from telephony import link, sound
from telephony.engines.ari import SECONDS_PER_KEY
from telephony.engines.facts import Direction, EngineError, NameTaken

logger = logging.getLogger(__name__)


class Board(Protocol):
    """What lanes and lines ask of the event loop; from any thread."""

    def fetch(self, channel_id: str, request: Request, token: int) -> None:
        """Fetch a document; the channel's lane is told it with `token`."""

    def tell_of_leg(self, channel_id: str) -> None:
        """Have the channel's lane told that the leg its flow waits for has changed."""

    def wake_in(self, seconds: float, channel_id: str, token: int) -> None:
        """Tell the channel's lane `token` after some seconds."""

    def render(self, channel_id: str, text: str, voice: str, playback_id: str, owner: str) -> None:
        """Render what is to be said for a customer; the channel's lane is told the media, none if it cannot be."""

    def fetch_audio(self, channel_id: str, url: str, request_id: str, owner: str) -> None:
        """Fetch what is to be played for a customer; the channel's lane is told the media, or why there is none."""


def interjection(channel_id: str) -> str:
    """Return the id of what is played on a channel whatever its flow does: any process that goes on can stop it."""
    return f"interjected-{channel_id}"


class Line:
    """A flow's channel: commands to the engine, which raise EngineError, and the rest to the event loop."""

    def __init__(self, board: Board, channel_id: str, *, owner: str) -> None:
        self._board = board
        self._owner = owner  # the customer
        self.channel_id = channel_id

    def answer(self, timer_seconds: int) -> None:
        """Answer a call that came in, for so long."""
        # The timer first: no call may be up without one, whatever dies in between. The engine ends it a moment early.
        link.adapter().set_timer(self.channel_id, seconds=timer_seconds)
        link.adapter().answer(self.channel_id)

    def ring(self) -> None:
        """Let the caller hear that somebody else is rung, whether it is answered or not: never raises EngineError."""
        try:
            link.adapter().ring(self.channel_id)
        except EngineError as error:
            logger.info("no ringing for %s: %s", self.channel_id, error)

    def stop_ringing(self) -> None:
        """End that: never raises EngineError."""
        try:
            link.adapter().stop_ringing(self.channel_id)
        except EngineError as error:
            logger.info("%s may ring on: %s", self.channel_id, error)

    def join(self, room: str, *others: str, is_mute: bool = False) -> bool:
        """Let this channel and `others` hear each other in a bridge called `room`; return whether any was not in it.

        Who comes in and `is_mute` hears, and is not heard; what was interjected ends. Raises ChannelGone when one of
        them has ended, or is not ours to command yet.
        """
        bridges = link.adapter().bridges
        with suppress(NameTaken):
            bridges.create(room)
        inside = bridges.members(room)
        missing = [channel for channel in (*others, self.channel_id) if channel not in inside]
        for channel in missing:
            self.stop(interjection(channel))  # the engine would let it in only when that has ended
            bridges.add(room, channel, is_mute=is_mute)
        return bool(missing)

    def leave(self, room: str) -> None:
        """Take this channel out of a bridge, if it is in there: never raises EngineError."""
        try:
            link.adapter().bridges.remove(room, self.channel_id)
        except EngineError as error:
            logger.info("%s may still be in bridge %s: %s", self.channel_id, room, error)

    def part(self, room: str) -> None:
        """Have nobody hear another in `room` any more, if they can be parted: never raises EngineError."""
        try:
            link.adapter().bridges.destroy(room)
        except EngineError as error:
            logger.info("bridge %s was not destroyed: %s", room, error)

    def say(self, text: str, *, voice: str) -> str:
        """Speak, in the usual voice if none is named; return the id of the playback.

        Of a text that has to be rendered first the step's `rendered` is told the media, to be played under this id:
        a lane does the work of other calls meanwhile.
        """
        playback_id = str(uuid4())
        if media := sound.at_hand(text, voice=voice):
            self.play(media, playback_id=playback_id)
        else:
            self._board.render(self.channel_id, text, voice, playback_id, self._owner)
        return playback_id

    def play(self, media: Sequence[str], *, playback_id: str = "") -> str:
        """Play media one after the other; return the id of the playback, a new one unless it has one."""
        playback_id = playback_id or str(uuid4())
        link.adapter().play(self.channel_id, playback_id=playback_id, media=media)
        return playback_id

    def fetch_audio(self, url: str) -> str:
        """Ask for media; return the id with which the step's `audio_fetched` is told them."""
        request_id = str(uuid4())
        self._board.fetch_audio(self.channel_id, url, request_id, self._owner)
        return request_id

    def stop(self, playback_id: str) -> None:
        """Stop a playback, if it can be: never raises EngineError."""
        try:
            link.adapter().stop_playback(playback_id)
        except EngineError as error:
            logger.info("a playback of %s was not stopped: %s", self.channel_id, error)

    def start_music(self) -> None:
        """Play music until something else plays."""
        link.adapter().start_music(self.channel_id)

    def go_on_with_music(self) -> None:
        """Play music again after something else, if it can be: never raises EngineError."""
        try:
            self.start_music()
        except EngineError as error:
            logger.info("no music again for %s: %s", self.channel_id, error)

    def stop_music(self) -> None:
        """End the music, if it plays."""
        link.adapter().stop_music(self.channel_id)

    def mute(self, direction: Direction) -> None:
        """Carry nothing of a direction."""
        link.adapter().mute(self.channel_id, direction)

    def unmute(self, direction: Direction) -> None:
        """Carry a direction again."""
        link.adapter().unmute(self.channel_id, direction)

    def press(self, keys: str) -> float:
        """Press keys for the far end; return how many seconds that takes."""
        link.adapter().press(self.channel_id, keys)
        return len(keys) * SECONDS_PER_KEY

    def fetch(self, request: Request, token: int) -> None:
        """Ask for a document; `Runner.fetched` is told it with `token`."""
        self._board.fetch(self.channel_id, request, token)

    def wake_in(self, seconds: float, token: int) -> None:
        """Have `Runner.woken` told `token` after some seconds."""
        self._board.wake_in(seconds, self.channel_id, token)

    def hang_up(self, call_id: int, reason: Reason, by: Party, *, now: datetime) -> None:
        """End the call."""
        dialing.hang_up(call=rows.read(call_id), reason=reason, by=by, now=now)
