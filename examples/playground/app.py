# /// script
# requires-python = ">=3.11"
# dependencies = ["aiohttp", "standardwebhooks"]
# ///
"""A small MiniVoice application: it tells calls what to do, and shows the webhooks that arrive, live, in a page.

    PLAYGROUND_SECRET=... python examples/playground/app.py --port 9000

Give your application `answer_url` http://127.0.0.1:9000/answer, `webhook_url` http://127.0.0.1:9000/webhooks
and the same `webhook_secret`; then place a call and watch http://127.0.0.1:9000/. (`make run` has done so.)

An integration needs three things, and they come in this order below: answering a call, receiving webhooks,
and knowing that both are really from MiniVoice. The rest is the page. `BASE_URL` is only named in its help.
"""

import argparse
import asyncio
import base64
import hashlib
import hmac
import html
import json
import os
import secrets
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aiohttp import web
from standardwebhooks import Webhook, WebhookVerificationError

HERE = Path(__file__).parent
TOLERANCE_SECONDS = 5 * 60  # an older request may be someone's recording of a genuine one
MOST_ENTRIES = 1000


# 1. Answering. When a call is answered MiniVoice asks what to do with it; the reply is a list of actions.


async def answer(request: web.Request) -> web.Response:
    """`answer_url`: greet, ask for one digit, and have MiniVoice come back to `/pressed` with it."""
    actions: list[dict[str, Any]] = [
        {"say": {"text": "Hello from the MiniVoice playground."}},
        {"gather": {"prompt": "Please press a digit.", "num_digits": 1, "timeout_seconds": 5}},
        {"redirect": {"url": f"{request.scheme}://{request.host}/pressed", "method": "POST"}},
    ]
    return await _instruct(request, actions)


async def pressed(request: web.Request) -> web.Response:
    """After the gather the request also says which digits were pressed: none when the time was over."""
    digits = json.loads(await request.read()).get("digits")
    text = f"You pressed {digits}. Goodbye." if digits else "You pressed nothing. Goodbye."
    return await _instruct(request, [{"say": {"text": text}}, {"hangup": {}}])


async def _instruct(request: web.Request, actions: list[dict[str, Any]]) -> web.Response:
    """Reply with `actions`, and keep the request and its reply for the page."""
    context, reply = json.loads(await request.read()), {"actions": actions}
    await request.app[INBOX].add(
        {
            "id": f"request_{secrets.token_hex(8)}",
            "event": f"POST {request.path}",
            "sequence": None,
            "call_id": context.get("call_id"),
            "body": context,
            "reply": reply,
        }
    )
    return web.json_response(reply)


# 2. Webhooks. Answer any 2xx, quickly: anything else, or silence, means "send it again later".


async def webhooks(request: web.Request) -> web.Response:
    """`webhook_url`: an event may come twice, or out of order: `id` tells the first, `sequence` the second."""
    event = json.loads(await request.read())
    call = event["call"]  # null for an event that is about the account
    await request.app[INBOX].add(
        {
            "id": event["id"],
            "event": event["event"],
            "sequence": event.get("sequence"),
            "call_id": call["id"] if call else None,
            "body": event,
        }
    )
    return web.Response(status=204)


# 3. Signatures. Anyone can POST to your URLs; only MiniVoice and you know the secret.


def is_genuine(secret: str, headers: Mapping[str, str], body: bytes, *, now_seconds: float) -> bool:
    """Tell whether MiniVoice signed `body`, the raw bytes as they came, within the last five minutes."""
    timestamp = headers.get("X-MiniVoice-Timestamp", "").encode(errors="replace")
    claimed = headers.get("X-MiniVoice-Signature", "").encode(errors="replace")
    digest = hmac.new(secret.encode(), timestamp + b"." + body, hashlib.sha256).hexdigest()
    # In constant time: `==` would tell a forger how much of a guess was right.
    if not hmac.compare_digest(claimed, f"v1={digest}".encode()):
        return False
    return abs(now_seconds - int(timestamp)) <= TOLERANCE_SECONDS


def is_genuine_by_the_standard(secret: str, headers: Mapping[str, str], body: bytes) -> bool:
    """Tell the same of a webhook with the library of https://www.standardwebhooks.com instead; one is enough."""
    key = "whsec_" + base64.b64encode(secret.encode()).decode()
    try:
        Webhook(key).verify(body, dict(headers))
    except (WebhookVerificationError, ValueError):  # the latter for a header that is not even in its format
        return False
    return True


@web.middleware
async def refuse_forgeries(request: web.Request, handler: Any) -> web.StreamResponse:
    """Let a POST pass only when it is signed: the handlers above need not think of it."""
    if request.method == "POST":
        body, secret = await request.read(), request.app[SECRET]
        genuine = is_genuine(secret, request.headers, body, now_seconds=time.time())
        if genuine and request.path == "/webhooks":
            genuine = is_genuine_by_the_standard(secret, request.headers, body)
        if not genuine:
            print(f"Refused: POST {request.path} without a valid signature", file=sys.stderr, flush=True)
            return web.Response(status=400, text="The signature is missing, wrong or too old.\n")
    response: web.StreamResponse = await handler(request)
    return response


# The page, and what it shows.


class Inbox:
    """The last thousand events and requests, in the order they came; each event once."""

    def __init__(self) -> None:
        self.entries: dict[str, dict[str, Any]] = {}
        self._count = 0
        self._changed = asyncio.Condition()

    async def add(self, entry: dict[str, Any]) -> None:
        """Keep a verified `entry`, unless its id is here already, and wake those who wait."""
        if entry["id"] in self.entries:
            return
        self._count += 1
        received_at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        self.entries[entry["id"]] = {
            **entry,
            "verified": True,
            "received_at": received_at,
            "number": self._count,
        }
        if len(self.entries) > MOST_ENTRIES:
            del self.entries[next(iter(self.entries))]
        async with self._changed:
            self._changed.notify_all()

    async def after(self, number: int) -> list[dict[str, Any]]:
        """Return the entries that came after the one with this number; wait when there are none."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._count > number)
        return [entry for entry in self.entries.values() if entry["number"] > number]


SECRET = web.AppKey("secret", str)
INBOX = web.AppKey("inbox", Inbox)


async def page(_: web.Request) -> web.Response:
    """The page; it asks nobody but us, and the browser holds it to that."""
    text = (HERE / "page.html").read_text()
    base_url = os.environ.get("BASE_URL") or "http://127.0.0.1:8000"
    return web.Response(
        text=text.replace("{{ base_url }}", html.escape(base_url)),
        content_type="text/html",
        headers={
            "Content-Security-Policy": (
                "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
                "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
            )
        },
    )


async def stream(request: web.Request) -> web.StreamResponse:
    """Server-sent events: all that is kept, then each entry as it comes."""
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
    await response.prepare(request)
    number = 0
    while True:
        for entry in await request.app[INBOX].after(number):
            number = entry["number"]
            await response.write(f"data: {json.dumps(entry)}\n\n".encode())


async def events_json(request: web.Request) -> web.Response:
    """Everything that is kept, oldest first; `?call_id=` of one call only."""
    call_id = request.query.get("call_id")
    entries = request.app[INBOX].entries.values()
    return web.json_response([entry for entry in entries if call_id in (None, entry["call_id"])])


async def health(_: web.Request) -> web.Response:
    """Say that we are here."""
    return web.Response(text="ok\n")


async def asset(request: web.Request) -> web.FileResponse:
    """The page's style or script."""
    return web.FileResponse(HERE / request.match_info["name"])


def application(secret: str) -> web.Application:
    """Return the web application; `secret` is the application's webhook secret."""
    app = web.Application(middlewares=[refuse_forgeries])
    app[SECRET], app[INBOX] = secret, Inbox()
    app.add_routes(
        [
            web.post("/answer", answer),
            web.post("/pressed", pressed),
            web.post("/webhooks", webhooks),
            web.get("/", page),
            web.get("/{name:page\\.(?:css|js)}", asset),
            web.get("/stream", stream),
            web.get("/events.json", events_json),
            web.get("/health", health),
        ]
    )
    return app


def main() -> None:
    """Serve on loopback until told to stop."""
    parser = argparse.ArgumentParser(description="A small MiniVoice application, to read and to play with.")
    parser.add_argument("--port", type=int, default=9000)
    port = parser.parse_args().port
    secret = os.environ.get("PLAYGROUND_SECRET")
    if not secret:
        sys.exit("PLAYGROUND_SECRET is missing: set it to the webhook secret of your application.")
    try:
        web.run_app(
            application(secret),
            host="127.0.0.1",
            port=port,
            print=lambda _: print(f"The playground is at http://127.0.0.1:{port}/", flush=True),
            access_log=None,
            handler_cancellation=True,  # a closed page ends its stream ...
            shutdown_timeout=0.5,  # ... and an open one does not hold us up
        )
    except OSError as error:
        sys.exit(f"The playground cannot start: {error.strerror}")


if __name__ == "__main__":
    main()
