"""The deliveries of an application, as its log narrows them down: every page of every filter is bounded work."""

from collections.abc import Mapping

from django.db.models import QuerySet

from applications.models import Application
from webhooks.models import WebhookEvent

_COLUMNS = {"event": "type", "call_id": "call_id", "status": "status"}


def deliveries(*, application: Application, wanted: Mapping[str, str]) -> QuerySet[WebhookEvent]:
    """Return the deliveries of `application` that have what is `wanted`: the log's filters by their names."""
    rows = WebhookEvent.objects.filter(application=application).defer("body")
    return rows.filter(**{_COLUMNS[name]: value for name, value in wanted.items()})
