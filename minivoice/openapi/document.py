"""The document itself: every route below `/v1` with its methods, in the order of `minivoice.urls`."""

import re
from collections.abc import Callable, Iterable, Iterator
from http import HTTPStatus
from typing import Any, NotRequired, TypedDict

from django.urls import URLPattern, get_resolver

import minivoice
from minivoice import api, errors, schema
from minivoice.openapi import examples
from minivoice.openapi.types import Components, Json, field

_METHODS = ("get", "post", "put", "patch", "delete")
_EVERYWHERE = (errors.Unauthorized, errors.AccountSuspended, errors.InternalError, errors.Unavailable)
_OF_A_BODY = (errors.InvalidJson, errors.InvalidRequest, errors.PayloadTooLarge, errors.UnsupportedMediaType)
_RETRIED = (errors.IdempotencyInProgress, errors.CpsLimitReached, errors.ConcurrentCallLimitReached, errors.Unavailable)
_REQUEST_ID = {
    "description": "names this request in errors and logs; a well-formed one that you send is kept",
    "schema": {"type": "string"},
}
_RETRY_AFTER = {"description": "seconds to wait before the next try", "schema": {"type": "integer", "minimum": 0}}
_REPLAYED = {
    "description": "`true` when the key was known: nothing was done again",
    "schema": {"type": "string", "enum": ["true"]},
}
_IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "your own name for this request: sent again with the same body within 24 hours, it is answered, "
    "and not carried out again",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": r"^[\x20-\x7e]+$"},
}
_PAGING = [
    schema.Query("limit", "how many at most", {"type": "integer", "minimum": 1, "maximum": 200, "default": 50}),
    schema.Query("cursor", "the `next_cursor` of the page before"),
]
_ABOUT = (
    "Sign in with `Authorization: Bearer <API key>`. Unknown fields of a request are ignored; ignore those of an "
    "answer that you do not know. Times are RFC 3339 in UTC, money is a decimal string. An address where there is "
    "nothing answers 404 `not_found`, one without the method 405 `method_not_allowed`."
)


class ErrorObject(TypedDict):
    """What went wrong. `param` names the offending field, `call_id` the call that an `originate_failed` ended."""

    code: str
    message: str
    request_id: str
    param: NotRequired[str]
    call_id: NotRequired[str]


class EnvelopeObject(TypedDict):
    """The body of every answer that is not a success."""

    error: ErrorObject


def document() -> Json:
    """Return the OpenAPI 3.1 document of the API as the code has it."""
    components = Components()
    paths: dict[str, Json] = {}
    for path, view, method, operation in operations():
        paths.setdefault(path, {})[method] = _operation(path, view, method, operation, components)
    return {
        "openapi": "3.1.0",
        "info": {"title": "MiniVoice", "version": minivoice.__version__, "description": _ABOUT},
        "servers": [{"url": "/"}],
        "security": [{"api_key": []}],
        "paths": paths,
        "components": {
            "schemas": dict(sorted(components.schemas.items())),
            "securitySchemes": {"api_key": {"type": "http", "scheme": "bearer", "description": "mv_live_…"}},
        },
    }


def operations() -> Iterator[tuple[str, type[api.View], str, schema.Operation]]:
    """Give every described method as path, view, method in lower case and operation."""
    for path, view in routes():
        for method in _METHODS:
            handler: Callable[..., Any] | None = getattr(view, method, None)
            operation = getattr(handler, "operation", None)
            if operation is not None:
                yield path, view, method, operation


def routes() -> Iterator[tuple[str, type[api.View]]]:
    """Give every address below `/v1`, parameters in braces, with its view."""
    for pattern in get_resolver().url_patterns:
        view = getattr(getattr(pattern, "callback", None), "cls", None)
        if isinstance(pattern, URLPattern) and view is not None and issubclass(view, api.View):
            yield "/" + re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", str(pattern.pattern)), view


def _operation(
    path: str, view: type[api.View], method: str, operation: schema.Operation, components: Components
) -> Json:
    parameters = [*_in_path(path), *_in_query(operation), *([_IDEMPOTENCY_KEY] if operation.is_idempotent else [])]
    scope = f"Needs a key with the scope `{operation.scope}`." if operation.scope else ""
    described = "\n\n".join(text for text in (operation.description, scope) if text)
    return {
        "operationId": operation.name,
        "summary": operation.summary,
        **({"description": described} if described else {}),
        "tags": [path.split("/")[2].capitalize()],
        **({"parameters": parameters} if parameters else {}),
        **_request_body(operation, components, method=method),
        "responses": _responses(path, view, operation, components),
        **({"security": [{"api_key": [operation.scope]}]} if operation.scope else {}),
    }


def _in_path(path: str) -> list[Json]:
    names = re.findall(r"\{(\w+)\}", path)
    text = {"type": "string", "minLength": 1}
    return [{"name": name, "in": "path", "required": True, "schema": text} for name in names]


def _in_query(operation: schema.Operation) -> list[Json]:
    paged = any(isinstance(answer, schema.Page) and not answer.is_whole for answer in operation.answers.values())
    asked = list(_PAGING) if paged else []
    if isinstance(operation.query, type):
        fields = operation.query().fields.items()
        asked = [schema.Query(name, "", field(each), is_required=each.required) for name, each in fields] + asked
    else:
        asked = [*operation.query, *asked]
    return [_parameter(query) for query in asked]


def _parameter(query: schema.Query) -> Json:
    described = {"description": query.description} if query.description else {}
    keywords = {"type": "string", **query.keywords}
    return {"name": query.name, "in": "query", "required": query.is_required, **described, "schema": keywords}


def _request_body(operation: schema.Operation, components: Components, *, method: str) -> Json:
    if operation.body is None:
        return {}
    is_partial = method == "patch"
    content: Json = {"schema": components.body(operation.body, is_partial=is_partial)}
    shown = examples.requests(operation.name)
    if shown:
        content["examples"] = shown
    is_required = not is_partial and any(field.required for field in operation.body().fields.values())
    return {"requestBody": {"required": is_required, "content": {"application/json": content}}}


def _responses(path: str, view: type[api.View], operation: schema.Operation, components: Components) -> Json:
    answers = {
        str(status): _answer(status, answer, operation, components) for status, answer in operation.answers.items()
    }
    by_status: dict[int, list[type[errors.ApiError]]] = {}
    for error in _errors(path, view, operation):
        by_status.setdefault(error.status_code, []).append(error)
    return answers | {str(status): _refusals(by_status[status], operation, components) for status in sorted(by_status)}


def _answer(status: int, answer: Any, operation: schema.Operation, components: Components) -> Json:
    headers = {"X-Request-Id": _REQUEST_ID, **({"Idempotent-Replayed": _REPLAYED} if operation.is_idempotent else {})}
    described: Json = {"description": HTTPStatus(status).phrase, "headers": headers}
    if answer is None:
        return described
    if isinstance(answer, str):
        return described | {"content": {answer: {"schema": {"type": "string", "format": "binary"}}}}
    content: Json = {"schema": _page(answer, components) if isinstance(answer, schema.Page) else components.of(answer)}
    shown = examples.answers(operation.name, status)
    if shown:
        content["examples"] = shown
    return described | {"content": {"application/json": content}}


def _page(page: schema.Page, components: Components) -> Json:
    return {
        "type": "object",
        "properties": {
            "data": {"type": "array", "items": components.of(page.item)},
            "count": {"type": "integer", "description": "how many are in `data`"},
            "next_cursor": {"type": "null"}
            if page.is_whole
            else {"type": ["string", "null"], "description": "the `cursor` of the next page, null on the last"},
        },
        "required": ["data", "count", "next_cursor"],
    }


def _errors(path: str, view: type[api.View], operation: schema.Operation) -> Iterable[type[errors.ApiError]]:
    """What this method can answer, each code once: its own, and what its body, path, query and scope bring."""
    found = [
        *operation.errors,
        *_EVERYWHERE,
        *(_OF_A_BODY if operation.body else ()),
        *((errors.InvalidRequest,) if operation.is_idempotent or _in_query(operation) else ()),
        *((view.not_found,) if "{" in path else ()),
        *((errors.ScopeRequired,) if operation.scope else ()),
    ]
    return {error.code: error for error in found}.values()


def _refusals(refusals: list[type[errors.ApiError]], operation: schema.Operation, components: Components) -> Json:
    codes = {"properties": {"error": {"properties": {"code": {"enum": [error.code for error in refusals]}}}}}
    is_retried = any(error in _RETRIED for error in refusals)
    return {
        "description": "; ".join(f"`{error.code}`: {error.message}" for error in refusals),
        "headers": {"X-Request-Id": _REQUEST_ID, **({"Retry-After": _RETRY_AFTER} if is_retried else {})},
        "content": {
            "application/json": {
                "schema": {"allOf": [components.of(EnvelopeObject), codes]},
                "examples": {error.code: {"value": examples.refusal(operation.name, error)} for error in refusals},
            }
        },
    }
