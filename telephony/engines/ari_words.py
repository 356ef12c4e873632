"""What may be written to an engine that speaks ARI, and what its refusals mean (measured on Asterisk 22.10)."""

import re

from telephony.engines.ari_transport import Answered
from telephony.engines.facts import ChannelGone, CommandRefused, EngineError, EngineUnreachable, NameTaken

ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
FILE = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}")  # no folder, and none above its own

_NO = ("Snoop channel could not be created", "Failed to create recording channel")


def checked(pattern: re.Pattern[str], text: str) -> str:
    """Return `text`. Raises ValueError when it does not match `pattern` as a whole."""
    if not pattern.fullmatch(text):
        raise ValueError(f"not fit for the engine: {text[:80]!r}")
    return text


def failure(answered: Answered, message: str) -> EngineError:
    """Return the error that an answer of status 300 or more stands for; it will say `message`."""
    status, text = answered.status, answered.text
    if status == 409 and ("already exists" in text or "already in progress" in text):
        return NameTaken(message)
    if status == 409 and "currently recording" in text:
        return CommandRefused(message)
    # Bridges answer 400 and 422 for a channel that is not there, or not ours.
    if status in (404, 409, 412) or (status in (400, 422) and "Channel not" in text):
        return ChannelGone(message)
    if status in (400, 403, 422) or (status == 500 and any(no in text for no in _NO)):
        return CommandRefused(message)
    return EngineUnreachable(message)
