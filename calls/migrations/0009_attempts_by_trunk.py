"""What a trunk carries now, and carried of late, is counted at each claim of an attempt over a trunk with limits."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False
    dependencies = [
        ("calls", "0008_inbound_calls"),
        ("telephony", "0003_trunks_on_the_engine"),
    ]

    operations = [
        AddIndexConcurrently(
            model_name="attempt",
            index=models.Index(fields=["trunk", "claimed_at"], name="attempt_of_trunk"),
        ),
        AddIndexConcurrently(
            model_name="attempt",
            index=models.Index(
                fields=["trunk"],
                name="attempt_open",
                condition=models.Q(state__in=["claimed", "taken", "unclear"]),
            ),
        ),
    ]
