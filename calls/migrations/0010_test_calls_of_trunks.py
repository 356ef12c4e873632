"""Calls that try one trunk, and take no other."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("calls", "0009_attempts_by_trunk")]

    operations = [
        migrations.AddField(
            model_name="call",
            name="is_trunk_test",
            field=models.BooleanField(db_default=False, default=False, help_text="it takes no trunk but its first"),
        ),
    ]
