"""Usage by day, begun with the calls that are settled already, and the results of reconciliations."""

import django.db.models.deletion
from django.db import migrations, models

import minivoice.fields

_COUNT = """
INSERT INTO calls_usageday (application_id, day, rate_prefix, trunk_id, calls, duration_seconds, billable_seconds,
                            cost_amount)
SELECT application_id, (settled_at AT TIME ZONE 'UTC')::date, rate_prefix, trunk_id, count(*),
       sum(duration_seconds), sum(billable_seconds), sum(cost_amount)
FROM calls_call WHERE application_id = %s AND settled_at IS NOT NULL
GROUP BY 1, 2, 3, 4
"""


def count(apps, schema_editor):
    """An application at a time; `rebuild_usage` counts what an older release settles meanwhile."""
    with schema_editor.connection.cursor() as cursor:
        for key in apps.get_model("applications", "Application").objects.values_list("pk", flat=True):
            cursor.execute(_COUNT, [key])


class Migration(migrations.Migration):
    dependencies = [
        ("applications", "0003_spend_controls"),
        ("telephony", "0002_customers_trunks_and_number_routes"),
        ("calls", "0006_call_extend_at"),
    ]

    operations = [
        migrations.CreateModel(
            name="Reconciliation",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("ran_at", models.DateTimeField()),
                ("differences_found", models.PositiveIntegerField()),
                (
                    "differences",
                    models.JSONField(default=list, help_text="the first of them; see calls.books.Difference"),
                ),
            ],
        ),
        migrations.CreateModel(
            name="UsageDay",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("day", models.DateField(help_text="UTC day on which the calls were settled")),
                ("rate_prefix", models.CharField(max_length=15)),
                ("calls", models.PositiveIntegerField()),
                ("duration_seconds", models.PositiveBigIntegerField()),
                ("billable_seconds", models.PositiveBigIntegerField()),
                ("cost_amount", minivoice.fields.MoneyField(decimal_places=6, max_digits=18)),
                (
                    "application",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        to="applications.application",
                    ),
                ),
                (
                    "trunk",
                    models.ForeignKey(
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        to="telephony.trunk",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("application", "day", "rate_prefix", "trunk"),
                        name="usage_day_once",
                        nulls_distinct=False,
                    )
                ],
            },
        ),
        migrations.RunPython(count, migrations.RunPython.noop),
    ]
