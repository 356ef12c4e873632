"""`/v1/openapi.json`, and `/docs`, which shows it: Swagger UI from our own static files, nothing from outside."""

import hashlib
import json
from functools import cache

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


def _etag(request: HttpRequest) -> str:
    return _rendered()[1]


@csrf_exempt
@condition(etag_func=_etag)
def openapi(request: HttpRequest) -> HttpResponse:
    """Answer the OpenAPI document; it needs no key and may be read from any page."""
    if request.method not in {"GET", "HEAD"}:
        refusal = api.refuse(errors.MethodNotAllowed())
        refusal["Allow"] = "GET, HEAD"
        return refusal
    return HttpResponse(_rendered()[0], content_type="application/json", headers={"Access-Control-Allow-Origin": "*"})


@require_safe
def browse(request: HttpRequest) -> HttpResponse:
    """Answer the page that shows the API and tries it out."""
    page = render(request, "docs.html")
    page["Content-Security-Policy"] = _POLICY
    return page


@cache
def _rendered() -> tuple[bytes, str]:
    """The document's bytes and their entity tag, made once a process: the code does not change under it."""
    body = json.dumps(document(), ensure_ascii=False, separators=(",", ":")).encode()
    return body, f'"{hashlib.sha256(body).hexdigest()[:32]}"'
