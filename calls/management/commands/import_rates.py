"""`manage.py import_rates`: a rate sheet into a draft, and what that would change; nothing is live yet."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.dateparse import parse_datetime

from billing import accounts, columns, importing, sheets, versions
from calls import repricing
from minivoice import clock, money

_BAR_CHARACTERS = 40
_KINDS = ("new", "removed", "dearer", "cheaper", "mixed", "blocked", "unblocked", "unchanged")


class Command(BaseCommand):
    help = "Reads rates (CSV or XLSX) into a draft version of a deck and says what it would change. See go_live_rates."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("deck", help="name of the rate deck")
        parser.add_argument("file", type=Path)
        parser.add_argument(
            "--map",
            action="append",
            default=[],
            metavar="FIELD=COLUMN",
            help=f"which column is which field, where its name does not say it: {', '.join(columns.FIELDS)}",
        )
        parser.add_argument("--effective-from", help="such as 2026-06-01T00:00Z; otherwise from when it goes live")

    def handle(self, *args: Any, **options: Any) -> None:
        now = clock.now()
        try:
            imported = importing.import_rates(
                deck=accounts.find_deck(name=options["deck"]),
                path=options["file"],
                chosen=dict(_pair(given) for given in options["map"]),
                effective_from=_moment(options["effective_from"]) or now,
                tell=self._tell,
            )
        except (accounts.NoDeck, sheets.Unreadable, columns.Unmapped, importing.Empty, OSError) as error:
            raise CommandError(str(error)) from error
        self._say_what_was_read(imported)
        self._say_what_changes(imported, now)

    def _tell(self, rows: int, read: float) -> None:
        """Draw the bar, for people only."""
        if self.stderr.isatty():
            bar = "#" * round(read * _BAR_CHARACTERS)
            end = "\n" if read == 1 else ""
            self.stderr.write(f"\r[{bar:<{_BAR_CHARACTERS}}] {read:4.0%}  {rows:,} rows", ending=end)

    def _say_what_was_read(self, imported: importing.Imported) -> None:
        taken = ", ".join(f"{field} from {column!r}" for field, column in imported.places.items())
        self.stdout.write(f"Read {taken}.")
        self.stdout.write(f"{'invalid':<10}{imported.problems.count:>9,}  not in the draft")
        for line, message in imported.problems.first:
            self.stdout.write(f"  line {line}: {message}")
        if (unsaid := imported.problems.count - len(imported.problems.first)) > 0:
            self.stdout.write(f"  and {unsaid:,} lines more")

    def _say_what_changes(self, imported: importing.Imported, now: datetime) -> None:
        version = imported.version
        changes = versions.changes(version, now=now)
        for kind in _KINDS:
            if (change := changes.get(kind)) is not None:
                self.stdout.write(f"{kind:<10}{change.count:>9,}  {_examples(kind, change)}".rstrip())
        impact = repricing.impact(version, now=now)
        currency, more = version.deck.currency, impact.would_be - impact.cost
        self.stdout.write(
            f"Last 30 days: {impact.calls:,} calls cost {money.text(impact.cost)} {currency}, "
            f"at these rates {money.text(impact.would_be)} {currency} ({'+' if more > 0 else ''}{money.text(more)}); "
            f"{impact.refused_calls:,} calls more would have been refused."
        )
        self.stdout.write(f"Draft {version.pk} of {version} has {imported.rates:,} rates. Nothing is live yet:")
        self.stdout.write(f"  manage.py go_live_rates {version.pk}   or   manage.py undo_rates {version.pk}")


def _examples(kind: str, change: versions.Change) -> str:
    if kind == "unchanged":
        return ""
    shown = ", ".join(f"{example.prefix} {example.before} → {example.after}" for example in change.examples)
    return f"{shown} …" if change.count > len(change.examples) else shown


def _pair(given: str) -> tuple[str, str]:
    field, equals, column = given.partition("=")
    if not equals:
        raise CommandError(f"--map {given}: say FIELD=COLUMN")
    return field, column


def _moment(text: str | None) -> datetime | None:
    """Return the moment that a text says, in UTC where it names no zone."""
    if text is None:
        return None
    try:
        moment = parse_datetime(text)
    except ValueError:
        moment = None
    if moment is None:
        raise CommandError(f"--effective-from {text}: say a moment such as 2026-06-01T00:00Z")
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
