"""The highest price and the mark of an account, and what its customer is told of it."""

import django.db.models.deletion
from django.db import migrations, models

import minivoice.fields


class Migration(migrations.Migration):
    dependencies = [
        ("applications", "0003_spend_controls"),
        ("billing", "0003_ledger_filters"),
    ]

    operations = [
        migrations.CreateModel(
            name="Fall",
            fields=[
                (
                    "customer",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        serialize=False,
                        to="applications.customer",
                    ),
                ),
                ("told_at", models.DateTimeField()),
            ],
        ),
        migrations.AddField(
            model_name="balance",
            name="highest_price_per_minute",
            field=minivoice.fields.MoneyField(
                blank=True,
                decimal_places=6,
                help_text="no call at a dearer rate; empty: any price",
                max_digits=18,
                null=True,
            ),
        ),
        migrations.AddField(
            model_name="balance",
            name="low_mark",
            field=minivoice.fields.MoneyField(
                blank=True,
                decimal_places=6,
                help_text="when available falls under it, the customer is told; empty: never",
                max_digits=18,
                null=True,
            ),
        ),
        migrations.CreateModel(
            name="Notice",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "kind",
                    models.CharField(
                        choices=[("low", "balance is low"), ("day_cap", "near the day cap")], max_length=8
                    ),
                ),
                ("day", models.DateField(help_text="UTC")),
                ("recipient", models.EmailField(max_length=254)),
                ("subject", models.CharField(max_length=200)),
                ("text", models.TextField()),
                ("created_at", models.DateTimeField()),
                ("attempts", models.PositiveSmallIntegerField(default=0)),
                ("next_attempt_at", models.DateTimeField(help_text="null: sent, or given up", null=True)),
                ("sent_at", models.DateTimeField(null=True)),
                (
                    "customer",
                    models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, to="applications.customer"),
                ),
            ],
            options={
                "indexes": [
                    models.Index(
                        condition=models.Q(("next_attempt_at__isnull", False)),
                        fields=["next_attempt_at"],
                        name="notice_due",
                    )
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("kind__in", ["low", "day_cap"])), name="notice_kind_known"
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("kind", "day_cap")),
                        fields=("customer", "day"),
                        name="notice_of_the_cap_once_a_day",
                    ),
                ],
            },
        ),
    ]
