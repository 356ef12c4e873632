"""Conferences, and which call is in which."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("applications", "0006_recording_days"),
        ("calls", "0016_acts_of_staff_on_calls"),
    ]

    operations = [
        migrations.CreateModel(
            name="Conference",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("room", models.CharField(help_text="what the customer's documents call it", max_length=64)),
                ("began_at", models.DateTimeField()),
                ("is_over", models.BooleanField(db_default=False, default=False)),
                (
                    "customer",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="conferences",
                        to="applications.customer",
                    ),
                ),
            ],
        ),
        migrations.AddConstraint(
            model_name="conference",
            constraint=models.UniqueConstraint(
                condition=models.Q(("is_over", False)), fields=("customer", "room"), name="one_conference_of_a_room"
            ),
        ),
        migrations.AddField(
            model_name="flow",
            name="conference",
            field=models.ForeignKey(
                help_text="where the call is",
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="flows",
                to="calls.conference",
            ),
        ),
        migrations.AddField(
            model_name="flow",
            name="entered_at",
            field=models.DateTimeField(help_text="when it came in there", null=True),
        ),
        migrations.AddField(
            model_name="flow",
            name="is_host",
            field=models.BooleanField(db_default=False, default=False, help_text="the conference ends when it leaves"),
        ),
    ]
