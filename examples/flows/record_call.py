"""Record a conversation: say so, start recording, and connect the caller with an agent."""

import os

from aiohttp import web

AGENT = os.environ.get("AGENT", "+15551230002")
ACTIONS = [
    {"say": {"text": "This call is recorded."}},
    {"start_recording": {}},
    {"transfer": {"destination": AGENT}},
]


async def answer(_: web.Request) -> web.Response:
    """`answer_url`: the recording ends with the call, and has one party in each channel."""
    return web.json_response({"actions": ACTIONS})


if __name__ == "__main__":
    app = web.Application()
    app.router.add_post("/answer", answer)
    web.run_app(app, host="127.0.0.1", port=int(os.environ.get("PORT", "9001")))
