from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    """The console lists refused calls by code, and newest first."""

    atomic = False

    dependencies = [("calls", "0017_conferences")]

    operations = [
        AddIndexConcurrently("refusal", models.Index(fields=["code", "-minute"], name="refusal_of_code")),
        AddIndexConcurrently("refusal", models.Index(fields=["-minute"], name="refusal_newest")),
    ]
