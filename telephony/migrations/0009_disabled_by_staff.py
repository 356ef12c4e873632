"""Trunks that staff have disabled, which their customers cannot enable."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("applications", "0014_words_of_the_console"),
        ("telephony", "0008_words_of_the_console"),
    ]

    operations = [
        migrations.AddField(
            model_name="historicaltrunk",
            name="disabled_at",
            field=models.DateTimeField(
                editable=False, help_text="since when staff keep it out of use, whatever its customer wants", null=True
            ),
        ),
        migrations.AddField(
            model_name="trunk",
            name="disabled_at",
            field=models.DateTimeField(
                editable=False, help_text="since when staff keep it out of use, whatever its customer wants", null=True
            ),
        ),
        migrations.AddConstraint(
            model_name="trunk",
            constraint=models.CheckConstraint(
                condition=models.Q(("disabled_at", None), ("is_active", False), _connector="OR"),
                name="trunk_disabled_is_inactive",
            ),
        ),
    ]
