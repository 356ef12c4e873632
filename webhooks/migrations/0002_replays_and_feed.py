"""Columns and indexes of the log, of replays and of the feed, made beside the traffic.

No default is computed row by row, so no table is rewritten: rows from before carry the transaction of this
migration, which nobody has read the feed past, and go on in the order of their keys.
"""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models
from django.db.models.functions import Cast


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("webhooks", "0001_initial")]

    operations = [
        migrations.AddField(
            model_name="webhookevent",
            name="error",
            field=models.CharField(
                blank=True,
                db_default="",
                default="",
                help_text="why it is not delivered, by the last word",
                max_length=32,
            ),
        ),
        migrations.AddField(
            model_name="webhookevent",
            name="replayed_at",
            field=models.DateTimeField(blank=True, help_text="when it was last asked for again", null=True),
        ),
        migrations.AddField(
            model_name="webhookevent",
            name="attempts_before_replay",
            field=models.PositiveSmallIntegerField(db_default=0, default=0, editable=False),
        ),
        migrations.AddField(
            model_name="webhookevent",
            name="transaction",
            field=models.BigIntegerField(
                db_default=Cast(
                    Cast(models.Func(function="pg_current_xact_id"), models.TextField()), models.BigIntegerField()
                ),
                editable=False,
            ),
        ),
        AddIndexConcurrently(
            model_name="webhookevent",
            index=models.Index(fields=["application", "type", "-id"], name="webhook_event_of_type"),
        ),
        AddIndexConcurrently(
            model_name="webhookevent",
            index=models.Index(fields=["application", "status", "-id", "type"], name="webhook_event_of_status"),
        ),
        AddIndexConcurrently(
            model_name="webhookevent",
            index=models.Index(
                condition=models.Q(("status", "pending"), _negated=True),
                fields=["application", "status", "created_at", "id"],
                name="webhook_event_by_date",
            ),
        ),
        AddIndexConcurrently(
            model_name="webhookevent",
            index=models.Index(fields=["application", "transaction", "id"], name="webhook_event_feed"),
        ),
    ]
