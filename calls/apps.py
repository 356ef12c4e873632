"""The app of calls: the top of the five, so that what is migrated last is done when its models are there."""

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class Calls(AppConfig):
    """Where Django learns that `migrate` ends with the roles of staff."""

    name = "calls"

    def ready(self) -> None:
        """Have the roles kept."""
        from calls import roles

        post_migrate.connect(roles.keep, sender=self, dispatch_uid="roles")
