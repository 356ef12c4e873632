"""What corrections and cuts of a credit limit have taken since the last grant. Accounts that were corrected below zero
before this was written down begin with what they lack."""

from django.db import migrations

import minivoice.fields

_BEGIN = """
UPDATE billing_balance AS balance SET lowered = -(posted + credit_limit - held)
WHERE posted + credit_limit - held < 0
  AND EXISTS (SELECT FROM billing_entry AS entry WHERE entry.customer_id = balance.customer_id
              AND kind <> 'charge' AND amount < 0)
"""


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0011_words_of_the_console"),
    ]

    operations = [
        migrations.AddField(
            model_name="balance",
            name="lowered",
            field=minivoice.fields.MoneyField(db_default=0, decimal_places=6, default=0, editable=False, max_digits=18),
        ),
        migrations.RunSQL(_BEGIN, migrations.RunSQL.noop),
    ]
