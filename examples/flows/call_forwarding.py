"""Forward calls to a mobile phone; when nobody answers it, say so and take a message."""

import os

from aiohttp import web

MOBILE = os.environ.get("MOBILE", "+15551230002")
BUSY = [{"say": {"text": "Nobody answers. Please speak after the tone."}}, {"record": {"max_seconds": 60}}]


async def answer(_: web.Request) -> web.Response:
    """`answer_url`: the fallback runs when the mobile phone is busy, switched off, or not answered in time."""
    forward = {"bridge": {"destination": MOBILE, "timeout_seconds": 20, "fallback": BUSY}}
    return web.json_response({"actions": [forward]})


if __name__ == "__main__":
    app = web.Application()
    app.router.add_post("/answer", answer)
    web.run_app(app, host="127.0.0.1", port=int(os.environ.get("PORT", "9001")))
