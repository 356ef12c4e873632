"""What an endpoint says of itself, beside its code: the OpenAPI, the client's test and the collection are made of it.

    @schema.operation("create_call", "Place a call", body=CallForm, answers={201: CallObject}, scope="calls")
    def post(self, request: Request) -> Response: ...

    @schema.operation("list_calls", "List calls", answers={200: schema.page_of(CallObject)})
    def get(self, request: Request) -> Response: ...

Response objects are TypedDicts; `Time`, `Amount`, `E164` and `Id` below say more of a string than `str` does, and
`Annotated[int, "in seconds"]` describes a field. Of all this only `scope` is looked at while a request is served.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, TypeVar

from minivoice import errors, inputs

Handler = TypeVar("Handler", bound=Callable[..., Any])

ID_PATTERN: Final = r"^[a-z]+_[0-9]{8}T[0-9]{6}\.[0-9]{9}(-[0-9]+)?$"


@dataclass(frozen=True, slots=True, eq=False)
class Keywords:
    """JSON Schema keywords for `Annotated`, as in `Annotated[str, Keywords({"format": "uri"})]`."""

    keywords: Mapping[str, Any]


Time = Annotated[str, Keywords({"format": "date-time", "pattern": "Z$", "examples": ["2026-05-29T12:00:00.000Z"]})]
Amount = Annotated[str, Keywords({"pattern": r"^-?[0-9]+\.[0-9]{2,6}$", "examples": ["0.60"]})]
E164 = Annotated[str, Keywords({"pattern": r"^\+[1-9][0-9]{6,14}$", "examples": ["+15551230002"]})]
Id = Annotated[str, Keywords({"pattern": ID_PATTERN})]
Object = dict[str, Any]  # an object of the integrator's own, or one that depends on its neighbour


@dataclass(frozen=True, slots=True)
class Query:
    """A query parameter; `keywords` are those of its JSON Schema, a string unless they say otherwise."""

    name: str
    description: str
    keywords: Mapping[str, Any] = field(default_factory=dict)
    is_required: bool = False


@dataclass(frozen=True, slots=True)
class Page:
    """A list in the documented form. `is_whole` when it comes in one piece, without `limit` and `cursor`."""

    item: Any
    is_whole: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """What one method of one address does. An answer of None has no body."""

    name: str
    summary: str
    description: str
    body: type[inputs.Form] | None
    answers: Mapping[int, Any]
    errors: Sequence[type[errors.ApiError]]
    query: type[inputs.Form] | Sequence[Query]
    scope: str | None
    is_idempotent: bool


def page_of(item: Any) -> Page:
    """Return the list of `item` (a TypedDict) that `api.page` answers; `limit` and `cursor` come with it."""
    return Page(item)


def whole_list_of(item: Any) -> Page:
    """Return the same list for one that is never paged: it takes neither `limit` nor `cursor`."""
    return Page(item, is_whole=True)


def operation(
    name: str,
    summary: str,
    *,
    answers: Mapping[int, Any],
    description: str = "",
    body: type[inputs.Form] | None = None,
    errors: Sequence[type[errors.ApiError]] = (),
    query: type[inputs.Form] | Sequence[Query] = (),
    scope: str | None = None,
    is_idempotent: bool = False,
) -> Callable[[Handler], Handler]:
    """Describe a view's method; it is returned as it was.

    `name` is the operation id, a verb in snake_case; `summary` a line without a full stop. `answers` maps a status to
    the TypedDict of its body, to a `page_of` one, to a content type such as "audio/wav", or to None. `errors` are the
    endpoint's own: those that every endpoint, body, path or scope brings are added. `query` is the form that reads the
    query string, or its parameters one by one. `scope` is the one a key needs, here and when it is used.
    `is_idempotent` says that it reads `Idempotency-Key`.
    """

    def describe(handler: Handler) -> Handler:
        handler.operation = Operation(  # type: ignore[attr-defined]
            name=name,
            summary=summary,
            description=description,
            body=body,
            answers=answers,
            errors=errors,
            query=query,
            scope=scope,
            is_idempotent=is_idempotent,
        )
        return handler

    return describe
