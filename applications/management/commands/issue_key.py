"""`manage.py issue_key`: a key for an application that has none, or lost it."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from applications import keys
from applications.models import ApiKey, Application


class Command(BaseCommand):
    help = "Issues a key of an application and shows it, this once."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("application", help="id of the application, app_…")
        parser.add_argument("--scopes", default="calls,manage", help="with commas between them; '' for one that reads")
        parser.add_argument("--name", default="", help="what it is for")

    def handle(self, *args: Any, **options: Any) -> None:
        scopes = [scope.strip() for scope in options["scopes"].split(",") if scope.strip()]
        if unknown := set(scopes) - set(ApiKey.Scope.values):
            raise CommandError(f"there is no scope {min(unknown)}; there are: {', '.join(ApiKey.Scope.values)}")
        if len(options["name"]) > ApiKey.NAME_CHARACTERS:
            raise CommandError(f"a name may have at most {ApiKey.NAME_CHARACTERS} characters")
        try:
            application = Application.objects.get(public_id=options["application"], is_active=True)
        except Application.DoesNotExist as error:
            raise CommandError(f"there is no active application {options['application']}") from error
        key, text = keys.issue(application=application, scopes=scopes, name=options["name"])
        self.stdout.write(f"key      {key.public_id}")
        self.stdout.write(f"scopes   {', '.join(scopes) or 'none: it may read'}")
        self.stdout.write(f"API key  {text}")
        self.stdout.write("The key is not shown again.")
