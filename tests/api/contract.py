"""The OpenAPI as tests use it: find an operation, hold bodies against its schemas."""

from functools import cache
from typing import Any

from jsonschema import Draft202012Validator

from minivoice.openapi.document import document

Json = dict[str, Any]
described = cache(document)


def find(operation_id: str) -> Json:
    """Return the operation of the document that has this id."""
    found = [
        operation
        for item in described()["paths"].values()
        for operation in item.values()
        if operation["operationId"] == operation_id
    ]
    assert len(found) == 1, operation_id
    return dict(found[0])


def check_body(operation: Json, body: Any) -> None:
    """Fail unless the operation takes this body."""
    _validate(body, operation["requestBody"]["content"]["application/json"]["schema"])


def check_response(operation: Json, status: int, body: Any) -> None:
    """Fail unless the operation says that it answers `status`, and with such a body."""
    response = operation["responses"][str(status)]
    if body is None:
        assert "content" not in response
    else:
        _validate(body, response["content"]["application/json"]["schema"])


def _validate(value: Any, schema: Json) -> None:
    """References lead into the whole document, so that it is what is validated with."""
    checker = Draft202012Validator.FORMAT_CHECKER
    Draft202012Validator({**schema, "components": described()["components"]}, format_checker=checker).validate(value)
