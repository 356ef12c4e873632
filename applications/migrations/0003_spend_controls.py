"""Where customers may call, and what is said before a call is cut. Those there are get the safe start of new ones."""

import django.contrib.postgres.fields
from django.db import migrations, models

import applications.models


class Migration(migrations.Migration):
    dependencies = [
        ("applications", "0002_key_ids_fallback_and_secret_rotation"),
    ]

    operations = [
        migrations.AddField(
            model_name="customer",
            name="allowed_countries",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.CharField(max_length=2),
                blank=True,
                db_default=[],
                default=list,
                help_text="ISO 3166, two letters; empty: all",
                size=None,
            ),
        ),
        migrations.AddField(
            model_name="customer",
            name="blocked_prefixes",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.CharField(max_length=15),
                blank=True,
                db_default=["870", "881", "882", "883", "979"],
                default=applications.models.safe_prefixes,
                help_text="first digits, without the +",
                size=None,
            ),
        ),
        migrations.AddField(
            model_name="customer",
            name="premium_rate_allowed",
            field=models.BooleanField(
                db_default=False,
                default=False,
                help_text="calls to numbers that a country's own plan says are premium-rate",
            ),
        ),
        migrations.AddField(
            model_name="customer",
            name="funds_warning",
            field=models.CharField(
                blank=True,
                db_default="",
                default="",
                help_text="said on a call that cannot be paid for any longer, up to a minute before it is cut; "
                "empty: nothing",
                max_length=200,
            ),
        ),
    ]
