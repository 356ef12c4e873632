"""`/v1/openapi.json`, and `/docs`, which shows it: Swagger UI from our own static files, nothing from outside."""

import hashlib
import json
from collections.abc import Callable
from functools import cache
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import condition, require_safe

from minivoice import api, errors
from minivoice.openapi.document import document

# Swagger UI draws with inline styles and icons in data: addresses; it runs no inline script.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'"
)


def published(make: Callable[[], dict[str, Any]]) -> Callable[[HttpRequest], HttpResponse]:
    """Return the view of a document that needs no key and may be read from any page.

    It is made once a process: the code does not change under it.
    """

    @cache
    def rendered() -> tuple[bytes, str]:
        """The document's bytes and their entity tag."""
        body = json.dumps(make(), ensure_ascii=False, separators=(",", ":")).encode()
        return body, f'"{hashlib.sha256(body).hexdigest()[:32]}"'

    @csrf_exempt
    @condition(etag_func=lambda _request: rendered()[1])
    def view(request: HttpRequest) -> HttpResponse:
        if request.method not in {"GET", "HEAD"}:
            refusal = api.refuse(errors.MethodNotAllowed())
            refusal["Allow"] = "GET, HEAD"
            return refusal
        headers = {"Access-Control-Allow-Origin": "*"}
        return HttpResponse(rendered()[0], content_type="application/json", headers=headers)

    return view


openapi = published(document)


@require_safe
def browse(request: HttpRequest) -> HttpResponse:
    """Answer the page that shows the API and tries it out."""
    page = render(request, "docs.html")
    page["Content-Security-Policy"] = _POLICY
    return page
