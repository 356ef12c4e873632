"""What calls say and play, as media that the engine can play."""

from functools import lru_cache
from pathlib import Path

from django.conf import settings

from minivoice.outbound import Client
from telephony.audio import Audio
from telephony.cache import Cache
from telephony.speech import Speech, kept


def at_hand(text: str, *, voice: str = "") -> list[str]:
    """Return the media that say `text`, in a voice of `telephony.voices` or the usual one, if there is nothing to
    render: all of it is kept, or the engine speaks by itself. Else nothing.
    """
    if not settings.SPEECH_BIND or not settings.SPEECH_VOICE:
        return [f"say:{text}"]
    return kept(text, voice=voice or settings.SPEECH_VOICE, cache=_cache(*_place()))


async def said(text: str, *, voice: str = "", owner: str, speech: Speech | None) -> list[str]:
    """Return the media that say `text` to a call of `owner`'s, a customer, rendered by `speech` if need be; nothing
    when it cannot be spoken. Never raises.
    """
    media = at_hand(text, voice=voice)
    if media or speech is None:
        return media
    return await speech.media(text, voice=voice or settings.SPEECH_VOICE, owner=owner)


def speech() -> Speech | None:
    """Return what renders texts, on the running event loop; None if nothing is served."""
    return Speech(_cache(*_place())) if settings.SPEECH_BIND else None


def audio(client: Client) -> Audio | None:
    """Return what fetches customers' audio with `client`, on the running event loop; None if nothing is served."""
    return Audio(_cache(*_place()), client) if settings.SPEECH_BIND else None


def _place() -> tuple[str, str, int]:
    return settings.SPEECH_FOLDER, settings.SPEECH_URL, settings.SPEECH_MEGABYTES


@lru_cache(maxsize=4)
def _cache(folder: str, url: str, megabytes: int) -> Cache:
    return Cache(Path(folder), url=url, kept_bytes=megabytes * 1_000_000)
