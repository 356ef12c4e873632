"""The adapter for engines that speak ARI: Asterisk 20 or newer, and the simulated network.

Events come over one WebSocket, which only the switchboard opens: a second socket of the same app silences the first.
Its process commands the engine over that socket too where the engine can, every other one over HTTP. No command is
ever sent twice.
"""

import re
from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, BinaryIO
from urllib.parse import urlencode

from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from telephony.engines import ari_events
from telephony.engines.ari_config import Trunks
from telephony.engines.ari_media import Bridges, Recordings
from telephony.engines.ari_transport import TIMEOUT_SECONDS, Answered, Http, NothingSent, Request, Socket
from telephony.engines.ari_words import ID, checked, failure
from telephony.engines.facts import Answer, Channel, ChannelGone, Direction, EngineUnreachable, Fact

SECONDS_PER_KEY = 0.2  # pressed for half of it
_PING_SECONDS = 5.0

_ENDPOINT = re.compile(r"[A-Za-z]{1,16}/[A-Za-z0-9+*#_.@:/\[\]-]{1,400}")
_CALLER_ID = re.compile(r"[A-Za-z0-9+*#_.-]{0,80}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,79}(\([A-Za-z0-9_-]{1,40}\))?")
_VALUE = re.compile(r"[A-Za-z0-9+*#_.:@/ -]{0,255}")
# Of any other scheme Asterisk says "taken", and then nothing ever again.
_SCHEMES = "sound|recording|number|digits|characters|tone"
_MEDIA = re.compile(rf"say:[^\0]{{1,8000}}|(?:{_SCHEMES}):[A-Za-z0-9+*#_.:/-]{{1,2000}}", re.DOTALL)
_KEYS = re.compile(r"[0-9*#A-D]{1,64}")


class Ari:
    """One engine. Safe to share between threads.

    Every command raises EngineUnreachable when the engine does not answer properly within three seconds, and
    ValueError, before anything is sent, for text that has no place in a header or a dialplan.
    """

    def __init__(self, url: str, user: str, password: str, app: str = "minivoice") -> None:
        """Take the address of the interface (`http://host:port/ari`), its user, and the name of our app."""
        self.malformed_count = 0  # frames skipped so far
        self._url = url.rstrip("/")
        self._credentials = (user, password)
        self._app = app
        self._http = Http(self._url, self._credentials)
        self._socket: Socket | None = None
        self.recordings = Recordings(self._command, self._download)
        self.bridges = Bridges(self._command)
        self.trunks = Trunks(self._command_over_http, self._metrics)

    @property
    def is_over_socket(self) -> bool:
        """Whether commands go over the event socket at present."""
        return self._socket is not None and self._socket.is_able

    def originate(
        self,
        *,
        channel_id: str,
        endpoint: str,
        caller_id: str,
        context: str,
        variables: Mapping[str, str],
        setup_seconds: int,
    ) -> Answer:
        """Dial `endpoint` (`PJSIP/number@trunk`) once; when answered it goes to extension `s` of `context`.

        The engine gives up on a channel that is not answered after `setup_seconds`, ringing included. An id
        in use means that an earlier request arrived: TAKEN. Raises ValueError only.
        """
        body = {
            "channelId": checked(ID, channel_id),
            "endpoint": checked(_ENDPOINT, endpoint),
            "callerId": checked(_CALLER_ID, caller_id),
            "context": checked(ID, context),
            "extension": "s",
            "priority": 1,
            "timeout": setup_seconds,
            "variables": {checked(_VARIABLE, name): checked(_VALUE, value) for name, value in variables.items()},
        }
        try:
            return _answer(self._send("POST", "/channels", json=body))
        except NothingSent:
            return Answer.REFUSED
        except EngineUnreachable:
            return Answer.UNCLEAR

    def hang_up(self, channel_id: str, *, reason_code: int | None = None) -> bool:
        """End a channel, ringing or answered, with a Q.850 cause (default 16). False when it is gone."""
        params = {} if reason_code is None else {"reason_code": str(reason_code)}
        try:
            self._command("DELETE", f"/channels/{checked(ID, channel_id)}", params=params)
        except ChannelGone:
            return False
        return True

    def ring(self, channel_id: str) -> None:
        """Tell an inbound channel's caller that it rings here; on one that is up, play the tone. Raises ChannelGone."""
        self._command("POST", f"/channels/{checked(ID, channel_id)}/ring")

    def stop_ringing(self, channel_id: str) -> None:
        """End the tone; nothing happens when there is none. Raises ChannelGone."""
        self._command("DELETE", f"/channels/{checked(ID, channel_id)}/ring")

    def answer(self, channel_id: str) -> None:
        """Answer an inbound channel; nothing happens to one that is up. Raises ChannelGone."""
        self._command("POST", f"/channels/{checked(ID, channel_id)}/answer")

    def play(self, channel_id: str, *, playback_id: str, media: Sequence[str]) -> None:
        """Play `media` one after the other, after what is playing already; PLAYED or PLAY_FAILED follows.

        Media that does not exist is taken and fails later; only the simulated network understands `say:`. Raises
        ChannelGone.
        """
        path = f"/channels/{checked(ID, channel_id)}/play/{checked(ID, playback_id)}"
        self._command("POST", path, json={"media": [checked(_MEDIA, item) for item in media]})

    def stop_playback(self, playback_id: str) -> bool:
        """Stop a playback; PLAYED follows. False when it has ended already."""
        try:
            self._command("DELETE", f"/playbacks/{checked(ID, playback_id)}")
        except ChannelGone:
            return False
        return True

    def start_music(self, channel_id: str) -> None:
        """Play music on hold until something else plays, or `stop_music`. Raises ChannelGone."""
        self._command("POST", f"/channels/{checked(ID, channel_id)}/moh")

    def stop_music(self, channel_id: str) -> None:
        """End music on hold; nothing happens when there is none. Raises ChannelGone."""
        self._command("DELETE", f"/channels/{checked(ID, channel_id)}/moh")

    def mute(self, channel_id: str, direction: Direction) -> None:
        """Carry nothing of a direction, beside one that is mute already. Raises ChannelGone."""
        self._command("POST", f"/channels/{checked(ID, channel_id)}/mute", params={"direction": direction.value})

    def unmute(self, channel_id: str, direction: Direction) -> None:
        """Carry a direction again. Raises ChannelGone."""
        self._command("DELETE", f"/channels/{checked(ID, channel_id)}/mute", params={"direction": direction.value})

    def press(self, channel_id: str, keys: str) -> None:
        """Press keys for the far end, each SECONDS_PER_KEY; returns before they are pressed. Raises ChannelGone."""
        milliseconds = str(round(SECONDS_PER_KEY * 500))
        params = {"dtmf": checked(_KEYS, keys), "duration": milliseconds, "between": milliseconds}
        self._command("POST", f"/channels/{checked(ID, channel_id)}/dtmf", params=params)

    def snoop(self, channel_id: str, *, snoop_id: str, direction: Direction) -> None:
        """Listen in: a channel `snoop_id` of its own, ours to record (silence included) once it has ENTERED.

        It ends with the channel. One that we hang up stays in the list until the channel next says or hears
        something. Raises ChannelGone, and CommandRefused when `snoop_id` is in use.
        """
        path = f"/channels/{checked(ID, channel_id)}/snoop/{checked(ID, snoop_id)}"
        self._command("POST", path, params={"spy": direction.value, "app": self._app})

    def set_timer(self, channel_id: str, *, seconds: float) -> None:
        """Let the engine end the channel `seconds` from now, whatever becomes of us. Raises ChannelGone."""
        if seconds <= 0:
            raise ValueError("a timer of no seconds would be no timer")
        params = {"variable": "TIMEOUT(absolute)", "value": f"{seconds:.3f}"}
        self._command("POST", f"/channels/{checked(ID, channel_id)}/variable", params=params)

    def get_variable(self, channel_id: str, name: str) -> str | None:
        """Return a channel's variable or dialplan function, None when it is not set. Raises ChannelGone."""
        path = f"/channels/{checked(ID, channel_id)}/variable"
        try:
            return str(self._json("GET", path, params={"variable": checked(_VARIABLE, name)})["value"])
        except ChannelGone as error:
            if "variable was not found" in str(error):
                return None
            raise

    def channels(self) -> list[Channel]:
        """Return every channel that the engine has now, those of others included."""
        try:
            return [ari_events.channel(row) for row in self._json("GET", "/channels")]
        except ValueError as error:
            raise EngineUnreachable(f"the engine's channel list cannot be read: {error}") from error

    def ping(self) -> None:
        """Return when the engine answers."""
        self._command("GET", "/asterisk/ping")

    def now(self) -> datetime:
        """Return the moment by the engine's clock, UTC: answer and end are told by it, and timers run by it."""
        try:
            return ari_events.moment(self._json("GET", "/asterisk/ping")["timestamp"])
        except (ValueError, TypeError, KeyError) as error:
            raise EngineUnreachable(f"the engine's clock cannot be read: {error!r}") from error

    async def facts(self, *, on_connect: Callable[[], None] | None = None) -> AsyncIterator[Fact]:
        """Open the event socket and yield facts until it drops, then raise EngineUnreachable.

        `on_connect` is called once the socket is open: from then on no event is missed, so list the channels
        then. Frames that make no sense are counted in `malformed_count` and skipped.
        """
        try:
            async with self._connection() as connection:
                socket = self._socket = Socket(connection)
                try:
                    await socket.greet()
                    if on_connect is not None:
                        on_connect()
                    async for frame in connection:
                        fact = self._read(frame, socket)
                        if fact is not None:
                            yield fact
                finally:
                    socket.drop()
        except (OSError, WebSocketException) as error:
            raise EngineUnreachable(f"event socket: {type(error).__name__}: {error}") from error
        raise EngineUnreachable("the engine closed the event socket")

    def _connection(self) -> connect:
        # The password travels in a header: addresses end up in logs.
        token = b64encode(":".join(self._credentials).encode()).decode()
        query = urlencode({"app": self._app, "subscribeAll": "true"})
        return connect(
            f"ws{self._url.removeprefix('http')}/events?{query}",
            additional_headers={"Authorization": f"Basic {token}"},
            compression=None,
            proxy=None,
            open_timeout=TIMEOUT_SECONDS,
            ping_interval=_PING_SECONDS,
            ping_timeout=_PING_SECONDS,
            close_timeout=1,
        )

    def _read(self, frame: str | bytes, socket: Socket) -> Fact | None:
        try:
            event = ari_events.parse(frame)
            if event["type"] == "RESTResponse":
                socket.take(event)
                return None
            fact = ari_events.fact(event)
        except ValueError:
            self.malformed_count += 1
            return None
        if event["type"] == "ApplicationReplaced":
            raise EngineUnreachable("another process has taken over the event socket")
        return fact

    def _json(self, method: str, path: str, *, params: Mapping[str, str] | None = None) -> Any:
        try:
            return self._command(method, path, params=params).json()
        except ValueError as error:
            raise EngineUnreachable(f"{method} {path}: an answer that is not JSON") from error

    def _command(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        json: Mapping[str, Any] | None = None,
    ) -> Answered:
        answered = self._send(method, path, params=params, json=json)
        if answered.status < 300:
            return answered
        message = f"{method} {path}: {answered.status} {answered.text[:200]}"
        raise failure(answered, message)

    def _command_over_http(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        json: Mapping[str, Any] | None = None,
    ) -> Answered:
        """Command what may be answered at length, or wait, beside the calls' commands."""
        answered = self._http.ask(Request.of(method, path, params, json))
        if answered.status < 300:
            return answered
        raise failure(answered, f"{method} {path}: {answered.status} {answered.text[:200]}")

    def _metrics(self) -> Answered:
        """Ask for the engine's own metrics, which are beside its interface."""
        return Http(self._url.removesuffix("/ari"), self._credentials).ask(Request("GET", "/metrics", {}))

    def _download(self, path: str, file: BinaryIO) -> int:
        found = self._http.download(path, file)
        if isinstance(found, Answered):
            raise failure(found, f"GET {path}: {found.status} {found.text[:200]}")
        return found

    def _send(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        json: Mapping[str, Any] | None = None,
    ) -> Answered:
        request = Request.of(method, path, params, json)
        if self._socket is not None:
            with suppress(NothingSent):
                return self._socket.ask(request)
        return self._http.ask(request)


def _answer(answered: Answered) -> Answer:
    status = answered.status
    if status < 300 or status == 409:
        return Answer.TAKEN
    if 400 <= status < 500 or (status == 500 and "Allocation failed" in answered.text):
        return Answer.REFUSED
    return Answer.UNCLEAR
