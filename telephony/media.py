"""What the engine plays, served over HTTP by the switchboard: the engine fetches only from us, and shares no disk."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

from aiohttp import web
from django.conf import settings

logger = logging.getLogger(__name__)

_AGAIN_SECONDS = 1.0
_STOP_SECONDS = 1.0
# What a name stands for never changes: an engine that has it never asks again.
_HEADERS = {"Cache-Control": "public, max-age=31536000, immutable", "Content-Type": "audio/wav"}


@asynccontextmanager
async def serving() -> AsyncIterator[None]:
    """Serve SPEECH_FOLDER at SPEECH_BIND while the block runs; nothing when that is empty.

    A port that is taken is tried again every second: calls go on meanwhile, unheard.
    """
    if not settings.SPEECH_BIND:
        yield
        return
    runner = web.AppRunner(application(Path(settings.SPEECH_FOLDER)), access_log=None, shutdown_timeout=_STOP_SECONDS)
    await runner.setup()
    listening = asyncio.create_task(_listen(runner, settings.SPEECH_BIND))
    try:
        yield
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
        await runner.cleanup()


def application(folder: Path) -> web.Application:
    """Return what answers GET and HEAD of `/<sha256>.wav` from `folder`, and nothing else."""

    async def give(request: web.Request) -> web.StreamResponse:
        return web.FileResponse(folder / request.match_info["name"], headers=_HEADERS)

    site = web.Application()
    site.router.add_get(r"/{name:[0-9a-f]{64}\.wav}", give)
    return site


async def _listen(runner: web.AppRunner, bind: str) -> None:
    address = urlsplit(f"//{bind}")
    while True:
        site = web.TCPSite(runner, address.hostname, address.port)
        try:
            await site.start()
        except OSError as error:
            logger.warning("speech is not served: %s", error)
            await site.stop()
            await asyncio.sleep(_AGAIN_SECONDS)
        else:
            logger.info("speech is served at %s", site.name)
            return
