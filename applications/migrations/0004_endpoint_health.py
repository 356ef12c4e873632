"""How each application's webhook endpoint fares; those that are there are taken to be well."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("applications", "0003_spend_controls"),
    ]

    operations = [
        migrations.AddField(
            model_name="application",
            name="webhook_failing_since",
            field=models.DateTimeField(
                blank=True, editable=False, help_text="the first failure after the last success", null=True
            ),
        ),
        migrations.AddField(
            model_name="application",
            name="webhook_disabled_at",
            field=models.DateTimeField(
                blank=True, editable=False, help_text="when it was given up; saving the URL enables it", null=True
            ),
        ),
        migrations.AddField(
            model_name="application",
            name="webhook_saved_at",
            field=models.DateTimeField(editable=False, null=True),
        ),
        migrations.AddField(
            model_name="application",
            name="webhook_is_draining",
            field=models.BooleanField(db_default=False, default=False, editable=False),
        ),
        migrations.AddField(
            model_name="application",
            name="webhook_notice_due_at",
            field=models.DateTimeField(editable=False, null=True),
        ),
    ]
