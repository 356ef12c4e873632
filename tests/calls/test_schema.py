"""`/v1/schemas/actions.json` and `POST /v1/actions/validate`: a document is judged without a call."""

from typing import Any

import jsonschema_rs
import pytest
from django.test import Client

from calls.flow import shape
from calls.models import Call, Flow
from tests.conftest import Actor, refusal


def test_the_schema_is_published_for_everybody(client: Client) -> None:
    answer = client.get("/v1/schemas/actions.json")

    assert answer.status_code == 200
    assert answer.json() == shape.schema()
    assert answer["Access-Control-Allow-Origin"] == "*"
    jsonschema_rs.meta.validate(answer.json())
    assert client.get("/v1/schemas/actions.json", headers={"If-None-Match": answer["ETag"]}).status_code == 304
    assert client.post("/v1/schemas/actions.json").status_code == 405


@pytest.mark.django_db
def test_a_document_that_breaks_no_rule_is_valid(acme: Actor) -> None:
    body = {"actions": [{"say": {"text": "Hi"}}, {"type": "gather", "max_digits": 4, "sensitive": True}]}

    answer = acme.client().post("/v1/actions/validate", body, format="json")

    assert (answer.status_code, answer.json()) == (200, {"valid": True})
    assert not Call.objects.exists()
    assert not Flow.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("body", "param", "message"),
    [
        ({}, "actions", "actions is required"),
        ({"actions": {}}, "actions", "actions must be an array"),
        ({"actions": [{"fly": {}}]}, "actions[0].fly", "actions[0].fly unknown action 'fly'"),
        (
            {"actions": [{"pause": {"seconds": 1}}, {"type": "gather", "timeout_seconds": 31}]},
            "actions[1].timeout_seconds",
            "actions[1].timeout_seconds must be at most 30",
        ),
    ],
)
def test_a_document_that_breaks_a_rule_is_refused_with_its_place(
    acme: Actor, body: dict[str, Any], param: str, message: str
) -> None:
    answer = acme.client().post("/v1/actions/validate", body, format="json")

    assert refusal(answer) == (400, "invalid_request")
    error = answer.json()["error"]
    assert (error["param"], error["message"]) == (param, message)
