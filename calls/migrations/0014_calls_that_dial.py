"""Legs of calls: the one that a flow's action has dialled, and calls that end after theirs."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("calls", "0013_looks_of_the_auditor"),
    ]

    operations = [
        migrations.AddField(
            model_name="call",
            name="hung_up_at",
            field=models.DateTimeField(
                help_text="when its channel ended, where its end waits for its legs'", null=True
            ),
        ),
        migrations.AddField(
            model_name="flow",
            name="bridge_status",
            field=models.CharField(
                db_default="", default="", help_text="what came of the last bridge, for later requests", max_length=20
            ),
        ),
        migrations.AddField(
            model_name="flow",
            name="leg",
            field=models.OneToOneField(
                help_text="the call that the action has dialled",
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="+",
                to="calls.call",
            ),
        ),
    ]
