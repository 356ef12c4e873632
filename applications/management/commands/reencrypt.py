"""`manage.py reencrypt`: every secret at rest under the first of FIELD_KEYS; exit status 1 when some cannot be read."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from minivoice import reencryption


class Command(BaseCommand):
    help = "Encrypts webhook secrets and passwords with the first of FIELD_KEYS. May be stopped, and run again."

    def handle(self, *args: Any, **options: Any) -> None:
        written = unreadable = 0
        for batch in reencryption.reencrypt():
            written += batch.written
            unreadable += len(batch.unreadable)
            self.stdout.write(f"{batch.column}: {batch.written} written")
            for key in batch.unreadable:
                self.stderr.write(f"{batch.column}: row {key} cannot be read with any of FIELD_KEYS")
        if unreadable:
            raise CommandError(f"{unreadable} secrets cannot be read: keep the old keys, or have them replaced")
        self.stdout.write(f"{written} secrets written; the first of FIELD_KEYS reads all.")
