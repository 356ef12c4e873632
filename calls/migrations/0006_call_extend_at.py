"""When the money of a live call must be seen to; calls that are up are seen to at once."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


def see_to_live_calls(apps, schema_editor):
    """Calls in progress are few, and found by the index of live calls."""
    calls = apps.get_model("calls", "Call").objects
    live = calls.filter(status="in_progress", answered_at__isnull=False)
    live.filter(funded_seconds__lt=models.F("max_duration_seconds")).update(extend_at=models.F("answered_at"))


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("calls", "0005_list_of_inbound_calls")]

    operations = [
        migrations.AddField(
            model_name="call",
            name="extend_at",
            field=models.DateTimeField(help_text="when its money must be seen to, by the engine's clock", null=True),
        ),
        migrations.AlterField(
            model_name="call",
            name="funded_seconds",
            field=models.PositiveIntegerField(help_text="paid talk that the engine's timer knows of"),
        ),
        migrations.RunPython(see_to_live_calls, migrations.RunPython.noop),
        AddIndexConcurrently(
            model_name="call",
            index=models.Index(
                condition=models.Q(("extend_at__isnull", False)), fields=["extend_at"], name="call_extend"
            ),
        ),
    ]
