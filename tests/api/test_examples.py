"""Every example of the documentation, `examples/api/*.json`: replayed, and held against the OpenAPI.

`EXAMPLES=write` writes what the API answers into the files instead, for someone to read before committing it.
"""

import json
import os
from contextlib import ExitStack
from typing import Any

import pytest

from minivoice import errors
from minivoice.openapi import examples
from minivoice.openapi.document import operations
from tests.api.canon import canonical_json
from tests.api.contract import check_body, check_response, find
from tests.api.given import GIVEN, Stage
from tests.conftest import Actor, refusal

NAMES = list(examples.every())
KEPT_HEADERS = ("Retry-After", "Idempotent-Replayed")


@pytest.fixture
def stage(acme: Actor, monkeypatch: pytest.MonkeyPatch, nobody_dials: None) -> Any:
    acme.application.webhook_secret = "a-long-random-secret"
    acme.application.save()
    with ExitStack() as until_done:
        stage = Stage(acme, monkeypatch, until_done)
        stage.name(acme.application.public_id)
        yield stage


@pytest.mark.django_db
@pytest.mark.parametrize("name", NAMES)
def test_the_api_answers_as_the_example_says(name: str, stage: Stage) -> None:
    example = examples.every()[name]
    for given in example.get("given", []):
        GIVEN[given](stage)

    response = replay(stage, example["request"])
    answer = {
        "status": response.status_code,
        **({"headers": kept} if (kept := {it: response[it] for it in KEPT_HEADERS if it in response}) else {}),
        **({"body": canonical_json(response.json())} if response.content else {}),
    }

    if os.environ.get("EXAMPLES") == "write":
        text = json.dumps({**example, "answer": answer}, ensure_ascii=False, indent=2)
        (examples.FOLDER / f"{name}.json").write_text(text + "\n")
    else:
        assert answer == example["answer"]
        assert response.status_code < 400 or refusal(response)


def replay(stage: Stage, request: dict[str, Any]) -> Any:
    """Send the example's request, with the ids of this run."""
    text = request.get("text", json.dumps(request["body"]) if "body" in request else "") * request.get("times", 1)
    path = request["path"]
    for written, public_id in stage.names.items():
        path, text = path.replace(written, public_id), text.replace(written, public_id)
    headers = {"Content-Type": "application/json", **request.get("headers", {})}
    client = stage.acme.client()
    content_type = headers.pop("Content-Type")
    return client.generic(request["method"], path, text.encode(), content_type=content_type, headers=headers)


@pytest.mark.parametrize("name", NAMES)
def test_the_example_is_valid_by_the_openapi(name: str) -> None:
    example = examples.every()[name]
    operation = find(example["operation"])

    status = example["answer"]["status"]
    if status < 300 and "body" in example["request"]:
        check_body(operation, example["request"]["body"])
    if status != 405:  # of an address without that method: no operation of it can say so
        check_response(operation, status, example["answer"].get("body"))


def test_every_operation_that_answers_json_has_an_example_that_succeeds() -> None:
    shown = {each["operation"] for each in examples.every().values() if each["answer"]["status"] < 300}

    assert shown == {
        operation.name for _, _, _, operation in operations() if "audio/wav" not in operation.answers.values()
    }


def test_every_error_code_has_an_example() -> None:
    bodies = [each["answer"]["body"] for each in examples.every().values() if each["answer"]["status"] >= 400]

    assert {body["error"]["code"] for body in bodies} == set(errors.CATALOGUE)
