from django.db import migrations

FORWARD = """
CREATE FUNCTION billing_entry_is_final() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'ledger entries are never changed or deleted: post a new one';
END $$;
CREATE TRIGGER entry_not_changed BEFORE UPDATE OR DELETE ON billing_entry
    FOR EACH ROW EXECUTE FUNCTION billing_entry_is_final();
CREATE TRIGGER entry_not_truncated BEFORE TRUNCATE ON billing_entry
    FOR EACH STATEMENT EXECUTE FUNCTION billing_entry_is_final();
"""

BACKWARD = """
DROP TRIGGER entry_not_truncated ON billing_entry;
DROP TRIGGER entry_not_changed ON billing_entry;
DROP FUNCTION billing_entry_is_final();
"""


class Migration(migrations.Migration):
    dependencies = [("billing", "0001_initial")]

    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
