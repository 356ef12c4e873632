"""Is this process alive, and can it work? For supervisors and load balancers."""

from django.db import DatabaseError, connection
from django.http import HttpRequest, JsonResponse

from minivoice import clock, nudge
from telephony import link


def healthz(request: HttpRequest) -> JsonResponse:
    """Answer that the process is alive."""
    return JsonResponse({"status": "ok"})


def readyz(request: HttpRequest) -> JsonResponse:
    """Say which dependency is down. Without database or engine: 503; without Redis things are only slower."""
    database = _database_answers()
    checks = {
        "database": "up" if database else "down",
        "engine": "up" if database and link.is_up(now=clock.now()) else "down",
        "redis": "up" if nudge.answers() else "degraded",
    }
    ready = checks["database"] == checks["engine"] == "up"
    return JsonResponse({"status": "ready" if ready else "unavailable", **checks}, status=200 if ready else 503)


def _database_answers() -> bool:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        return False
    return True
