"""`manage.py go_live_rates`: a draft of rates becomes live."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from billing import versions
from billing.models import DeckVersion
from minivoice import clock


class Command(BaseCommand):
    help = "Makes a draft of rates live from its date on, or at once when that has passed. See undo_rates."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("version", type=int, help="number of the draft, as import_rates says it")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            version = DeckVersion.objects.select_related("deck").get(pk=options["version"])
            is_new = versions.publish(version, now=clock.now())
        except DeckVersion.DoesNotExist as error:
            raise CommandError(f"there is no version {options['version']}") from error
        except versions.NotPossible as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"{version} is live" if is_new else f"{version} was live before")
