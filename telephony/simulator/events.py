"""ARI's JSON as Asterisk 22 writes it (`rest-api/api-docs/events.json`)."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from telephony.simulator.channels import Channel
    from telephony.simulator.playing import Playback

Event = dict[str, Any]

APP = "minivoice"
ENGINE_ID = "02:00:00:00:00:01"


def event(kind: str, at: datetime, **parts: Any) -> Event:
    """Return an event that happened `at`."""
    return {"type": kind, "timestamp": timestamp(at), **parts, "asterisk_id": ENGINE_ID, "application": APP}


def channel(row: Channel) -> Event:
    """Return a channel as in the channel list and in events."""
    return {
        "id": row.order.channel_id,
        "name": row.name,
        "state": row.state,
        "protocol_id": f"{row.order.channel_id}@simulator",
        "caller": {"name": "", "number": row.order.number},
        "connected": {"name": "", "number": row.order.caller_id},
        "accountcode": "",
        "dialplan": {
            "context": row.order.context,
            "exten": "s",
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


def destroyed(row: Channel, at: datetime, *, cause: int, sip_code: int | None) -> Event:
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


def timestamp(at: datetime) -> str:
    """Return a moment as Asterisk writes it: milliseconds, and the zone without a colon."""
    return at.isoformat(timespec="milliseconds").replace("+00:00", "+0000")


_CAUSES = {
    1: "Unallocated (unassigned) number",
    16: "Normal Clearing",
    17: "User busy",
    19: "User alerting, no answer",
    21: "Call Rejected",
    34: "Circuit/channel congestion",
    38: "Network out of order",
}
