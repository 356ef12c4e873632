"""What the engine itself wrote down about each answered channel: the judge of what was dialled, and charged."""

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import requests

from minivoice.local.stack import Platform
from tests.journeys.stage import until

# The columns of Asterisk's `Master.csv`, which has the channels that were answered and have ended.
_ANSWERED, _ENDED, _SECONDS, _CHANNEL = 10, 11, 13, 16


@dataclass(frozen=True)
class Talk:
    """A channel that was answered and has ended. All figures may be up to `blur_seconds` more."""

    answered_at: datetime
    ended_at: datetime
    seconds: float
    blur_seconds: float


def talks(platform: Platform, channels: Iterable[str]) -> dict[str, Talk]:
    """Return those of `channels` that the engine has written down, by channel id."""
    if platform.real_network:
        written = _of_asterisk(platform.real_network.asterisk.charges)
    else:
        written = _of_simulator(str(platform.facts["simulator_url"]))
    return {channel: written[channel] for channel in channels if channel in written}


def all_talks(platform: Platform, channels: list[str]) -> dict[str, Talk]:
    """Wait until the engine has written down all of `channels`, and return that."""
    found: dict[str, Talk] = until(
        lambda: len(found := talks(platform, channels)) == len(channels) and found,
        seconds=10,
        what="the engine's record of every call",
    )
    return found


def _of_asterisk(file: Path) -> dict[str, Talk]:
    if not file.exists():  # nobody was answered yet
        return {}
    rows = [row for row in csv.reader(file.read_text().splitlines()) if len(row) > _CHANNEL and row[_ANSWERED]]
    return {
        row[_CHANNEL]: Talk(_moment(row[_ANSWERED]), _moment(row[_ENDED]), int(row[_SECONDS]), blur_seconds=1)
        for row in rows
    }


def _of_simulator(url: str) -> dict[str, Talk]:
    talks = {}
    for row in requests.get(f"{url}/simulator/channels", timeout=5).json():
        if row["answered_at"] and row["ended_at"]:
            answered_at, ended_at = map(datetime.fromisoformat, (row["answered_at"], row["ended_at"]))
            seconds = (ended_at - answered_at).total_seconds()
            talks[row["id"]] = Talk(answered_at, ended_at, seconds, blur_seconds=0)
    return talks


def _moment(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
