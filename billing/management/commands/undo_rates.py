"""`manage.py undo_rates`: a version of rates is taken back."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from billing import versions
from billing.models import DeckVersion
from minivoice import clock


class Command(BaseCommand):
    help = "Deletes a version of rates, draft or live: the one before it is in force again. Calls keep their price."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("version", type=int, help="number of the version, as import_rates says it")

    def handle(self, *args: Any, **options: Any) -> None:
        now = clock.now()
        try:
            version = DeckVersion.objects.select_related("deck").get(pk=options["version"])
            versions.undo(version, now=now)
        except DeckVersion.DoesNotExist as error:
            raise CommandError(f"there is no version {options['version']}") from error
        except versions.NotPossible as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"deleted; in force: {versions.in_force(version.deck, at=now) or 'none'}")
