from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("calls", "0022_words_of_the_console"),
    ]

    operations = [
        migrations.AddField(
            model_name="auditrun",
            name="is_whole",
            field=models.BooleanField(db_default=False, default=False),
        ),
    ]
