"""The queue of mail is a table of applications now."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("billing", "0004_prices_marks_and_notices"), ("applications", "0005_one_queue_of_mail")]

    operations = [
        migrations.SeparateDatabaseAndState(state_operations=[migrations.DeleteModel(name="Notice")]),
    ]
