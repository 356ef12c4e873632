"""Tables that people take away: CSV or XLSX, written row by row, so that the largest needs no more memory than the
smallest. No cell of text is a formula wherever it is opened.
"""

import csv
import re
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from decimal import Decimal
from io import TextIOWrapper
from typing import IO
from xml.sax.saxutils import escape

from minivoice import clock, money

FORMATS = {"csv": "text/csv", "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"}
Cell = str | int | Decimal | datetime | date | None
Write = Callable[[Sequence[Cell]], None]
_SHEET_ROWS = 1_048_576  # a sheet of Excel has no more
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_NUMBER = re.compile(r"\+[0-9•]{1,18}")  # a telephone number computes nothing, nor does a masked one
_NO_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


@contextmanager
def open_table(file: IO[bytes], form: str, columns: Sequence[str]) -> Iterator[Write]:
    """Give what writes rows below the names of the `columns`, as one of FORMATS; the file is whole at the end.

    Amounts are decimal text in CSV and numbers in XLSX, times ISO 8601 in UTC; text that a spreadsheet would take for
    a formula gets a quote before it.
    """
    with (_text if form == "csv" else _workbook)(file, columns) as write:
        yield write


def defused(text: str) -> str:
    """Return a text that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(_FORMULA) and not _NUMBER.fullmatch(text) else text


@contextmanager
def _text(file: IO[bytes], columns: Sequence[str]) -> Iterator[Write]:
    text = TextIOWrapper(file, encoding="utf-8", newline="")
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(columns)
    yield lambda row: writer.writerow([_said(cell) for cell in row])
    text.flush()
    text.detach()


def _said(cell: Cell) -> str:
    if isinstance(cell, Decimal):
        return money.text(cell)
    if isinstance(cell, datetime):
        return clock.text(cell)
    return defused(cell) if isinstance(cell, str) else "" if cell is None else str(cell)


@contextmanager
def _workbook(file: IO[bytes], columns: Sequence[str]) -> Iterator[Write]:
    """Write the parts of a workbook: as many sheets as the rows need, one after the other, then what names them."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        book = _Book(archive, columns)
        yield book.write
        book.close()


class _Book:
    """A workbook that is being written. Its cells have their texts in them: no table of texts grows beside it."""

    def __init__(self, archive: zipfile.ZipFile, columns: Sequence[str]) -> None:
        self._archive = archive
        self._columns = columns
        self._sheets = 0
        self._open_sheet()

    def write(self, row: Sequence[Cell]) -> None:
        if self._rows == _SHEET_ROWS:
            self._close_sheet()
            self._open_sheet()
        self._rows += 1
        self._sheet.write(f"<row>{''.join(map(_cell, row))}</row>".encode())

    def close(self) -> None:
        self._close_sheet()
        numbers = range(1, self._sheets + 1)
        sheets = "".join(f'<sheet name="Rows {n}" sheetId="{n}" r:id="r{n}"/>' for n in numbers)
        self._part("xl/workbook.xml", f'<workbook xmlns="{_MAIN}" xmlns:r="{_R}"><sheets>{sheets}</sheets></workbook>')
        self._relations(
            "xl/_rels/workbook.xml.rels", {f"r{n}": ("worksheet", f"worksheets/sheet{n}.xml") for n in numbers}
        )
        self._relations("_rels/.rels", {"r1": ("officeDocument", "xl/workbook.xml")})
        parts = [("/xl/workbook.xml", "sheet.main"), *((f"/xl/worksheets/sheet{n}.xml", "worksheet") for n in numbers)]
        overrides = "".join(f'<Override PartName="{name}" ContentType="{_TYPE}.{kind}+xml"/>' for name, kind in parts)
        relations = f'<Default Extension="rels" ContentType="{_PACKAGE_TYPE}.relationships+xml"/>'
        self._part("[Content_Types].xml", f'<Types xmlns="{_PACKAGE}/content-types">{relations}{overrides}</Types>')

    def _open_sheet(self) -> None:
        self._sheets, self._rows = self._sheets + 1, 0
        self._sheet = self._archive.open(f"xl/worksheets/sheet{self._sheets}.xml", "w", force_zip64=True)
        self._sheet.write(f'{_XML}<worksheet xmlns="{_MAIN}"><sheetData>'.encode())
        self.write(self._columns)

    def _close_sheet(self) -> None:
        self._sheet.write(b"</sheetData></worksheet>")
        self._sheet.close()

    def _part(self, name: str, content: str) -> None:
        self._archive.writestr(name, _XML + content)

    def _relations(self, name: str, relations: dict[str, tuple[str, str]]) -> None:
        lines = "".join(
            f'<Relationship Id="{key}" Type="{_R}/{kind}" Target="{target}"/>'
            for key, (kind, target) in relations.items()
        )
        self._part(name, f'<Relationships xmlns="{_PACKAGE}/relationships">{lines}</Relationships>')


def _cell(cell: Cell) -> str:
    if isinstance(cell, Decimal | int):
        return f"<c><v>{cell}</v></c>"
    text = _NO_XML.sub("", _said(cell))
    return f'<c t="inlineStr"><is><t xml:space="preserve">{escape(text)}</t></is></c>' if text else "<c/>"


# The words of Office Open XML (ECMA-376)
_XML = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_R = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml"
_PACKAGE_TYPE = "application/vnd.openxmlformats-package"
