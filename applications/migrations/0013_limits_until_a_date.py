from django.db import migrations, models


def limits_of(model: str) -> list[migrations.AddField]:
    """Return what adds the limits until a date to a model."""
    number = models.PositiveIntegerField(editable=False, null=True)
    return [
        migrations.AddField(model, "temporary_concurrent_calls", number),
        migrations.AddField(model, "temporary_cps", number.clone()),
        migrations.AddField(model, "temporary_until", models.DateTimeField(editable=False, null=True)),
    ]


class Migration(migrations.Migration):
    dependencies = [("applications", "0012_acts_of_support")]

    operations = [
        migrations.AlterModelOptions(
            name="customer",
            options={
                "permissions": [
                    ("see_numbers", "Can see telephone numbers in full"),
                    ("suspend_customer", "Can suspend customers, and lift it"),
                    ("give_limits", "Can give a customer limits until a date"),
                ]
            },
        ),
        *limits_of("customer"),
        *limits_of("historicalcustomer"),
    ]
