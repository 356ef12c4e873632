"""What the auditor found each minute."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("calls", "0012_recordings")]

    operations = [
        migrations.CreateModel(
            name="AuditRun",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("ran_at", models.DateTimeField()),
                ("violations_found", models.PositiveIntegerField()),
                ("violations", models.JSONField(default=dict, help_text="promise → rows that break it")),
            ],
        ),
    ]
