"""Indexes of the API's filters, made beside the traffic; calls that have ended were settled when they did."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models

_BATCH = 10_000


def settle(apps, schema_editor):
    """In batches by key, so that no lock is held for long."""
    calls = apps.get_model("calls", "Call").objects
    last = calls.order_by("-pk").values_list("pk", flat=True).first() or 0
    for first in range(0, last + 1, _BATCH):
        batch = calls.filter(pk__gte=first, pk__lt=first + _BATCH, ended_at__isnull=False, settled_at=None)
        batch.update(settled_at=models.F("ended_at"))


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("calls", "0002_idempotency_keys_refusals_and_legs")]

    operations = [
        migrations.RunPython(settle, migrations.RunPython.noop),
        AddIndexConcurrently(
            model_name="call",
            index=models.Index(fields=["application", "status", "-id"], name="call_of_status"),
        ),
        AddIndexConcurrently(
            model_name="call",
            index=models.Index(fields=["application", "settled_at"], name="call_settled"),
        ),
        AddIndexConcurrently(
            model_name="call",
            index=models.Index(condition=models.Q(("parent__isnull", False)), fields=["parent"], name="call_legs"),
        ),
    ]
