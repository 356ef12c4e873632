"""A menu: 1 for the opening hours, 2 for the address, and the menu again after anything else."""

import os

from aiohttp import web

MENU = "Press 1 for our opening hours, 2 for our address."
ANSWERS = {"1": "We are open from nine to five.", "2": "You find us at one, Station Road."}


async def answer(request: web.Request) -> web.Response:
    """`answer_url`: tell what was chosen, if anything was, then offer the menu."""
    chosen = (await request.json()).get("digits")
    if chosen in ANSWERS:
        return web.json_response({"actions": [{"say": {"text": ANSWERS[chosen]}}, {"hangup": {}}]})
    again = {"redirect": {"url": str(request.url), "method": "POST", "max_redirects": 3}}
    return web.json_response({"actions": [{"gather": {"prompt": MENU}}, again]})


if __name__ == "__main__":
    app = web.Application()
    app.router.add_post("/answer", answer)
    web.run_app(app, host="127.0.0.1", port=int(os.environ.get("PORT", "9001")))
