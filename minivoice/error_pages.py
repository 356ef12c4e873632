"""What staff read where the console has nothing for them. The API's errors are JSON: see `minivoice.api`."""

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.template.response import TemplateResponse

from minivoice import api, logs

_CONSOLE = "/admin/"


def forbidden(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """Answer a request for what a role may not have (Django's handler403)."""
    return _page(request, status=403, title="Not for your role", text="Your role may not open this page or do this.")


def not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """Answer a request for what is not there (Django's handler404): the API's in its own way."""
    if not request.path.startswith(_CONSOLE):
        return api.no_such_path(request, exception)
    return _page(request, status=404, title="Nothing here", text="There is no such page or row, or not any more.")


def stale(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Answer a form that does not come from a page of ours as it is now (Django's CSRF_FAILURE_VIEW)."""
    return _bare(
        status=403,
        title="This form is out of date",
        text="Nothing was changed. You have signed in anew since the page was opened, or cookies are off:"
        " open the page again, and send it from there.",
    )


def failed(request: HttpRequest) -> HttpResponse:
    """Answer an unexpected failure (Django's handler500): the API's in its own way."""
    if not request.path.startswith(_CONSOLE):
        return api.internal_error(request)
    return _bare(
        status=500,
        title="Something went wrong on our side",
        text="Nothing is known of what you asked for: look before you do it again. Operators find the cause by this"
        f" request id: {logs.request_id.get()}",
    )


def _bare(*, status: int, title: str, text: str) -> HttpResponse:
    """Return a page that needs neither a user nor the database."""
    return HttpResponse(render_to_string("console/bare.html", {"title": title, "text": text}), status=status)


def _page(request: HttpRequest, *, status: int, title: str, text: str) -> HttpResponse:
    request.current_app = admin.site.name
    frame = {**admin.site.each_context(request), "title": title, "text": text}
    return TemplateResponse(request, "console/error.html", frame, status=status).render()
