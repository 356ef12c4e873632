"""Calls that come in: the engine's own name of their channel, where they are forwarded to; targets may be SIP URIs."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("calls", "0007_usage_days_and_reconciliations")]

    operations = [
        migrations.AddField(
            model_name="attempt",
            name="channel_name",
            field=models.CharField(
                blank=True,
                db_default="",
                default="",
                help_text="the engine's own, of an inbound call",
                max_length=128,
            ),
        ),
        migrations.AddField(
            model_name="call",
            name="route_mode",
            field=models.CharField(
                choices=[
                    ("webhook", "the application's instructions"),
                    ("sip", "forwarded to a number or a SIP URI"),
                ],
                db_default="webhook",
                default="webhook",
                max_length=8,
            ),
        ),
        migrations.AddField(
            model_name="call",
            name="routing_target",
            field=models.CharField(
                blank=True,
                db_default="",
                default="",
                help_text="with sip: where the call is forwarded to",
                max_length=255,
            ),
        ),
        # A longer varchar needs neither a new table nor new indexes.
        migrations.AlterField(
            model_name="call",
            name="to_number",
            field=models.CharField(help_text="E.164, or a SIP URI", max_length=255, verbose_name="to"),
        ),
        migrations.AlterField(
            model_name="call",
            name="from_number",
            field=models.CharField(
                help_text="of an inbound call: as its network gave it", max_length=16, verbose_name="from"
            ),
        ),
        migrations.AlterField(
            model_name="call",
            name="rate_version_id",
            field=models.BigIntegerField(help_text="0: the inbound rate of the number itself"),
        ),
    ]
