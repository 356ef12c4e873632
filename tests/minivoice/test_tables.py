"""Tables that people take away: every cell arrives, and none is a formula."""

import csv
from datetime import UTC, date, datetime
from decimal import Decimal
from io import BytesIO, StringIO

import pytest
from openpyxl import load_workbook

from minivoice import tables

ROW: list[tables.Cell] = [
    'Müller & <Söhne> "A"\n2',
    7,
    Decimal("-0.012500"),
    datetime(2026, 3, 4, 5, 6, 7, 8000, tzinfo=UTC),
    date(2026, 3, 4),
    None,
    "+15551230001",
    "  two spaces ",
]
COLUMNS = ["text", "number", "amount", "at", "day", "nothing", "phone", "spaces"]


def written(form: str, *rows: list[tables.Cell]) -> bytes:
    file = BytesIO()
    with tables.open_table(file, form, COLUMNS) as write:
        for row in rows:
            write(row)
    return file.getvalue()


def read_csv(content: bytes) -> list[list[str]]:
    return list(csv.reader(StringIO(content.decode(), newline="")))


def test_csv_has_amounts_as_text_and_times_in_utc() -> None:
    assert read_csv(written("csv", ROW)) == [
        COLUMNS,
        [
            *('Müller & <Söhne> "A"\n2', "7", "-0.0125"),
            *("2026-03-04T05:06:07.008Z", "2026-03-04", "", "+15551230001", "  two spaces "),
        ],
    ]


def test_a_workbook_has_amounts_as_numbers_and_texts_as_texts() -> None:
    book = load_workbook(BytesIO(written("xlsx", ROW)))
    head, row = book.active.rows
    assert [cell.value for cell in head] == COLUMNS
    assert [cell.value for cell in row] == [
        *('Müller & <Söhne> "A"\n2', 7, -0.0125, "2026-03-04T05:06:07.008Z", "2026-03-04"),
        *(None, "+15551230001", "  two spaces "),
    ]
    assert [cell.data_type for cell in row] == ["s", "n", "n", "s", "s", "n", "s", "s"]


@pytest.mark.parametrize("form", tables.FORMATS)
@pytest.mark.parametrize(
    "text", ["=1+1", "+1+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "+15551230001;1", "=cmd|' /C calc'!A0"]
)
def test_no_text_is_a_formula(form: str, text: str) -> None:
    content = written(form, [text])
    if form == "csv":
        assert read_csv(content)[1] == [f"'{text}"]
    else:
        cell = load_workbook(BytesIO(content)).active["A2"]
        assert cell.data_type == "s"
        assert cell.value == f"'{text}".replace("\r", "\n")  # as XML has it


def test_a_workbook_drops_what_xml_cannot_say() -> None:
    content = written("xlsx", ["a\x00b\x0bc\ud800d\uffff"])
    assert load_workbook(BytesIO(content)).active["A2"].value == "abcd"


def test_rows_beyond_a_sheets_end_go_on_in_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "_SHEET_ROWS", 3)
    book = load_workbook(BytesIO(written("xlsx", *[[number] for number in range(5)])))
    assert book.sheetnames == ["Rows 1", "Rows 2", "Rows 3"]
    assert [[row[0].value for row in sheet.rows] for sheet in book] == [["text", 0, 1], ["text", 2, 3], ["text", 4]]
