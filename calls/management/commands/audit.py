"""`manage.py audit`: one line a promise; exit status 1 when one is broken."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from calls import audit


class Command(BaseCommand):
    help = "Judges money, calls and events in one snapshot: a line for each promise, with the rows that break it."

    def handle(self, *args: Any, **options: Any) -> None:
        findings = audit.run()
        for finding in findings:
            self.stdout.write(
                f"{'ok  ' if not finding.violations else 'FAIL'} {finding.violations:6} {finding.promise}"
            )
        if broken := sum(1 for finding in findings if finding.violations):
            raise CommandError(f"{broken} promises are broken")
