"""What a trunk is like on the engine: transport, codecs, room, registration, and how it stands."""

import django.contrib.postgres.fields
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("applications", "0003_spend_controls"),
        ("telephony", "0002_customers_trunks_and_number_routes"),
    ]

    operations = [
        migrations.AddField(
            model_name="trunk",
            name="address",
            field=models.CharField(
                blank=True,
                db_default="",
                default="",
                editable=False,
                help_text="of the proxy, as vetted",
                max_length=45,
            ),
        ),
        migrations.AddField(
            model_name="trunk",
            name="check_at",
            field=models.DateTimeField(editable=False, help_text="when its names are looked up again", null=True),
        ),
        migrations.AddField(
            model_name="trunk",
            name="codecs",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.CharField(
                    choices=[("ulaw", "Ulaw"), ("alaw", "Alaw"), ("g722", "G722"), ("gsm", "Gsm")], max_length=4
                ),
                blank=True,
                db_default=[],
                default=list,
                help_text="best first; empty: ulaw, alaw",
                size=None,
            ),
        ),
        migrations.AddField(
            model_name="trunk",
            name="max_channels",
            field=models.PositiveSmallIntegerField(
                blank=True, help_text="calls at a time; empty: any number", null=True
            ),
        ),
        migrations.AddField(
            model_name="trunk",
            name="max_cps",
            field=models.PositiveSmallIntegerField(
                blank=True, help_text="empty: any number", null=True, verbose_name="max. calls per second"
            ),
        ),
        migrations.AddField(
            model_name="trunk",
            name="provisioned_at",
            field=models.DateTimeField(editable=False, help_text="when the engine was told last", null=True),
        ),
        migrations.AddField(
            model_name="trunk",
            name="provisioned_for",
            field=models.DateTimeField(editable=False, help_text="the `updated_at` the engine has", null=True),
        ),
        migrations.AddField(
            model_name="trunk",
            name="registers",
            field=models.BooleanField(
                db_default=False, default=False, help_text="we register with the carrier, which sends its calls there"
            ),
        ),
        migrations.AddField(
            model_name="trunk",
            name="srtp",
            field=models.BooleanField(
                db_default=False, default=False, help_text="encrypted sound; needs TLS", verbose_name="SRTP"
            ),
        ),
        migrations.AddField(
            model_name="trunk",
            name="state",
            field=models.CharField(
                choices=[
                    ("pending", "pending: not on the engine yet, or not answered yet"),
                    ("refused", "refused: cannot be brought to the engine"),
                    ("up", "Up"),
                    ("down", "Down"),
                    ("full", "full: no free channel"),
                    ("off", "off: out of use"),
                ],
                db_default="pending",
                default="pending",
                editable=False,
                max_length=8,
            ),
        ),
        migrations.AddField(
            model_name="trunk",
            name="state_at",
            field=models.DateTimeField(editable=False, help_text="since when it is so", null=True),
        ),
        migrations.AddField(
            model_name="trunk",
            name="state_reason",
            field=models.CharField(blank=True, db_default="", default="", editable=False, max_length=200),
        ),
        migrations.AddField(
            model_name="trunk",
            name="transport",
            field=models.CharField(
                choices=[("udp", "UDP"), ("tcp", "TCP"), ("tls", "TLS")], db_default="udp", default="udp", max_length=3
            ),
        ),
        migrations.AddConstraint(
            model_name="trunk",
            constraint=models.CheckConstraint(
                condition=models.Q(("srtp", False), ("transport", "tls"), _connector="OR"), name="trunk_srtp_needs_tls"
            ),
        ),
        migrations.AddConstraint(
            model_name="trunk",
            constraint=models.CheckConstraint(
                condition=models.Q(("registers", False), ("username__gt", ""), _connector="OR"),
                name="trunk_registers_as_somebody",
            ),
        ),
    ]
