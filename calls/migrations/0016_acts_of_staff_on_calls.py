from django.db import migrations


class Migration(migrations.Migration):
    """What staff do about calls: permissions of their own, and a history that is found by its row."""

    atomic = False

    dependencies = [
        ("admin", "0003_logentry_add_action_flag_choices"),
        ("calls", "0015_since_when_calls_are_kept"),
    ]

    operations = [
        migrations.AlterModelOptions(
            name="call",
            options={"permissions": [("note_call", "Can write notes on calls")]},
        ),
        migrations.AlterModelOptions(
            name="recording",
            options={"permissions": [("listen_recording", "Can listen to recordings")]},
        ),
        # One that was interrupted is there, and good for nothing.
        migrations.RunSQL("DROP INDEX CONCURRENTLY IF EXISTS history_of_row", migrations.RunSQL.noop),
        migrations.RunSQL(
            "CREATE INDEX CONCURRENTLY history_of_row ON django_admin_log (object_id, content_type_id)",
            "DROP INDEX CONCURRENTLY IF EXISTS history_of_row",
        ),
    ]
