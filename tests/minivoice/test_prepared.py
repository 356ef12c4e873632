"""Statements that a connection plans once."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from django.db import DataError, ProgrammingError, connection, transaction

from applications.models import Customer
from calls.models import Call
from minivoice.prepared import Rows, Statement, Update
from tests.conftest import Actor

pytestmark = pytest.mark.django_db(transaction=True)

NAMED = Statement("SELECT %(word)s::text || '-' || %(word)s::text, %(number)s + 1 WHERE 'a' LIKE 'a%'")
PLAIN = Statement("SELECT %s::int - %s::int")
NONE = Statement("SELECT 7")


def ask(statement: Statement, values: Any) -> Any:
    with connection.cursor() as cursor:
        statement.run(cursor, values)
        return cursor.fetchone()


def prepared() -> int:
    """How many times the statement is prepared in this session."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE %s", ["%|| '-' ||%"])
        return int(cursor.fetchone()[0])


def test_answers_as_the_plain_statement_does() -> None:
    assert ask(NAMED, {"word": "it's", "number": 4}) == ("it's-it's", 5)
    assert ask(PLAIN, [9, 4]) == (5,)
    assert ask(NONE, []) == (7,)


def test_an_array_may_hold_nothing_but_null() -> None:
    arrays = Statement("SELECT * FROM unnest(%s::smallint[], %s::timestamptz[]) AS each (number, at)")
    assert ask(arrays, [[1, None], [None, None]]) == (1, None)
    named = Statement("SELECT %(words)s::text[] || %(words)s::text[]")
    assert ask(named, {"words": [None]}) == ([None, None],)


def test_is_prepared_once_in_each_session() -> None:
    connection.close()
    for number in range(10):
        assert ask(NAMED, {"word": "a", "number": number}) == ("a-a", number + 1)
    assert prepared() == 1

    connection.close()
    assert prepared() == 0
    assert ask(NAMED, {"word": "a", "number": 1}) == ("a-a", 2)
    assert prepared() == 1


def test_outlives_the_transaction_that_prepared_it() -> None:
    connection.close()
    with transaction.atomic():
        ask(NAMED, {"word": "a", "number": 1})
        transaction.set_rollback(True)

    assert ask(NAMED, {"word": "a", "number": 1}) == ("a-a", 2)


def test_raises_what_django_raises() -> None:
    with pytest.raises(DataError):
        ask(PLAIN, ["x", 1])
    with pytest.raises(ProgrammingError):
        ask(Statement("SELECT nothing FROM nowhere"), [])


# Rows of models, and what is written of them


SIDE_BY_SIDE = """
SELECT {call}, {customer}
FROM calls_call AS call JOIN applications_customer AS customer ON customer.id = call.customer_id
WHERE call.public_id = %(id)s
"""


@pytest.fixture
def call(acme: Actor, call_body: dict[str, Any], nobody_dials: None) -> Call:
    """A call as Django reads it, queued."""
    answer = acme.client().post("/v1/calls", {**call_body, "metadata": {"order": 7, "é": '"ü"'}}, format="json")
    return Call.objects.select_related("customer").get(public_id=answer.json()["id"])


def test_rows_are_those_that_django_makes(call: Call) -> None:
    found = Rows(SIDE_BY_SIDE, call=Call, customer=Customer).one({"id": call.public_id})
    assert found
    for row, expected in zip(found, (call, call.customer), strict=True):
        assert row._state.adding is False
        assert {**vars(row), "_state": 0} == {**vars(expected), "_state": 0}
        assert row.get_deferred_fields() == set()


def test_what_was_not_wanted_is_read_when_it_is_asked_for(
    call: Call, django_assert_num_queries: Callable[..., Any]
) -> None:
    few = Rows(SIDE_BY_SIDE, call=(Call, ("id", "status")), customer=(Customer, ("id",)))
    row, _ = few.one({"id": call.public_id}) or [None, None]
    assert isinstance(row, Call)
    with django_assert_num_queries(0):
        assert row.status == "queued"
    with django_assert_num_queries(1):
        assert row.metadata == call.metadata


def test_there_may_be_no_row() -> None:
    assert Rows(SIDE_BY_SIDE, call=Call, customer=Customer).one({"id": "call_nobody"}) is None


def test_an_update_writes_its_fields_and_no_others(call: Call) -> None:
    call.metadata, call.minimum_charge, call.trunk_id, call.status = {"é": []}, Decimal("0.024"), None, "completed"
    Update(Call, "metadata", "minimum_charge", "trunk_id").run(call)
    written = Call.objects.get(pk=call.pk)
    assert (written.metadata, written.minimum_charge, written.trunk_id) == ({"é": []}, Decimal("0.024"), None)
    assert written.status == "queued"
