"""What every endpoint shares: the JSON door, the error envelope, request ids, cursor lists."""

import base64
import binascii
import hashlib
import logging
import re
import secrets
from collections.abc import Callable, Iterable, Mapping
from typing import IO, Any, TypeVar

from django.core.exceptions import ObjectDoesNotExist, SuspiciousOperation
from django.db import InterfaceError, OperationalError
from django.db.models import Model, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from rest_framework import exceptions, serializers
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from minivoice import errors, inputs, logs, strictjson

logger = logging.getLogger(__name__)

Row = TypeVar("Row", bound=Model)


class StrictJsonParser(BaseParser):
    """Read a request body through `strictjson`; an absent body is an empty object."""

    media_type = "application/json"

    def parse(self, stream: IO[Any], media_type: str | None = None, parser_context: Any = None) -> dict[str, Any]:
        charset = re.search(r"charset\s*=\s*\"?([\w-]+)", media_type or "", re.IGNORECASE)
        if charset and charset[1].lower() not in {"utf-8", "utf8"}:
            raise errors.UnsupportedMediaType
        body = stream.read(strictjson.MAX_BYTES + 1)
        if len(body) > strictjson.MAX_BYTES:
            raise errors.PayloadTooLarge
        (parser_context or {})["body_digest"] = hashlib.sha256(body).digest()
        try:
            return strictjson.parse(body)
        except strictjson.Invalid as error:
            raise errors.InvalidJson(str(error)) from error


class JsonWhateverIsAsked(BaseContentNegotiation):
    """JSON in, JSON out: `Accept` is not looked at."""

    def select_parser(self, request: Request, parsers: Iterable[BaseParser]) -> BaseParser | None:
        media_type = request.content_type.partition(";")[0].strip().lower()
        return next(iter(parsers)) if media_type == "application/json" else None

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        renderer = next(iter(renderers))
        return renderer, renderer.media_type


class View(APIView):
    """An endpoint under `/v1`. `not_found` is the error for whatever its path names and the caller cannot see."""

    http_method_names = ["get", "post", "put", "patch", "delete", "head"]  # OPTIONS would answer in DRF's own words
    parser_classes = [StrictJsonParser]
    content_negotiation_class = JsonWhateverIsAsked
    not_found: type[errors.ApiError] = errors.NotFound


def clean(form: serializers.Serializer[Any], data: Any) -> dict[str, Any]:
    """Return `data` as `form` (a shared instance) reads it; raise `InvalidRequest` naming the first bad field."""
    try:
        cleaned: dict[str, Any] = form.run_validation(data)
    except exceptions.ValidationError as error:
        param, message = inputs.first(error)
        raise errors.InvalidRequest(f"{param} {message}", param=param) from error
    return cleaned


def find(rows: QuerySet[Row], **named: str) -> Row:
    """Return the one of `rows` (scoped to the caller) that a path names, as in `find(calls, public_id=call_id)`.

    Raises ObjectDoesNotExist, which the view answers with its `not_found`: another's row and none are alike.
    """
    if any("\x00" in text for text in named.values()):
        raise ObjectDoesNotExist  # the database would not even look for it
    return rows.get(**named)


def body_digest(request: Request) -> bytes:
    """Return the SHA-256 of the request's body, once `request.data` has been read."""
    digest: bytes = request.parser_context["body_digest"]
    return digest


def page(
    request: Request, rows: QuerySet[Any], render: Callable[[Any], Mapping[str, Any]], default: int = 50
) -> Response:
    """Answer one page of `rows`, newest first, by keyset: every page costs the same.

    The cursor is the key of the last row seen. It needs no signature, for `rows` is already scoped to the caller.
    """
    most = limit(request, default)
    after = request.query_params.get("cursor")
    if after is not None:
        rows = rows.filter(pk__lt=position(after, keys=1)[0])
    found = list(rows.order_by("-pk")[: most + 1])
    shown = found[:most]
    following = cursor(shown[-1].pk) if len(found) > most else None
    return Response({"data": [render(row) for row in shown], "count": len(shown), "next_cursor": following})


def limit(request: Request, default: int = 50) -> int:
    """Return how many items a request wants on a page."""
    text = request.query_params.get("limit")
    if text is None:
        return default
    if not re.fullmatch(r"[0-9]{1,3}", text) or not 1 <= int(text) <= 200:
        raise errors.InvalidRequest("limit must be a number from 1 to 200", param="limit")
    return int(text)


def cursor(*keys: int) -> str:
    """Return the text that stands for a place in a list: the keys of the last row seen, none below 0."""
    return base64.urlsafe_b64encode(".".join(map(str, keys)).encode()).decode().rstrip("=")


def position(cursor: str, *, keys: int, param: str = "cursor") -> list[int]:
    """Return the `keys` many keys that a cursor stands for; `param` names the parameter that it came in."""
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        text = ""
    if not re.fullmatch(r"[0-9]{1,18}(\.[0-9]{1,18})*", text) or text.count(".") != keys - 1:
        raise errors.InvalidRequest(f"{param} is not one that a list gave out", param=param)
    return [int(key) for key in text.split(".")]


def handle(error: Exception, context: dict[str, Any]) -> Response | None:
    """Turn whatever a view raised into the documented envelope (DRF's EXCEPTION_HANDLER)."""
    refusal = _as_api_error(error, context)
    if refusal is None:
        return None
    response = Response(envelope(refusal), status=refusal.status_code)
    if refusal.retry_after_seconds is not None:
        response["Retry-After"] = str(refusal.retry_after_seconds)
    if isinstance(error, exceptions.MethodNotAllowed):
        response["Allow"] = ", ".join(context["view"].allowed_methods)
    if isinstance(refusal, errors.RangeNotSatisfiable):
        response["Content-Range"] = f"bytes */{refusal.size_bytes}"
    if isinstance(refusal, errors.Unauthorized):
        response["WWW-Authenticate"] = "Bearer"
    return response


def envelope(error: errors.ApiError) -> dict[str, Any]:
    """Return the body that says `error` to a client."""
    body = {"code": error.code, "message": error.message, "request_id": logs.request_id.get()}
    if error.param:
        body["param"] = error.param
    return {"error": body | error.extra}


def refuse(error: errors.ApiError) -> HttpResponse:
    """Return the plain Django response for an error met outside any view."""
    response = JsonResponse(envelope(error), status=error.status_code)
    if error.retry_after_seconds is not None:
        response["Retry-After"] = str(error.retry_after_seconds)
    return response


def request_ids(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Middleware: every request and every log line it causes carries one id; a well-formed one is kept."""

    def middleware(request: HttpRequest) -> HttpResponse:
        given = request.headers.get("X-Request-Id", "")
        request_id = given if _REQUEST_ID.fullmatch(given) else secrets.token_hex(12)
        logs.request_id.set(request_id)  # until the thread's next request: Django logs refusals after this returns
        response = get_response(request)
        response["X-Request-Id"] = request_id
        return response

    return middleware


def no_such_path(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """Answer an unknown path (Django's handler404)."""
    return refuse(errors.NotFound("there is nothing at this address"))


def internal_error(request: HttpRequest) -> HttpResponse:
    """Answer an unexpected failure outside the API's views (Django's handler500)."""
    return refuse(errors.InternalError())


def bad_request(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """Answer a request that Django itself refuses (Django's handler400)."""
    return refuse(errors.InvalidRequest())


_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")


def _as_api_error(error: Exception, context: dict[str, Any]) -> errors.ApiError | None:
    if isinstance(error, errors.ApiError):
        return error
    if isinstance(error, Http404 | ObjectDoesNotExist):
        not_found: type[errors.ApiError] = context["view"].not_found
        return not_found()
    if isinstance(error, exceptions.NotAuthenticated | exceptions.AuthenticationFailed):
        return errors.Unauthorized()
    if isinstance(error, exceptions.MethodNotAllowed):
        return errors.MethodNotAllowed()
    if isinstance(error, exceptions.UnsupportedMediaType):
        return errors.UnsupportedMediaType()
    if isinstance(error, exceptions.APIException):
        return errors.InvalidRequest(str(error.detail))
    if isinstance(error, SuspiciousOperation):  # Django's own limits, as of a thousand parameters in a query
        return errors.InvalidRequest()
    if isinstance(error, OperationalError | InterfaceError):
        logger.warning("the database does not answer: %s", type(error).__name__)
        return errors.Unavailable(retry_after_seconds=2)
    logger.error("unexpected failure", exc_info=error)
    return errors.InternalError()
