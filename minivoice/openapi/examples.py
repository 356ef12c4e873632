"""The examples of the documentation, `examples/api/*.json`: one request and its answer a file.

    {"operation": "create_call", "title": "…", "request": {"method", "path", "headers"?, "body"?},
     "answer": {"status", "headers"?, "body"?}}

The tests replay each one; what else is in a file is theirs.
"""

import json
from functools import cache
from pathlib import Path
from typing import Any

from minivoice import errors

FOLDER = Path(__file__).resolve().parents[2] / "examples" / "api"
REQUEST_ID = "4a1f0c6e9b7d2f5813a6c0de"

Json = dict[str, Any]


@cache
def every() -> dict[str, Json]:
    """Return all examples by the names of their files, without the ending."""
    files = {file.stem: file for file in FOLDER.glob("*.json")}
    return {name: json.loads(files[name].read_text()) for name in sorted(files)}


def requests(operation: str) -> Json:
    """Return the bodies that succeed, as an OpenAPI media type shows them."""
    return {
        name: {"summary": each["title"], "value": each["request"]["body"]}
        for name, each in _of(operation).items()
        if each["answer"]["status"] < 300 and "body" in each["request"]
    }


def answers(operation: str, status: int) -> Json:
    """Return the bodies answered with `status`, likewise."""
    return {
        name: {"summary": each["title"], "value": each["answer"]["body"]}
        for name, each in _of(operation).items()
        if each["answer"]["status"] == status and "body" in each["answer"]
    }


def refusal(operation: str, error: type[errors.ApiError]) -> Json:
    """Return an envelope of `error`: the operation's own example of it where there is one."""
    for each in _of(operation).values():
        body = each["answer"].get("body", {})
        if each["answer"]["status"] == error.status_code and body["error"]["code"] == error.code:
            return dict(body)
    return {"error": {"code": error.code, "message": error.message, "request_id": REQUEST_ID}}


def _of(operation: str) -> dict[str, Json]:
    return {name: each for name, each in every().items() if each["operation"] == operation}
