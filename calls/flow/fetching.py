"""Asking an answer URL for instructions: one budget for everything, one more try, the whole document checked."""

import asyncio
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from time import monotonic
from typing import Any
from urllib.parse import urlencode, urlsplit, urlunsplit

from calls.flow import document
from minivoice import clock
from minivoice.outbound import Answer, Client, Failure, Limits
from webhooks import signing

BUDGET_SECONDS = 10.0
TRY_LIMITS = Limits(total_seconds=4.0, max_bytes=256 * 1024)
_RETRY_WITHIN_SECONDS = 2.0

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Request:
    """What to ask of whom: the context goes as a signed JSON body, or by GET as query parameters, unsigned.

    A fallback URL is asked within what the first has left of the budget.
    """

    url: str
    method: str
    context: Mapping[str, Any]
    secret: str = field(repr=False)
    previous_secret: str = field(default="", repr=False)
    budget_seconds: float = BUDGET_SECONDS


@dataclass(frozen=True, slots=True)
class Fetched:
    """The actions, or why there are none, and the time it took; `http_status` None when nothing answered."""

    actions: Sequence[document.Action] | None
    failure: str
    http_status: int | None
    duration_ms: int


async def fetch(client: Client, request: Request) -> Fetched:
    """Ask `request.url` for a document, at most twice, within the budget; never raises."""
    began = monotonic()
    try:
        async with asyncio.timeout(request.budget_seconds):
            answer = await _ask(client, request)
            if _deserves_another(answer) and monotonic() - began < _RETRY_WITHIN_SECONDS:
                answer = await _ask(client, request)
    except TimeoutError:
        answer = "read_timeout"
    except Exception:
        logger.exception("a document could not be asked for")
        answer = "failed"
    # Reading a large document takes its time, and all calls share this loop.
    return await asyncio.to_thread(_read, answer, round((monotonic() - began) * 1000))


async def _ask(client: Client, request: Request) -> Answer | str:
    """Send the request once; return the answer, or the word for why there is none."""
    url, body, headers = request.url, b"", {}
    if request.method == "GET":
        url = _with_query(url, request.context)
    else:
        body = json.dumps(request.context, ensure_ascii=False, separators=(",", ":")).encode()
        signature = signing.request_headers(
            secret=request.secret, previous_secret=request.previous_secret, body=body, now=clock.now()
        )
        headers = {"Content-Type": "application/json", **signature}
    try:
        return await client.request(request.method, url, limits=TRY_LIMITS, body=body, headers=headers)
    except Failure as failure:
        return failure.word


def _with_query(url: str, context: Mapping[str, Any]) -> str:
    parts = urlsplit(url)
    """Add what is plain of the context; its objects go by POST only."""
    plain = {name: value for name, value in context.items() if isinstance(value, str)}
    flags = {name: str(value).lower() for name, value in context.items() if isinstance(value, bool)}
    query = "&".join(filter(None, [parts.query, urlencode(plain | flags)]))
    return urlunsplit(parts._replace(query=query))


def _deserves_another(answer: Answer | str) -> bool:
    """Whether to ask again: the network failed, or the server was busy or broken."""
    if isinstance(answer, str):
        return answer not in {"blocked_address", "response_too_large"}
    return answer.status == HTTPStatus.TOO_MANY_REQUESTS or answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR


def _read(answer: Answer | str, duration_ms: int) -> Fetched:
    if isinstance(answer, str):
        return Fetched(None, answer, None, duration_ms)
    if answer.status != HTTPStatus.OK:
        return Fetched(None, f"http_{answer.status}", answer.status, duration_ms)
    try:
        return Fetched(document.parse(answer.body), "", answer.status, duration_ms)
    except document.InvalidDocument as error:
        return Fetched(None, str(error), answer.status, duration_ms)
