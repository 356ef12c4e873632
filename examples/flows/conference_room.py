"""Everybody who calls and knows the code meets in one room; who does not is hung up on."""

import os

from aiohttp import web

CODE = os.environ.get("CODE", "4711")


async def answer(request: web.Request) -> web.Response:
    """`answer_url`: ask for the code; its digits are for us alone, so the gather is marked sensitive."""
    digits = (await request.json()).get("digits")
    if digits == CODE:
        return web.json_response({"actions": [{"conference": {"room": "meeting"}}]})
    ask = {"gather": {"prompt": "Please enter the code.", "num_digits": len(CODE), "sensitive": True}}
    back = {"redirect": {"url": str(request.url), "method": "POST", "max_redirects": 2}}
    return web.json_response({"actions": [ask, back]})


if __name__ == "__main__":
    app = web.Application()
    app.router.add_post("/answer", answer)
    web.run_app(app, host="127.0.0.1", port=int(os.environ.get("PORT", "9001")))
