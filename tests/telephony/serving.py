"""What tests of speech share: an asynchronous server in a thread of its own."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager, contextmanager

_SECONDS = 5


@contextmanager
def running(server: Callable[[], AbstractAsyncContextManager[None]]) -> Iterator[None]:
    """Run `server` while the block runs."""
    started: Future[asyncio.AbstractEventLoop] = Future()
    stopping = asyncio.Event()

    async def serve() -> None:
        async with server():
            started.set_result(asyncio.get_running_loop())
            await stopping.wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    loop = started.result(_SECONDS)
    try:
        yield
    finally:
        loop.call_soon_threadsafe(stopping.set)
        thread.join(_SECONDS)
