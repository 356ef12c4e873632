"""What calls to a number cost its customer: nothing, unless staff say otherwise."""

from django.db import migrations, models

import minivoice.fields


class Migration(migrations.Migration):
    dependencies = [("telephony", "0003_trunks_on_the_engine")]

    operations = [
        migrations.AddField(
            model_name="number",
            name="inbound_price_per_minute",
            field=minivoice.fields.MoneyField(
                db_default=0,
                decimal_places=6,
                default=0,
                help_text="of calls to it, in the account's currency",
                max_digits=18,
            ),
        ),
        migrations.AddField(
            model_name="number",
            name="inbound_connection_fee",
            field=minivoice.fields.MoneyField(db_default=0, decimal_places=6, default=0, max_digits=18),
        ),
        migrations.AddField(
            model_name="number",
            name="inbound_initial_increment",
            field=models.PositiveSmallIntegerField(db_default=60, default=60, help_text="seconds"),
        ),
        migrations.AddField(
            model_name="number",
            name="inbound_subsequent_increment",
            field=models.PositiveSmallIntegerField(db_default=60, default=60, help_text="seconds"),
        ),
        migrations.AddConstraint(
            model_name="number",
            constraint=models.CheckConstraint(
                condition=models.Q(("inbound_connection_fee__gte", 0), ("inbound_price_per_minute__gte", 0)),
                name="number_prices_not_negative",
            ),
        ),
        migrations.AddConstraint(
            model_name="number",
            constraint=models.CheckConstraint(
                condition=models.Q(("inbound_initial_increment__gte", 1), ("inbound_subsequent_increment__gte", 1)),
                name="number_increments_positive",
            ),
        ),
    ]
