"""What instructions set: variables of the call, and in the flow's row whether it is on hold and what is muted."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("calls", "0010_test_calls_of_trunks"),
    ]

    operations = [
        migrations.AddField(
            model_name="call",
            name="variables",
            field=models.JSONField(blank=True, db_default={}, default=dict, help_text="what its instructions have set"),
        ),
        migrations.AddField(
            model_name="flow",
            name="is_held",
            field=models.BooleanField(db_default=False, default=False, help_text="music plays when nothing else does"),
        ),
        migrations.AddField(
            model_name="flow",
            name="muted",
            field=models.CharField(
                db_default="", default="", help_text="in, out or both: what is not carried", max_length=4
            ),
        ),
    ]
