"""Rate sheets at the console: a file, then which of its columns is what. The import itself is a job."""

import zipfile
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.core.files.uploadedfile import UploadedFile
from unfold.widgets import UnfoldAdminFileFieldWidget, UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from billing import columns, sheets

_MEGABYTE = 1_000_000
MOST_BYTES = 50 * _MEGABYTE
_MOST_UNPACKED_BYTES = 500 * _MEGABYTE
_SAMPLE_ROWS, _SHOWN_CHARACTERS = 2, 40
_MOST_COLUMNS, _NAME_CHARACTERS = 100, 100
_SUFFIXES = (".csv", ".txt", ".tsv", ".xlsx")
_NEEDED = ("prefix", "price_per_minute")


class SheetForm(forms.Form):
    """A rate sheet, and from when its prices shall be in force. Once it is valid, `columns` and `sample` are known."""

    file = forms.FileField(
        widget=UnfoldAdminFileFieldWidget,
        help_text=f"CSV (UTF-8) or XLSX (its first sheet), at most {MOST_BYTES // _MEGABYTE} MB. The first row names "
        "the columns. It must have every rate, not only the changed ones.",
    )
    effective_from = forms.DateTimeField(
        required=False,
        label="In force from (UTC)",
        widget=UnfoldAdminTextInputWidget({"type": "datetime-local"}),
        help_text="empty: from the moment it is published",
    )
    columns: Sequence[str] = ()
    sample: Sequence[Sequence[str]] = ()

    def clean_file(self) -> "UploadedFile[Any]":
        """Refuse what is too large, and what is no table; read its first rows."""
        file: UploadedFile[Any] = self.cleaned_data["file"]
        suffix = Path(file.name or "").suffix.lower()
        if suffix not in _SUFFIXES:
            raise ValidationError("must be a CSV or XLSX file; save other workbooks as XLSX")
        if (file.size or 0) > MOST_BYTES:
            raise ValidationError(f"must have at most {MOST_BYTES // _MEGABYTE} MB")
        if suffix == ".xlsx" and _unpacked_bytes(file) > _MOST_UNPACKED_BYTES:
            raise ValidationError("this workbook is too large: save its first sheet as CSV")
        try:
            self.columns, self.sample = _first_rows(file, suffix)
        except (sheets.Unreadable, OSError, KeyError, ValueError) as error:
            raise ValidationError(f"cannot be read: {error}") from error
        if len(self.columns) > _MOST_COLUMNS or any(len(name) > _NAME_CHARACTERS for name in self.columns):
            raise ValidationError(
                f"must have at most {_MOST_COLUMNS} columns, with names of {_NAME_CHARACTERS} characters"
            )
        if not all(name.isprintable() for name in self.columns):
            raise ValidationError("has names of columns that do not print")
        if len(set(filter(None, self.columns))) < len(_NEEDED):
            raise ValidationError("its first row must name a column for the prefix and one for the price")
        return file


class ColumnsForm(forms.Form):
    """Which column is which field of a rate; what the names say is chosen already."""

    def __init__(
        self, *args: Any, columns_found: Sequence[str], sample: Sequence[Sequence[str]], **options: Any
    ) -> None:
        super().__init__(*args, **options)
        guessed = columns.guess(columns_found)
        choices = [("", "– not in the file –"), *_choices(columns_found, sample)]  # noqa: RUF001  a dash
        for name in columns.FIELDS:
            self.fields[name] = forms.ChoiceField(
                choices=choices,
                required=name in _NEEDED,
                initial=guessed.get(name, ""),
                label=name.replace("_", " ").capitalize(),
                help_text=_HELP.get(name, ""),
                widget=UnfoldAdminSelectWidget,
            )

    def clean(self) -> dict[str, Any]:
        """Refuse one column for two fields."""
        cleaned = super().clean() or self.cleaned_data
        taken: dict[str, str] = {}
        for name, column in list(cleaned.items()):  # an error takes its field out
            if column and column in taken:
                self.add_error(name, f"this column is taken for {taken[column].replace('_', ' ')} already")
            taken.setdefault(column, name)
        return cleaned


_HELP = {
    "prefix": "the first digits of the numbers, with the country's code",
    "increments": "both in one column, such as 60/6",
    "initial_increment": "seconds; without a column 60",
    "subsequent_increment": "seconds; without a column 60",
    "connection_fee": "without a column none",
    "minimum_charge": "without a column none",
    "blocked": "yes or no; without a column no",
}


def _first_rows(file: "UploadedFile[Any]", suffix: str) -> tuple[Sequence[str], Sequence[Sequence[str]]]:
    with NamedTemporaryFile(suffix=suffix) as copy:
        for chunk in file.chunks():
            copy.write(chunk)
        copy.flush()
        file.seek(0)
        with sheets.open_table(Path(copy.name)) as table:
            return table.columns, [list(map(_short, row.cells)) for row in islice(table.rows, _SAMPLE_ROWS)]


def _short(cell: str) -> str:
    """Return the beginning of a cell, as far as it prints."""
    return "".join(character for character in cell[:_SHOWN_CHARACTERS] if character.isprintable())


def _unpacked_bytes(file: "UploadedFile[Any]") -> int:
    try:
        with zipfile.ZipFile(file) as archive:
            return sum(member.file_size for member in archive.infolist())
    except zipfile.BadZipFile as error:
        raise ValidationError("is no XLSX workbook") from error
    finally:
        file.seek(0)


def _choices(found: Sequence[str], sample: Sequence[Sequence[str]]) -> list[tuple[str, str]]:
    """Return each named column, with the first cells below it."""
    choices: dict[str, str] = {}
    for place, name in enumerate(found):
        cells = [row[place] for row in sample if place < len(row) and row[place]]
        if name:
            choices.setdefault(name, f"{name} ({', '.join(cells)} …)" if cells else name)
    return list(choices.items())
