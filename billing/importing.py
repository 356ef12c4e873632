"""Rates from a file into a draft version. Nothing is live before somebody publishes it (`billing.versions`)."""

import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from django.db import connection, transaction

from billing import columns, sheets
from billing.models import DeckVersion, RateDeck

JOB = "import_rates"  # the kind of staff's job that does it, with a preview: calls.previews
_CHUNK_ROWS = 10_000
_PROBLEMS_SHOWN = 50
_ESCAPED = str.maketrans({"\\": "\\\\"})  # tabs and line ends do not come here: they do not print


class Empty(Exception):
    """Not one line of the file is fit."""


class Problem(NamedTuple):
    """What is wrong with a line."""

    line: int
    message: str


@dataclass(slots=True)
class Problems:
    """How many lines are not fit, and the first of them."""

    count: int = 0
    first: list[Problem] = field(default_factory=list)

    def add(self, line: int, message: str) -> None:
        """Count a line; keep it if it is among the first."""
        self.count += 1
        if len(self.first) < _PROBLEMS_SHOWN:
            self.first.append(Problem(line, message))


@dataclass(frozen=True, slots=True)
class Imported:
    """A draft with its rates, which column was taken for what, and the lines that are not in it."""

    version: DeckVersion
    rates: int
    places: Mapping[str, str]
    problems: Problems


def import_rates(
    *,
    deck: RateDeck,
    path: Path,
    chosen: Mapping[str, str],
    effective_from: datetime,
    tell: Callable[[int, float], None],
) -> Imported:
    """Read the rates of a file into a new draft of `deck`; return it.

    `chosen` says which column is which field where the names do not. `tell` hears now and then how many rows are
    read, and how much of the file (0 to 1). All or nothing: raises sheets.Unreadable, columns.Unmapped and Empty.
    """
    problems = Problems()
    with transaction.atomic(), sheets.open_table(path) as table:
        places = columns.find(table.columns, chosen)
        with connection.cursor() as cursor:
            cursor.execute(_INCOMING)
            lines = _lines(table.rows, columns.reader(places), problems, tell)
            while chunk := "".join(islice(lines, _CHUNK_ROWS)):
                cursor.copy_expert("COPY rate_incoming FROM STDIN", io.StringIO(chunk))
            cursor.execute(_REPEATED)
            for line, prefix, first in cursor:
                problems.add(line, f"prefix {prefix} is on line {first} already")
            version = DeckVersion.objects.create(deck=deck, effective_from=effective_from)
            cursor.execute(_TAKE_IN, [version.pk])
            rates = cursor.rowcount
            cursor.execute("DROP TABLE rate_incoming")
        if not rates:
            raise Empty(f"not one line is a rate: {problems.first[0].message if problems.first else 'there is none'}")
    problems.first.sort()
    return Imported(version, rates, {name: table.columns[place] for name, place in places.items()}, problems)


def _lines(
    rows: Iterable[sheets.Row],
    read: Callable[[Sequence[str]], list[str]],
    problems: Problems,
    tell: Callable[[int, float], None],
) -> Iterator[str]:
    """Yield the lines of a COPY, and count what is not fit."""
    count = 0
    for count, row in enumerate(rows, start=1):
        if count % _CHUNK_ROWS == 0:
            tell(count, row.read)
        try:
            yield "\t".join([str(row.line), *read(row.cells)]).translate(_ESCAPED) + "\n"
        except ValueError as error:
            problems.add(row.line, str(error))
    tell(count, 1)


_INCOMING = """
CREATE TEMPORARY TABLE rate_incoming (
    line integer, prefix text, description text, price_per_minute numeric, connection_fee numeric,
    initial_increment smallint, subsequent_increment smallint, minimum_charge numeric, blocked boolean
) ON COMMIT DROP
"""

_REPEATED = """
SELECT line, prefix, first FROM (
    SELECT line, prefix, min(line) OVER (PARTITION BY prefix) AS first FROM rate_incoming
) AS incoming WHERE line > first ORDER BY line
"""

_TAKE_IN = """
INSERT INTO billing_rate (version_id, prefix, description, price_per_minute, connection_fee, initial_increment,
    subsequent_increment, minimum_charge, blocked)
SELECT DISTINCT ON (prefix) %s, prefix, description, price_per_minute, connection_fee, initial_increment,
    subsequent_increment, minimum_charge, blocked
FROM rate_incoming ORDER BY prefix, line
"""
