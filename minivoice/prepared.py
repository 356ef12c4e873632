"""Statements that a connection plans once. On the way of every create, planning took longer than running.

PostgreSQL's PREPARE and EXECUTE, which psycopg2 does not use by itself. They belong to a session: a pooler that hands
connections around between transactions must not stand before the database.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import islice
from typing import Any
from weakref import WeakKeyDictionary

from django.db import connection
from django.db.backends.utils import CursorWrapper
from django.db.models import Field, Model

_PARAMETER = re.compile(r"%(?:\(\w+\))?s((?:::\w+\[\])?)")
_prepared: WeakKeyDictionary[Any, set[str]] = WeakKeyDictionary()  # names by psycopg2's connection


class Statement:
    """An SQL statement with parameters as psycopg2 has them: `%s` throughout, or `%(name)s` throughout.

    An array says of what it is where it stands, `%s::text[]`: nobody could tell of one that holds nothing but NULL.
    `numbered` is the statement with parameters as PostgreSQL has them.
    """

    def __init__(self, sql: str) -> None:
        self.sql = sql
        found = [place.group() for place in _PARAMETER.finditer(sql)]
        is_named = any(place.startswith("%(") for place in found)
        places = list(dict.fromkeys(found)) if is_named else found
        numbers = iter(range(1, len(places) + 1))
        self._name = f"minivoice_{hashlib.sha256(sql.encode()).hexdigest()[:16]}"
        self.numbered = _PARAMETER.sub(
            lambda place: f"${places.index(place.group()) + 1 if is_named else next(numbers)}{place[1]}", sql
        )
        self._prepare = f"PREPARE {self._name} AS {self.numbered}"
        self._execute = f"EXECUTE {self._name} ({', '.join(places)})" if places else f"EXECUTE {self._name}"

    def run(self, cursor: CursorWrapper, values: Sequence[Any] | Mapping[str, Any]) -> None:
        """Execute it with `values` on `cursor`, whose results are read as ever. Raises django.db's errors."""
        session = cursor.connection
        names = _prepared.setdefault(session, set())
        if self._name not in names:
            with connection.wrap_database_errors, session.cursor() as own:
                own.execute(self._prepare)
            names.add(self._name)
        cursor.execute(self._execute, values)


class Rows:
    """Rows of models side by side, as `select_related` has them, by a statement that is composed once.

    Models go by the names that `sql` gives their tables: `{call}` stands for the columns of `call`. Where few are
    wanted, the primary key among them, a model comes as a tuple with their names.
    """

    def __init__(self, sql: str, **models: type[Model] | tuple[type[Model], Sequence[str]]) -> None:
        self._sql, self._models = sql, models

    def one(self, values: Sequence[Any] | Mapping[str, Any]) -> list[Any] | None:
        """Return the rows side by side, in the order of the models, or None. Raises django.db's errors."""
        with connection.cursor() as cursor:
            self._statement.run(cursor, values)
            found = cursor.fetchone()
        if found is None:
            return None
        left = iter(found)
        return [_made(model, fields, list(islice(left, len(fields)))) for model, fields in self._wanted.values()]

    @cached_property
    def _wanted(self) -> dict[str, tuple[type[Model], list["Field[Any, Any]"]]]:
        """The fields of each model. Read when all models are there, and not as soon as this one's module is."""
        wanted = {}
        for name, described in self._models.items():
            model, names = described if isinstance(described, tuple) else (described, None)
            fields = model._meta.concrete_fields  # noqa: SLF001  Django's documented way to a model's columns
            wanted[name] = model, [field for field in fields if names is None or field.attname in names]
        return wanted

    @cached_property
    def _statement(self) -> Statement:
        quote = connection.ops.quote_name
        columns = {
            name: ", ".join(f"{name}.{quote(str(field.column))}" for field in fields)
            for name, (_, fields) in self._wanted.items()
        }
        return Statement(self._sql.format(**columns))


class Update:
    """`row.save(update_fields=fields)`, composed once; fields are those of the columns, such as `trunk_id`."""

    def __init__(self, model: type[Model], *fields: str) -> None:
        self._model, self._names = model, fields

    def run(self, row: Model) -> None:
        """Write the fields of `row`, which is there. Raises django.db's errors."""
        values = [field.get_db_prep_save(getattr(row, field.attname), connection) for field in self._fields]
        with connection.cursor() as cursor:
            self._statement.run(cursor, [*values, row.pk])

    @cached_property
    def _fields(self) -> list["Field[Any, Any]"]:
        fields = {field.attname: field for field in self._model._meta.concrete_fields}  # noqa: SLF001  as above
        return [fields[name] for name in self._names]

    @cached_property
    def _statement(self) -> Statement:
        quote = connection.ops.quote_name
        sets = ", ".join(f"{quote(str(field.column))} = %s" for field in self._fields)
        return Statement(f"UPDATE {quote(self._model._meta.db_table)} SET {sets} WHERE id = %s")  # noqa: S608, SLF001


def _made(model: type[Model], fields: Sequence["Field[Any, Any]"], values: list[Any]) -> Model:
    """Return a row as Django makes one of what the database told."""
    for place, field in enumerate(fields):
        if convert := getattr(field, "from_db_value", None):
            values[place] = convert(values[place], None, connection)
    return model.from_db("default", [field.attname for field in fields], values)
