"""Tables that people send: CSV or XLSX, read row by row, so that the largest needs no more memory than the smallest."""

import csv
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path
from typing import Any, NamedTuple
from zipfile import BadZipFile

_DELIMITERS = ",;\t"


class Unreadable(Exception):
    """The file is no table; the message says why, and on which line where that is known."""


class Row(NamedTuple):
    """A row: its line in the file, the texts of its cells, and how much of the file is read by now (0 to 1)."""

    line: int
    cells: Sequence[str]
    read: float


@dataclass(frozen=True, slots=True)
class Table:
    """The names of the columns, and the rows below them that are not empty."""

    columns: Sequence[str]
    rows: Iterator[Row]


def open_table(path: Path) -> AbstractContextManager[Table]:
    """Open a table; its first row that is not empty names the columns. CSV is UTF-8, with `,`, `;` or tabs.

    Raises Unreadable, also while rows are read, and OSError.
    """
    return _open(path, _workbook_rows(path) if path.suffix.lower() == ".xlsx" else _text_rows(path))


@contextmanager
def _open(path: Path, rows: Iterator[Row]) -> Iterator[Table]:
    filled = (row for row in rows if any(row.cells))
    try:
        head = next(filled, None)
        if head is None:
            raise Unreadable(f"{path.name} is empty")
        yield Table([" ".join(name.split()) for name in head.cells], filled)  # names may break their lines
    except (UnicodeDecodeError, csv.Error, BadZipFile) as error:
        raise Unreadable(f"{path.name} is no table in UTF-8 text or XLSX: {error}") from error


def _text_rows(path: Path) -> Iterator[Row]:
    size = max(1, path.stat().st_size)
    with path.open("rb") as raw, TextIOWrapper(raw, encoding="utf-8-sig", newline="") as text:
        first = text.readline()
        delimiter = max(_DELIMITERS, key=first.count)
        yield Row(1, _stripped(next(csv.reader([first], delimiter=delimiter), [])), 0)
        rows = csv.reader(text, delimiter=delimiter)
        for cells in rows:
            yield Row(rows.line_num + 1, _stripped(cells), raw.tell() / size)


def _workbook_rows(path: Path) -> Iterator[Row]:
    """Read the first sheet. A workbook's numbers are binary fractions: they are taken to six places."""
    from openpyxl import load_workbook  # who reads no workbook need not load it

    workbook = load_workbook(path, read_only=True, data_only=True)
    try:
        sheet = workbook.worksheets[0]
        rows = sheet.max_row or 0
        for line, values in enumerate(sheet.iter_rows(values_only=True), start=1):
            yield Row(line, [_text(value) for value in values], line / rows if rows else 0)
    finally:
        workbook.close()


def _stripped(cells: Sequence[str]) -> list[str]:
    return [cell.strip() for cell in cells]


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6f}".rstrip("0").rstrip(".")
    return str(value).strip()
