"""`manage.py import_numbers`: numbers of customers from a file of staff's."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import IntegrityError

from billing import sheets
from telephony import assigning


class Command(BaseCommand):
    help = (
        "Assigns the numbers of a CSV or XLSX file to customers: columns customer (its id) and number (E.164), and "
        f"where wanted {', '.join(assigning.OPTIONAL)}. Prices are those of calls to the number, in the account's "
        "currency. A number that the customer has already is changed, an empty cell leaves what is. While any line is "
        "wrong nothing is changed."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument("--dry-run", action="store_true", help="check the file, say what would be done")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            found = assigning.read(_lines(options["file"]))
            if not options["dry_run"]:
                assigning.write(found)
        except assigning.Unfit as error:
            raise CommandError("\n".join([*error.problems, str(error)])) from error
        except (sheets.Unreadable, OSError) as error:
            raise CommandError(str(error)) from error
        except IntegrityError as error:
            raise CommandError(f"a number was assigned meanwhile, nothing is changed: {error}") from error
        for assignment in found:
            row = assignment.number
            said = "new" if assignment.is_new else "changed"
            self.stdout.write(f"line {assignment.line}: {row.number_e164} {row.customer.public_id} {said}")
        new = sum(assignment.is_new for assignment in found)
        done = "would be " if options["dry_run"] else ""
        self.stdout.write(f"{new} {done}assigned, {len(found) - new} {done}changed")


def _lines(path: Path) -> Iterator[tuple[int, Mapping[str, str]]]:
    with sheets.open_table(path) as table:
        names = [name.lower() for name in table.columns]
        if missing := [column for column in assigning.REQUIRED if column not in names]:
            raise sheets.Unreadable(f"there is no column {', '.join(missing)}")
        if unknown := sorted(set(names) - {*assigning.REQUIRED, *assigning.OPTIONAL}):
            raise sheets.Unreadable(f"nothing is known of column {', '.join(unknown)}")
        for row in table.rows:
            cells = [*row.cells, *("" for _ in names)]
            yield row.line, dict(zip(names, cells, strict=False))
