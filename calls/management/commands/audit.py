"""`manage.py audit`: one line a promise; exit status 1 when one is broken."""

from argparse import ArgumentTypeError
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from calls import audit


class Command(BaseCommand):
    help = "Judges money, calls and events in one snapshot: a line for each promise, with the rows that break it."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--since",
            type=_moment,
            help="judge only calls that are live or were settled since this moment (UTC)",
        )

    def handle(self, *args: Any, since: datetime | None, **options: Any) -> None:
        findings = audit.run(since=since)
        for finding in findings:
            self.stdout.write(
                f"{'ok  ' if not finding.violations else 'FAIL'} {finding.violations:6} {finding.promise}"
            )
        if broken := sum(1 for finding in findings if finding.violations):
            raise CommandError(f"{broken} promises are broken")


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ArgumentTypeError(f"{text} is not a moment such as 2026-05-29T12:00") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
