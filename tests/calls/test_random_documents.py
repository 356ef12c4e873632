"""Documents at random: right ones run to their end, wrong ones are refused with the place, and the schema agrees."""

import json
import logging
import random

import jsonschema_rs
import pytest

from calls.flow import document, shape
from tests.calls.documents import Document, broken, valid
from tests.calls.staging import Stage, stage

__all__ = ["stage"]  # a fixture

SEED = 20260529
VOICES = ("must be an id of", "must be one of GET", "must be one that")
# Rules that no JSON Schema has: they need arithmetic, names, or a strict word for whole numbers.
ONLY_THE_PARSER_KNOWS = (
    *("must be an integer", "must be a valid URL", "must not exceed max_digits", "must be an E.164"),
    *VOICES,
)


def refusal(wrong: Document) -> document.InvalidDocument | None:
    try:
        document.parse(json.dumps(wrong).encode())
    except document.InvalidDocument as error:
        return error
    return None


@pytest.mark.django_db
def test_a_thousand_valid_documents_run_to_their_end(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    chance = random.Random(SEED)
    schema = jsonschema_rs.validator_for(shape.schema())
    caplog.set_level(logging.WARNING)
    for _ in range(1000):
        wanted = valid(chance)
        schema.validate(wanted)
        stage.again()
        stage.begin(*wanted["actions"])
        stage.run_out(chance)
        assert len(stage.line.ended) == 1

    assert [record.getMessage() for record in caplog.records] == []


def test_ten_thousand_broken_documents_are_refused_with_the_place() -> None:
    chance = random.Random(SEED)
    schema = jsonschema_rs.validator_for(shape.schema())
    for _ in range(10_000):
        wrong = broken(chance)
        error = refusal(wrong)
        assert error is not None, wrong
        assert error.path.startswith("$.actions"), wrong
        assert not schema.is_valid(wrong) or error.rule.startswith(ONLY_THE_PARSER_KNOWS), (wrong, str(error))
