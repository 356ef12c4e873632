"""Requests that are sent again where that can do no harm, and lists that are read page by page."""

import random
import time
import uuid
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import quote

import requests

from minivoice_client import errors

NOT_GIVEN: Final[Any] = object()  # None is a value of its own: it clears a field

_PAGE = 100
_LONGEST_WAIT_SECONDS = 30.0
_NEVER_STARTED = {429, 503}  # MiniVoice answers so before it has done anything
_NO_WORD_FROM_BEHIND = {502, 504}


class Transport:
    """The way to one MiniVoice with one API key. It keeps connections, and is not for several threads at once."""

    def __init__(
        self,
        api_key: str,
        *,
        base_url: str,
        timeout_seconds: float = 30.0,
        tries: int = 4,
        session: requests.Session | None = None,
    ) -> None:
        """`base_url` is the platform's, without `/v1`; `tries` counts the first one as well."""
        self._base_url = base_url.rstrip("/")
        self._timeout_seconds, self._tries = timeout_seconds, tries
        self._session = session or requests.Session()
        self._headers = {"Authorization": f"Bearer {api_key}", "User-Agent": "minivoice-client/0.1.0"}

    def _send(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        body: Mapping[str, Any] | None = None,
        idempotency_key: str | None = None,
    ) -> Any:
        """Return the body of the answer. Raises ApiError or ConnectionFailed when the last try failed too."""
        key = {"Idempotency-Key": idempotency_key} if idempotency_key else {}
        is_harmless = method != "POST" or idempotency_key is not None
        for tries_left in reversed(range(self._tries)):
            try:
                answer = self._session.request(
                    method,
                    self._base_url + path,
                    params=given(query or {}),
                    json=None if body is None else given(body),
                    headers=self._headers | key,
                    timeout=self._timeout_seconds,
                    allow_redirects=False,
                )
            except (requests.ConnectionError, requests.Timeout) as failure:
                if not tries_left or not (is_harmless or isinstance(failure, requests.ConnectTimeout)):
                    raise errors.ConnectionFailed(str(failure)) from failure
                self._wait(None, tries_left)
                continue
            if answer.status_code < 300:
                return _content(answer)
            refusal = errors.read(answer)
            if not tries_left or not _is_worth_another(refusal, is_harmless=is_harmless):
                raise refusal
            self._wait(refusal.retry_after_seconds, tries_left)
        raise ValueError("tries must be at least 1")

    def _pages(self, path: str, *, query: Mapping[str, Any] | None = None, is_whole: bool = False) -> Iterator[Any]:
        """Give every item of a list, asking for each page when it is needed."""
        wanted = dict(query or {}) if is_whole else {**(query or {}), "limit": _PAGE}
        while True:
            page = self._send("GET", path, query=wanted)
            yield from page["data"]
            if page["next_cursor"] is None:
                return
            wanted["cursor"] = page["next_cursor"]

    def _wait(self, asked_seconds: int | None, tries_left: int) -> None:
        """Wait as long as was asked for, or twice as long each time; a little more or less than others do."""
        seconds = asked_seconds if asked_seconds is not None else 0.25 * 2 ** (self._tries - 1 - tries_left)
        time.sleep(min(seconds, _LONGEST_WAIT_SECONDS) * random.uniform(1.0, 1.2))  # noqa: S311  no secret


def path(template: str, *names: str) -> str:
    """Put names into the `{}` of a path, encoded."""
    return template.format(*(quote(name, safe="") for name in names))


def given(values: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what the caller did not give."""
    return {name: value for name, value in values.items() if value is not NOT_GIVEN}


def new_key() -> str:
    """Return a fresh idempotency key."""
    return str(uuid.uuid4())


def _content(answer: requests.Response) -> Any:
    if answer.headers.get("Content-Type", "").startswith("audio/"):
        return answer.content
    return answer.json() if answer.content else None


def _is_worth_another(refusal: errors.ApiError, *, is_harmless: bool) -> bool:
    if refusal.error_code == "idempotency_in_progress" or refusal.status in _NEVER_STARTED:
        return True
    # `originate_failed` is MiniVoice's own 502 and final; others come from a proxy that lost sight of it.
    return is_harmless and refusal.status in _NO_WORD_FROM_BEHIND and refusal.error_code != "originate_failed"
