"""Is this process alive, and can it work? For supervisors and load balancers.

A dependency that hangs must not hang the answer: each is asked in a thread of its own, one at a time however many
requests want to know, and what has not answered within the deadline is down. A thread that hangs ends with its
connection; until then its dependency stays down without being asked again.
"""

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future, wait

from django.db import connection
from django.http import HttpRequest, JsonResponse

from minivoice import clock, nudge
from telephony import link

logger = logging.getLogger(__name__)

DEADLINE_SECONDS = 1.5
_SHARED = threading.Lock()


def healthz(request: HttpRequest) -> JsonResponse:
    """Answer that the process is alive; asks nobody."""
    return JsonResponse({"status": "ok"})


def readyz(request: HttpRequest) -> JsonResponse:
    """Say which dependency is down. Without database or engine: 503; without Redis things are only slower."""
    found = look()
    ready = found["database"] == found["engine"] == "up"
    return JsonResponse({"status": "ready" if ready else "unavailable", **found}, status=200 if ready else 503)


def look() -> dict[str, str]:
    """Return database, engine and redis, each with its state, in little more than DEADLINE_SECONDS.

    `engine` is `unknown` while the database is down, for its rows tell; `redis` is `degraded`, never down.
    """
    asked = {name: probe.ask() for name, probe in _PROBES.items()}
    wait(asked.values(), timeout=DEADLINE_SECONDS)
    told = {name: answer.result() if answer.done() else "" for name, answer in asked.items()}
    return {
        "database": "up" if told["rows"] else "down",
        "engine": told["rows"] or "unknown",
        "redis": told["redis"] or "degraded",
    }


class _Probe:
    """A question to one dependency, asked by one thread at a time: who wants to know meanwhile shares its answer."""

    def __init__(self, question: Callable[[], str]) -> None:
        self._question = question
        self._answer: Future[str] | None = None

    def ask(self) -> Future[str]:
        """Return the answer that is on its way; `''` is none."""
        with _SHARED:
            if self._answer is None or self._answer.done():
                self._answer = Future()
                threading.Thread(target=self._run, args=(self._answer,), name="probe", daemon=True).start()
            return self._answer

    def _run(self, answer: Future[str]) -> None:
        told = ""
        try:
            told = self._question()
        except Exception as error:  # noqa: BLE001  whatever keeps it from answering, it does not answer
            logger.warning("not ready: %s", error)
        answer.set_result(told)


def _rows() -> str:
    """Return how the engine's link is, as a new connection to the database tells."""
    try:
        return "up" if link.is_up(now=clock.now()) else "down"
    finally:
        connection.close()


def _redis() -> str:
    return "up" if nudge.answers() else ""


_PROBES = {"rows": _Probe(_rows), "redis": _Probe(_redis)}
