"""Indexes for the ledger's filters, made beside the traffic: by date, and what is not one charge among a million."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("billing", "0002_entries_insert_only")]

    operations = [
        AddIndexConcurrently(
            model_name="entry",
            index=models.Index(fields=["customer", "created_at"], name="entry_by_date"),
        ),
        AddIndexConcurrently(
            model_name="entry",
            index=models.Index(
                condition=models.Q(("kind", "charge"), _negated=True),
                fields=["customer", "kind", "-id"],
                name="entry_but_charges",
            ),
        ),
    ]
