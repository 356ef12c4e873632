"""Voicemail: take a message of up to two minutes, and print where it can be heard."""

import os

from aiohttp import web

GREETING = {"say": {"text": "Please speak after the tone, and press hash when you are done."}}
ACTIONS = [GREETING, {"record": {"max_seconds": 120, "finish_on_key": "#", "beep": True}}]


async def answer(_: web.Request) -> web.Response:
    return web.json_response({"actions": ACTIONS})


async def webhooks(request: web.Request) -> web.Response:
    """`webhook_url`: the message is there once `recording.completed` comes; fetch it with your API key."""
    event = await request.json()
    if event["event"] == "recording.completed":
        print(event["call"]["from"], event["data"]["recording"]["file_url"], flush=True)
    return web.Response(status=204)


if __name__ == "__main__":
    (app := web.Application()).add_routes([web.post("/answer", answer), web.post("/webhooks", webhooks)])
    web.run_app(app, host="127.0.0.1", port=int(os.environ.get("PORT", "9001")))
