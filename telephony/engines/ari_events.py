"""From ARI's JSON to the shared words (Asterisk 22, `rest-api/api-docs/events.json`, `channels.json`)."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from telephony.engines.facts import Arrival, Channel, Fact, Kind

Event = dict[str, Any]

INBOUND_CONTEXT = "minivoice-in"  # of the dialplan: where the calls of every trunk come in


def parse(frame: str | bytes) -> Event:
    """Return the event in one WebSocket frame. Raises ValueError for anything that is not a typed object."""
    try:
        event = json.loads(frame)
    except RecursionError as error:
        raise ValueError("an event nested too deeply") from error
    if not isinstance(event, dict) or not isinstance(event.get("type"), str):
        raise ValueError("an event without a type")  # noqa: TRY004  malformed is malformed
    return event


def fact(event: Event) -> Fact | None:
    """Return what `event` says about a channel, or None when it says nothing we use. Raises ValueError."""
    translate = _TRANSLATIONS.get(event["type"])
    try:
        return translate(event) if translate else None
    except (KeyError, TypeError, AttributeError, OverflowError) as error:
        raise ValueError(f"a {event['type']} without its parts") from error


def channel(row: Event) -> Channel:
    """Return one row of the channel list. Raises ValueError when its parts are missing."""
    try:
        return Channel(
            id=row["id"],
            state=row["state"],
            created_at=moment(row["creationtime"]),
            entered=row.get("dialplan", {}).get("app_name") == "Stasis",
            answered_at=_answered_at(row),
            arrival=_arrival(row),
        )
    except (KeyError, TypeError, AttributeError, OverflowError) as error:
        raise ValueError("a channel without its parts") from error


def _dial(event: Event) -> Fact | None:
    kind = _DIALS.get(event["dialstatus"])
    return _fact(event, kind, channel_id=event["peer"]["id"]) if kind else None


def _state_change(event: Event) -> Fact | None:
    kind = _STATES.get(event["channel"]["state"])
    return _fact(event, kind) if kind else None


def _entered(event: Event) -> Fact:
    return _fact(event, Kind.ENTERED)


def _held(event: Event) -> Fact:
    return _fact(event, Kind.HELD)


def _resumed(event: Event) -> Fact:
    return _fact(event, Kind.RESUMED)


def _digit(event: Event) -> Fact:
    return _fact(event, Kind.DIGIT, digit=str(event["digit"]))


def _playback_finished(event: Event) -> Fact | None:
    playback = event["playback"]
    kind, _, channel_id = playback["target_uri"].partition(":")
    if kind != "channel":
        return None
    outcome = Kind.PLAY_FAILED if playback["state"] == "failed" else Kind.PLAYED
    return _fact(event, outcome, channel_id=channel_id, playback_id=playback["id"])


def _recording(event: Event) -> Fact:
    recording = event["recording"]
    target, _, target_id = recording["target_uri"].partition(":")
    return _fact(
        event,
        _RECORDINGS[event["type"]],
        channel_id=target_id if target == "channel" else "",
        bridge_id=target_id if target == "bridge" else "",
        recording=str(recording["name"]),
        duration_seconds=_number(recording, "duration"),
    )


def _bridge(event: Event) -> Fact:
    return _fact(event, _BRIDGES[event["type"]], bridge_id=str(event["bridge"]["id"]))


def _hangup_requested(event: Event) -> Fact | None:
    # The `cause` of a soft request is no Q.850 cause but Asterisk's own flag: 32 for a hang-up that somebody asked
    # for, 16 for a dialplan that has ended, which every answered channel's does, by the timer too, 1 for what the
    # driver of the channel wants ended: no RTP came for as long as `rtp_timeout` says. That the channel then ends with
    # cause 44 proves nothing: a far end may say so in the `Reason` of its BYE.
    if event.get("soft") and event.get("cause") == _BY_ITSELF:
        return _fact(event, Kind.MEDIA_LOST)
    if event.get("soft") and event.get("cause") != _ASKED_FOR:
        return None
    return _fact(event, Kind.HANGUP_REQUESTED)


def _destroyed(event: Event) -> Fact:
    return _fact(event, Kind.ENDED, cause=_number(event, "cause"), sip_code=_number(event, "tech_cause"))


def _fact(event: Event, kind: Kind, *, channel_id: str | None = None, **parts: Any) -> Fact:
    channel_id = event["channel"]["id"] if channel_id is None else channel_id
    if not isinstance(channel_id, str):
        raise TypeError("a channel id that is not text")
    row = event.get("channel", {})
    return Fact(
        kind=kind,
        channel_id=channel_id,
        at=moment(event["timestamp"]),
        answered_at=_answered_at(row),
        arrival=_arrival(row),
        raw=event,
        **parts,
    )


def _arrival(row: Event) -> Arrival | None:
    """Return what a channel of the inbound context says of its call; None for every other channel.

    Only a trunk's endpoint leads into that context, and the engine names the channel after it.
    """
    dialplan = row.get("dialplan", {})
    if dialplan.get("context") != INBOUND_CONTEXT:
        return None
    endpoint = row["name"].partition("/")[2].rpartition("-")[0]
    return Arrival(endpoint=endpoint, caller=str(row["caller"]["number"]), dialled=str(dialplan["exten"]))


def _answered_at(row: Event) -> datetime | None:
    """Return what our dialplan noted at the answer (`ANSWERED_AT`, shown by `channelvars` of `ari.conf`)."""
    text = row.get("channelvars", {}).get("ANSWERED_AT")
    return moment(text) if text else None


def moment(text: str) -> datetime:
    """Return what a timestamp of the engine's says, in UTC. Raises ValueError."""
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError("a timestamp without a zone")
    return at.astimezone(UTC)


def _number(event: Event, name: str) -> int | None:
    return None if event.get(name) is None else int(event[name])


_BY_ITSELF, _ASKED_FOR = 1, 32  # AST_SOFTHANGUP_DEV and _EXPLICIT, `include/asterisk/channel.h`
_DIALS = {"RINGING": Kind.RINGING, "PROGRESS": Kind.PROGRESS, "ANSWER": Kind.ANSWERED}
_STATES = {"Ringing": Kind.RINGING, "Up": Kind.ANSWERED}
_RECORDINGS = {
    "RecordingStarted": Kind.RECORDING_STARTED,
    "RecordingFinished": Kind.RECORDED,
    "RecordingFailed": Kind.RECORDING_FAILED,
}
_BRIDGES = {"ChannelEnteredBridge": Kind.JOINED, "ChannelLeftBridge": Kind.LEFT}
_TRANSLATIONS: dict[str, Callable[[Event], Fact | None]] = {
    "Dial": _dial,
    "ChannelStateChange": _state_change,
    "StasisStart": _entered,
    "ChannelDtmfReceived": _digit,
    "PlaybackFinished": _playback_finished,
    **dict.fromkeys(_RECORDINGS, _recording),
    **dict.fromkeys(_BRIDGES, _bridge),
    "ChannelHold": _held,
    "ChannelUnhold": _resumed,
    "ChannelHangupRequest": _hangup_requested,
    "ChannelDestroyed": _destroyed,
}
