"""ARI's JSON as Asterisk 22 writes it (`rest-api/api-docs/events.json`)."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from telephony.simulator.bridges import Bridge
    from telephony.simulator.channels import Channel
    from telephony.simulator.legs import Leg
    from telephony.simulator.playing import Playback
    from telephony.simulator.recordings import Recording

Event = dict[str, Any]

APP = "minivoice"
ENGINE_ID = "02:00:00:00:00:01"


def event(kind: str, at: datetime, **parts: Any) -> Event:
    """Return an event that happened `at`."""
    return {"type": kind, "timestamp": timestamp(at), **parts, "asterisk_id": ENGINE_ID, "application": APP}


def channel(row: Leg) -> Event:
    """Return a channel as in the channel list and in events."""
    return {
        "id": row.id,
        "name": row.name,
        "state": row.state,
        "protocol_id": f"{row.id}@simulator",
        "caller": {"name": "", "number": row.number},
        "connected": {"name": "", "number": row.caller_id},
        "accountcode": "",
        "dialplan": {
            "context": row.context,
            "exten": row.exten,
            "priority": 1,
            "app_name": "Stasis" if row.in_app else "",
            "app_data": APP if row.in_app else "",
        },
        "creationtime": timestamp(row.created_at),
        "language": "en",
        "channelvars": {"ANSWERED_AT": timestamp(row.answered_at) if row.answered_at else ""},
    }


def dial(row: Channel, at: datetime, status: str) -> Event:
    """Return how far the dialling of a channel is: "", RINGING, PROGRESS, ANSWER."""
    dialled = f"{row.order.number}@{row.order.trunk}"
    return event("Dial", at, dialstatus=status, forward="", dialstring=dialled, peer=channel(row))


def destroyed(row: Leg, at: datetime, *, cause: int, sip_code: int | None) -> Event:
    """Return the end of a channel; `sip_code` only where the far end refused."""
    tech_cause = {} if sip_code is None else {"tech_cause": sip_code}
    text = _CAUSES.get(cause, "Unknown")
    return event("ChannelDestroyed", at, cause=cause, cause_txt=text, **tech_cause, channel=channel(row))


def playback(row: Playback) -> Event:
    """Return a playback as in answers and events."""
    following = row.media[row.position + 1 : row.position + 2]
    return {
        "id": row.id,
        "media_uri": row.media[row.position],
        **({"next_media_uri": following[0]} if following else {}),
        "target_uri": f"channel:{row.channel_id}",
        "language": "en",
        "state": row.state,
    }


def recording(row: Recording) -> Event:
    """Return a recording as in answers and events."""
    return {
        "name": row.name,
        "format": "wav",
        "state": row.state,
        "target_uri": row.target,
        **({} if row.duration_seconds is None else {"duration": row.duration_seconds}),
        **({} if row.failure is None else {"cause": row.failure}),
    }


def bridge(row: Bridge) -> Event:
    """Return a bridge as in answers and events."""
    return {
        "id": row.id,
        "technology": "simple_bridge" if len(row.members) <= _MOST_IN_A_SIMPLE_BRIDGE else "softmix",
        "bridge_type": "mixing",
        "bridge_class": "stasis",
        "creator": "Stasis",
        "name": "",
        "channels": [member.id for member in row.members],
        "creationtime": timestamp(row.created_at),
        "video_mode": "talker",
    }


def timestamp(at: datetime) -> str:
    """Return a moment as Asterisk writes it: milliseconds, and the zone without a colon."""
    return at.isoformat(timespec="milliseconds").replace("+00:00", "+0000")


_MOST_IN_A_SIMPLE_BRIDGE = 2
_CAUSES = {
    1: "Unallocated (unassigned) number",
    16: "Normal Clearing",
    17: "User busy",
    18: "No user responding",
    19: "User alerting, no answer",
    21: "Call Rejected",
    34: "Circuit/channel congestion",
    38: "Network out of order",
    44: "Requested channel not available",
}
