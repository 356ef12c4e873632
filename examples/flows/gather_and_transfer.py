"""Ask for an extension of two digits and put the caller through to it."""

import os

from aiohttp import web

EXTENSIONS = {"11": "+15551230111", "12": "+15551230112"}


async def answer(request: web.Request) -> web.Response:
    """`answer_url`: without the digits of an extension ask for them, with them dial it."""
    digits = (await request.json()).get("digits")
    if digits in EXTENSIONS:
        return web.json_response({"actions": [{"transfer": {"destination": EXTENSIONS[digits]}}]})
    ask = {"gather": {"prompt": "Please dial an extension.", "num_digits": 2, "timeout_seconds": 8}}
    again = {"redirect": {"url": str(request.url), "method": "POST", "max_redirects": 3}}
    return web.json_response({"actions": [ask, again]})


if __name__ == "__main__":
    app = web.Application()
    app.router.add_post("/answer", answer)
    web.run_app(app, host="127.0.0.1", port=int(os.environ.get("PORT", "9001")))
