"""How long sounds last that are played from an address: fetched for it, as an engine fetches them."""

import asyncio
import io
import logging
import wave
from collections.abc import Iterable

import aiohttp

logger = logging.getLogger(__name__)

_FETCH_SECONDS = 2.0  # whoever commands us waits for little longer
_HEAD_BYTES = 44  # of a WAV file
_FROM_AN_ADDRESS = "sound:http"


async def lengths(media: Iterable[str]) -> dict[str, float]:
    """Return the seconds of those that are at an address; none of a sound that cannot be had."""
    wanted = {item for item in media if item.startswith(_FROM_AN_ADDRESS)}
    found = await asyncio.gather(*(_length(item.removeprefix("sound:")) for item in wanted))
    return {item: seconds for item, seconds in zip(wanted, found, strict=True) if seconds is not None}


async def _length(url: str) -> float | None:
    try:
        async with asyncio.timeout(_FETCH_SECONDS), aiohttp.request("GET", url) as response:
            response.raise_for_status()
            head = await response.content.readexactly(_HEAD_BYTES)
        with wave.open(io.BytesIO(head)) as sound:
            return float(sound.getnframes() / sound.getframerate())
    except (TimeoutError, aiohttp.ClientError, asyncio.IncompleteReadError, EOFError, wave.Error) as error:
        logger.warning("%s is not played: %r", url, error)
        return None
