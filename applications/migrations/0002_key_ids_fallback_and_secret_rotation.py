from django.apps.registry import Apps
from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

import minivoice.fields
from minivoice import ids


def name_keys(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Give every key there is a public id, dated as the key."""
    taken: set[str] = set()
    for key in apps.get_model("applications", "ApiKey").objects.filter(public_id=None).iterator():
        while key.public_id is None or key.public_id in taken:
            key.public_id = ids.new("key", key.created_at)
        taken.add(key.public_id)
        key.save(update_fields=["public_id"])


class Migration(migrations.Migration):
    dependencies = [("applications", "0001_initial")]

    operations = [
        migrations.AddField(
            "application",
            "fallback_url",
            models.CharField("fallback URL", blank=True, db_default="", default="", max_length=2048),
        ),
        migrations.AddField(
            "application",
            "previous_webhook_secret",
            minivoice.fields.SecretField(blank=True, db_default="", default="", editable=False),
        ),
        migrations.AddField(
            "application", "previous_secret_expires_at", models.DateTimeField(editable=False, null=True)
        ),
        migrations.AddField("apikey", "name", models.CharField(blank=True, db_default="", default="", max_length=100)),
        migrations.AddField(
            "apikey",
            "last_used_at",
            models.DateTimeField(blank=True, help_text="to the minute", null=True),
        ),
        migrations.AddField("apikey", "public_id", minivoice.fields.PublicIdField(null=True, prefix="key")),
        migrations.RunPython(name_keys, migrations.RunPython.noop, elidable=True),
        migrations.AlterField("apikey", "public_id", minivoice.fields.PublicIdField(prefix="key")),
    ]
