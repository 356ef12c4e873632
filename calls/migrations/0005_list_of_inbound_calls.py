"""The few inbound calls of an application, found without reading all its others; made beside the traffic."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("calls", "0004_flow_generations")]

    operations = [
        AddIndexConcurrently(
            model_name="call",
            index=models.Index(
                condition=models.Q(("direction", "inbound")), fields=["application", "-id"], name="call_inbound"
            ),
        ),
    ]
