"""Statements that a connection plans once."""

from typing import Any

import pytest
from django.db import DataError, ProgrammingError, connection, transaction

from minivoice.prepared import Statement

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
