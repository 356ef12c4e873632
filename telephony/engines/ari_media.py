"""Recordings and bridges of an engine that speaks ARI (Asterisk 22, `rest-api/api-docs`, and measured on 22.10)."""

from collections.abc import Callable, Mapping
from typing import BinaryIO

from telephony.engines.ari_transport import Answered
from telephony.engines.ari_words import FILE, ID, checked
from telephony.engines.facts import ChannelGone, EndsOn, EngineUnreachable

Command = Callable[..., Answered]  # method and path, `params` and `json` by name; raises the errors of `facts`
Download = Callable[[str, BinaryIO], int]


class Recordings:
    """What the engine writes down: 8 kHz mono WAV under a name of ours, kept until we delete it."""

    def __init__(self, command: Command, download: Download) -> None:
        self._command = command
        self._download = download

    def record_channel(
        self, channel_id: str, *, name: str, max_seconds: int = 0, beep: bool = False, ends_on: EndsOn = EndsOn.NOTHING
    ) -> None:
        """Record what a channel's far end says, after what is playing; RECORDING_STARTED and RECORDED follow.

        It ends by `stop`, up to a second after `max_seconds` (0: never), on a key, with the channel, and after some
        four seconds without any sound from the far end's network. Whatever is played meanwhile waits for its end. A
        channel in a bridge fails.
        Raises NameTaken, ChannelGone.
        """
        path = f"/channels/{checked(ID, channel_id)}/record"
        self._record(path, name=name, max_seconds=max_seconds, beep=beep, ends_on=ends_on)

    def record_bridge(self, bridge_id: str, *, name: str, max_seconds: int = 0, beep: bool = False) -> None:
        """Record everybody in a bridge, until `stop`, `max_seconds` (0: never), or the last of them leaves.

        RECORDING_STARTED and RECORDED follow, both twice. Raises NameTaken, ChannelGone.
        """
        path = f"/bridges/{checked(ID, bridge_id)}/record"
        self._record(path, name=name, max_seconds=max_seconds, beep=beep, ends_on=EndsOn.NOTHING)

    def stop(self, name: str) -> bool:
        """End a recording; RECORDED follows. False when it has ended.

        Only once RECORDING_STARTED was heard: one that waits its turn takes the stop, and records all the same.
        """
        return _done(self._command, "POST", f"/recordings/live/{checked(FILE, name)}/stop")

    def save(self, name: str, file: BinaryIO) -> int:
        """Write the WAV of an ended recording to `file`, and return its bytes.

        Raises ChannelGone when there is none, EngineUnreachable when it does not arrive whole: begin again then.
        """
        return self._download(f"/recordings/stored/{checked(FILE, name)}/file", file)

    def delete(self, name: str) -> bool:
        """Delete an ended recording from the engine. False when it has none of that name."""
        return _done(self._command, "DELETE", f"/recordings/stored/{checked(FILE, name)}")

    def stored(self) -> list[str]:
        """Return the names of all ended recordings that the engine keeps."""
        path = "/recordings/stored"
        try:
            return [str(row["name"]) for row in self._command("GET", path).json()]
        except (ValueError, KeyError, TypeError) as error:
            raise EngineUnreachable(f"GET {path}: an answer that makes no sense") from error

    def _record(self, path: str, *, name: str, max_seconds: int, beep: bool, ends_on: EndsOn) -> None:
        if max_seconds < 0:
            raise ValueError("a recording cannot last less than no time")
        params = {
            "name": checked(FILE, name),
            "format": "wav",
            "maxDurationSeconds": str(max_seconds),
            "ifExists": "fail",
            "beep": "true" if beep else "false",
            "terminateOn": ends_on.value,
        }
        self._command("POST", path, params=params)


class Bridges:
    """Rooms in which channels hear each other. A channel is in one at most, and leaves it when it ends."""

    def __init__(self, command: Command) -> None:
        self._command = command

    def create(self, bridge_id: str) -> None:
        """Make an empty bridge. Raises NameTaken when there is one of this id."""
        self._command("POST", f"/bridges/{checked(ID, bridge_id)}", params={"type": "mixing"})

    def add(self, bridge_id: str, channel_id: str, *, is_mute: bool = False) -> None:
        """Let a channel in, out of the bridge it is in; JOINED follows. One that `is_mute` is not heard in there.

        Stop its playback first: the engine answers only when that has ended, which may be too late. Raises
        ChannelGone, also when there is no such bridge, and CommandRefused while the channel records.
        """
        path = f"/bridges/{checked(ID, bridge_id)}/addChannel"
        mute = {"mute": "true"} if is_mute else {}
        self._command("POST", path, params={"channel": checked(ID, channel_id), **mute})

    def remove(self, bridge_id: str, channel_id: str) -> bool:
        """Take a channel out; LEFT follows, and it is ours as before. False when it is not in there."""
        path = f"/bridges/{checked(ID, bridge_id)}/removeChannel"
        return _done(self._command, "POST", path, params={"channel": checked(ID, channel_id)})

    def all(self) -> dict[str, list[str]]:
        """Return every bridge that the engine has now, those of others included, with the channels in it."""
        try:
            return {str(row["id"]): list(map(str, row["channels"])) for row in self._command("GET", "/bridges").json()}
        except (ValueError, KeyError, TypeError) as error:
            raise EngineUnreachable("GET /bridges: an answer that makes no sense") from error

    def members(self, bridge_id: str) -> list[str]:
        """Return the ids of the channels in a bridge. Raises ChannelGone when there is no such bridge."""
        path = f"/bridges/{checked(ID, bridge_id)}"
        try:
            return [str(channel_id) for channel_id in self._command("GET", path).json()["channels"]]
        except (ValueError, KeyError, TypeError) as error:
            raise EngineUnreachable(f"GET {path}: an answer that makes no sense") from error

    def destroy(self, bridge_id: str) -> bool:
        """Empty a bridge and delete it; its channels go on. False when there is none."""
        return _done(self._command, "DELETE", f"/bridges/{checked(ID, bridge_id)}")


def _done(command: Command, method: str, path: str, params: Mapping[str, str] | None = None) -> bool:
    try:
        command(method, path, params=params)
    except ChannelGone:
        return False
    return True
