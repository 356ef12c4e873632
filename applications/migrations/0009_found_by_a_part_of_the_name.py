from django.contrib.postgres.indexes import GinIndex, OpClass
from django.contrib.postgres.operations import AddIndexConcurrently, TrigramExtension
from django.db import migrations
from django.db.models.functions import Upper


class Migration(migrations.Migration):
    """Names and e-mails found by a part of them, without reading the whole table.

    The extension is a trusted one: the owner of the database may create it.
    """

    atomic = False

    dependencies = [("applications", "0008_who_sees_numbers")]

    operations = [
        TrigramExtension(),
        AddIndexConcurrently(
            "application", GinIndex(OpClass(Upper("name"), name="gin_trgm_ops"), name="application_name_parts")
        ),
        AddIndexConcurrently(
            "customer", GinIndex(OpClass(Upper("name"), name="gin_trgm_ops"), name="customer_name_parts")
        ),
        AddIndexConcurrently(
            "customer", GinIndex(OpClass(Upper("contact_email"), name="gin_trgm_ops"), name="customer_email_parts")
        ),
    ]
