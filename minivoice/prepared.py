"""Statements that a connection plans once. On the way of every create, planning took longer than running.

PostgreSQL's PREPARE and EXECUTE, which psycopg2 does not use by itself. They belong to a session: a pooler that hands
connections around between transactions must not stand before the database.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any
from weakref import WeakKeyDictionary

from django.db import connection
from django.db.backends.utils import CursorWrapper

_PARAMETER = re.compile(r"%(?:\((\w+)\))?s")
_prepared: WeakKeyDictionary[Any, set[str]] = WeakKeyDictionary()  # names by psycopg2's connection


class Statement:
    """An SQL statement with parameters as psycopg2 has them: `%s` throughout, or `%(name)s` throughout."""

    def __init__(self, sql: str) -> None:
        self.sql = sql
        named = list(dict.fromkeys(_PARAMETER.findall(sql)))
        places = _PARAMETER.findall(sql) if named == [""] else named
        numbers = iter(range(1, len(places) + 1))
        self._name = f"minivoice_{hashlib.sha256(sql.encode()).hexdigest()[:16]}"
        body = _PARAMETER.sub(lambda found: f"${named.index(found[1]) + 1 if found[1] else next(numbers)}", sql)
        self._prepare = f"PREPARE {self._name} AS {body}"
        arguments = ", ".join(f"%({name})s" if name else "%s" for name in places)
        self._execute = f"EXECUTE {self._name} ({arguments})" if places else f"EXECUTE {self._name}"

    def run(self, cursor: CursorWrapper, values: Sequence[Any] | Mapping[str, Any]) -> None:
        """Execute it with `values` on `cursor`, whose results are read as ever. Raises django.db's errors."""
        session = cursor.connection
        names = _prepared.setdefault(session, set())
        if self._name not in names:
            with connection.wrap_database_errors, session.cursor() as own:
                own.execute(self._prepare)
            names.add(self._name)
        cursor.execute(self._execute, values)
