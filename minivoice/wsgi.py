"""The web process's entrance: `granian --interface wsgi minivoice.wsgi:application`."""

import os
from collections.abc import Callable, Iterable
from typing import Any

from django.core.wsgi import get_wsgi_application

from minivoice import checks

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "minivoice.settings")

_django = get_wsgi_application()
checks.refuse()
_CHUNKED_BYTES = 64 * 1024 + 1  # enough to see that a body is too large


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Answer a request. Django takes one without a `Content-Length` to be empty: give a chunked one its bound."""
    if "chunked" in environ.get("HTTP_TRANSFER_ENCODING", "").lower() and not environ.get("CONTENT_LENGTH"):
        environ["CONTENT_LENGTH"] = str(_CHUNKED_BYTES)
    return _django(environ, start_response)
