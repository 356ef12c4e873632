"""Log lines that carry the request, call and task they belong to: readable in a terminal, JSON elsewhere.

Whatever a line or a traceback holds, secrets in it are masked as it is written: those of the settings by their text,
those of customers by their shape.
"""

import json
import logging
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

from celery import current_task
from django.conf import settings
from django.http import HttpRequest, HttpResponse

request_id: ContextVar[str] = ContextVar("request_id", default="")
call_id: ContextVar[str] = ContextVar("call_id", default="")

MASK = "***"


@contextmanager
def about(call: str) -> Iterator[None]:
    """Let every line written within be about the call with this public id."""
    before = call_id.set(call)
    try:
        yield
    finally:
        call_id.reset(before)


class CallIds:
    """Middleware: what a request for one call logs is about that call."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        call_id.set("")  # of the thread's request before: Django logs refusals after this returns
        return self._get_response(request)

    def process_view(self, request: HttpRequest, view: object, args: object, kwargs: dict[str, Any]) -> None:
        """Note the call that the path names."""
        call_id.set(kwargs.get("call_id", ""))


class Context(logging.Filter):
    """Put the current request id, call id and task id on every record."""

    def filter(self, record: logging.LogRecord) -> bool:
        ids = {
            "request_id": request_id.get(),
            "call_id": call_id.get(),
            "task_id": (current_task.request.id or "") if current_task else "",
        }
        vars(record).update(ids, where=" ".join(filter(None, ids.values())) or "-")
        return True


class Terminal(logging.Formatter):
    """One readable line, and the traceback below it."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(name)s [%(where)s] %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        return mask(super().format(record))


class Json(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": mask(record.getMessage()),
            "request_id": getattr(record, "request_id", ""),
            "call_id": getattr(record, "call_id", ""),
            "task_id": getattr(record, "task_id", ""),
        }
        if record.exc_info:
            line["exception"] = mask(self.formatException(record.exc_info))
        return json.dumps(line, ensure_ascii=False)


def mask(text: str) -> str:
    """Return `text` without its secrets; of an API key so much is left as the console shows."""
    for secret in _our_own():
        text = text.replace(secret, MASK)
    for shape, instead in _SHAPES:
        text = shape.sub(instead, text)
    return text


_SHORTEST = 8  # a shorter secret would mask half of every line; production refuses one
_SHAPES = [
    (re.compile(r"(mv_live_[A-Za-z0-9_-]{4})[A-Za-z0-9_-]+"), rf"\1{MASK}"),
    (re.compile(r"\b(Bearer|Basic)\s+(?!mv_live_)[^\s\"',]{16,}", re.IGNORECASE), rf"\1 {MASK}"),
    (re.compile(r"(://[^\s/:@]*:)[^\s/@]+@"), rf"\1{MASK}@"),  # user and password in an address
    (re.compile(r"gAAAA[A-Za-z0-9_=-]{20,}"), MASK),  # what SecretField stores
    (
        re.compile(r"\b(\w*(?:password|secret|token|api_key)\"?'?\s*[=:]\s*[\"']?)[^\s\"',&}]+", re.IGNORECASE),
        rf"\1{MASK}",
    ),
]


def _our_own() -> Iterator[str]:
    known = [
        settings.SECRET_KEY,
        *settings.FIELD_KEYS,
        settings.METRICS_TOKEN,
        settings.DATABASES["default"]["PASSWORD"],
    ]
    return (secret for secret in known if secret and len(secret) >= _SHORTEST)
