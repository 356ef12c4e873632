"""What Prometheus is told: requests as this process counted them, everything else as the rows say (`figures`).

Rows are counted when asked: the figures are the truth whichever process wrote them, survive restarts, and need no
exporter in workers and switchboard. Every web process tells the same, so ask one, or take the maximum.
"""

import hmac
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector

from minivoice import api, errors, figures, readiness

if settings.METRICS_FOLDER:
    Path(settings.METRICS_FOLDER).mkdir(parents=True, exist_ok=True)

_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"})
_REQUESTS = Counter("minivoice_http_requests", "Requests answered", ["method", "route", "status"])
_SECONDS = Histogram(
    "minivoice_http_request_seconds",
    "Seconds from a request's arrival in Django to its answer",
    ["route"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)


def measured(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Middleware: count every request by the route that answered it."""

    def middleware(request: HttpRequest) -> HttpResponse:
        began = time.perf_counter()
        response = get_response(request)
        route = _route(request)
        method = request.method if request.method in _METHODS else "other"
        _REQUESTS.labels(method, route, response.status_code).inc()
        _SECONDS.labels(route).observe(time.perf_counter() - began)
        return response

    return middleware


def metrics(request: HttpRequest) -> HttpResponse:
    """Answer the figures, in Prometheus's text format, to whoever knows METRICS_TOKEN; without one there are none."""
    if not settings.METRICS_TOKEN:
        return api.no_such_path(request)
    given = request.headers.get("Authorization", "")
    if not hmac.compare_digest(given.encode(), f"Bearer {settings.METRICS_TOKEN}".encode()):
        return api.refuse(errors.Unauthorized())
    rows = CollectorRegistry()
    rows.register(_Rows())
    return HttpResponse(generate_latest(_processes()) + generate_latest(rows), content_type=CONTENT_TYPE_LATEST)


class _Rows:
    """The figures that are read at the moment of asking."""

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """Yield a family for each figure; one that cannot be read is missing, and counted as failed."""
        found = readiness.look()
        up = GaugeMetricFamily("minivoice_up", "Whether a dependency answers", labels=["dependency"])
        for dependency, state in found.items():
            up.add_metric([dependency], float(state == "up"))
        yield up
        failed = 0
        for figure in figures.readable(database=found["database"] == "up", redis=found["redis"] == "up"):
            family = GaugeMetricFamily(figure.name, figure.help, labels=figure.labels)
            try:
                for *labels, value in figure.read():
                    family.add_metric([str(label) for label in labels], float(value))
            except figures.UNREADABLE:
                failed += 1
            else:
                yield family
        yield GaugeMetricFamily("minivoice_figures_failed", "Figures that could not be read just now", value=failed)


def _processes() -> CollectorRegistry:
    """Return what was counted by this process, or by all of this web when they share PROMETHEUS_MULTIPROC_DIR."""
    if not settings.METRICS_FOLDER:
        return REGISTRY
    together = CollectorRegistry()
    MultiProcessCollector(together)  # type: ignore[no-untyped-call]
    return together


def _route(request: HttpRequest) -> str:
    """Return the pattern that the path met, never the path itself: strangers must not make up labels."""
    match = request.resolver_match
    if match is None:
        return "none"
    return "admin/" if match.route.startswith("admin/") else match.route
