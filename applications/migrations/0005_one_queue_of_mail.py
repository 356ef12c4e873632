"""Mail about money and mail about webhook endpoints in one queue, which was billing's."""

import django.db.models.deletion
from django.db import migrations, models

_NOTICE = migrations.CreateModel(
    name="Notice",
    fields=[
        ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
        (
            "kind",
            models.CharField(choices=[("low", "balance is low"), ("day_cap", "near the day cap")], max_length=8),
        ),
        ("day", models.DateField(help_text="UTC")),
        ("recipient", models.EmailField(max_length=254)),
        ("subject", models.CharField(max_length=200)),
        ("text", models.TextField()),
        ("created_at", models.DateTimeField()),
        ("attempts", models.PositiveSmallIntegerField(default=0)),
        ("next_attempt_at", models.DateTimeField(help_text="null: sent, or given up", null=True)),
        ("sent_at", models.DateTimeField(null=True)),
        ("customer", models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, to="applications.customer")),
    ],
    options={
        "indexes": [
            models.Index(
                condition=models.Q(("next_attempt_at__isnull", False)), fields=["next_attempt_at"], name="notice_due"
            )
        ],
        "constraints": [
            models.CheckConstraint(condition=models.Q(("kind__in", ["low", "day_cap"])), name="notice_kind_known"),
            models.UniqueConstraint(
                condition=models.Q(("kind", "day_cap")),
                fields=("customer", "day"),
                name="notice_of_the_cap_once_a_day",
            ),
        ],
    },
)


class Migration(migrations.Migration):
    dependencies = [("applications", "0004_endpoint_health"), ("billing", "0004_prices_marks_and_notices")]

    operations = [
        migrations.SeparateDatabaseAndState(
            state_operations=[_NOTICE],
            database_operations=[
                migrations.RunSQL(
                    "ALTER TABLE billing_notice RENAME TO applications_notice",
                    "ALTER TABLE applications_notice RENAME TO billing_notice",
                )
            ],
        ),
        migrations.AddField(
            model_name="notice",
            name="copy_to",
            field=models.EmailField(
                blank=True, db_default="", default="", help_text="a blind copy, for staff", max_length=254
            ),
        ),
        migrations.AlterField(
            model_name="notice", name="recipient", field=models.EmailField(blank=True, max_length=254)
        ),
        migrations.AlterField(
            model_name="notice",
            name="kind",
            field=models.CharField(
                choices=[
                    ("low", "balance is low"),
                    ("day_cap", "near the day cap"),
                    ("endpoint", "webhook endpoint disabled"),
                ],
                max_length=8,
            ),
        ),
        migrations.RemoveConstraint(model_name="notice", name="notice_kind_known"),
        migrations.AddConstraint(
            model_name="notice",
            constraint=models.CheckConstraint(
                condition=models.Q(("kind__in", ["low", "day_cap", "endpoint"])), name="notice_kind_known"
            ),
        ),
        # Undone, the old constraint knows no such mail: it goes first.
        migrations.RunSQL(migrations.RunSQL.noop, "DELETE FROM applications_notice WHERE kind = 'endpoint'"),
        migrations.RemoveField(model_name="application", name="webhook_notice_due_at"),
    ]
