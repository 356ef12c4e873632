"""Customers' trunks get a name of their own on the engine and an inbound address, numbers a route."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("applications", "0001_initial"),
        ("telephony", "0001_initial"),
    ]

    operations = [
        migrations.RemoveConstraint(
            model_name="trunk",
            name="trunk_gateway_name_once",
        ),
        migrations.AddField(
            model_name="number",
            name="route_mode",
            field=models.CharField(
                choices=[
                    ("webhook", "the application's instructions"),
                    ("reject", "Reject"),
                    ("sip", "forward to a number or a SIP URI"),
                ],
                db_default="webhook",
                default="webhook",
                max_length=8,
            ),
        ),
        migrations.AddField(
            model_name="number",
            name="routing_target",
            field=models.CharField(
                blank=True,
                db_default="",
                default="",
                help_text="with sip: E.164 number or sip:user@host",
                max_length=255,
            ),
        ),
        migrations.AddField(
            model_name="trunk",
            name="deleted_at",
            field=models.DateTimeField(editable=False, help_text="kept for the history of its calls", null=True),
        ),
        migrations.AddField(
            model_name="trunk",
            name="endpoint",
            field=models.GeneratedField(
                db_persist=True,
                expression=models.Case(
                    models.When(customer=None, then="gateway_name"),
                    default="public_id",
                    output_field=models.CharField(max_length=64),
                ),
                help_text="its name on the engine, which all customers share",
                output_field=models.CharField(max_length=64),
                unique=True,
            ),
        ),
        migrations.AddField(
            model_name="trunk",
            name="from_domain",
            field=models.CharField(
                blank=True, db_default="", default="", help_text="host that From names; empty: our own", max_length=255
            ),
        ),
        migrations.AddField(
            model_name="trunk",
            name="inbound_ip",
            field=models.GenericIPAddressField(
                blank=True, help_text="address its calls to us come from", null=True, verbose_name="inbound IP"
            ),
        ),
        migrations.AddField(
            model_name="trunk",
            name="inbound_ip_approved_at",
            field=models.DateTimeField(
                editable=False,
                help_text="empty: calls from there are refused",
                null=True,
                verbose_name="inbound IP approved at",
            ),
        ),
        migrations.AddField(
            model_name="trunk",
            name="realm",
            field=models.CharField(
                blank=True,
                db_default="",
                default="",
                help_text="of the digest; empty: any the carrier names",
                max_length=255,
            ),
        ),
        migrations.AlterField(
            model_name="trunk",
            name="gateway_name",
            field=models.SlugField(help_text="its name among the customer's trunks", max_length=64),
        ),
        migrations.AddConstraint(
            model_name="number",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("route_mode__in", ["webhook", "reject"]), ("routing_target", "")),
                    models.Q(("route_mode", "sip"), ("routing_target__gt", "")),
                    _connector="OR",
                ),
                name="number_sip_has_target",
            ),
        ),
        migrations.AddConstraint(
            model_name="trunk",
            constraint=models.UniqueConstraint(
                condition=models.Q(("deleted_at", None)),
                fields=("customer", "gateway_name"),
                name="trunk_gateway_name_once",
                nulls_distinct=False,
            ),
        ),
        migrations.AddConstraint(
            model_name="trunk",
            constraint=models.UniqueConstraint(
                condition=models.Q(("deleted_at", None), ("inbound_ip__isnull", False)),
                fields=("customer", "inbound_ip"),
                name="trunk_inbound_ip_once",
                nulls_distinct=False,
            ),
        ),
        migrations.AddConstraint(
            model_name="trunk",
            constraint=models.UniqueConstraint(
                condition=models.Q(("inbound_ip_approved_at__isnull", False)),
                fields=("inbound_ip",),
                name="trunk_inbound_ip_approved_once",
            ),
        ),
        migrations.AddConstraint(
            model_name="trunk",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("inbound_ip_approved_at", None),
                    models.Q(("deleted_at", None), ("inbound_ip__isnull", False)),
                    _connector="OR",
                ),
                name="trunk_approved_has_inbound_ip",
            ),
        ),
        migrations.AddConstraint(
            model_name="trunk",
            constraint=models.CheckConstraint(
                condition=models.Q(("deleted_at", None), ("is_active", False), _connector="OR"),
                name="trunk_deleted_is_inactive",
            ),
        ),
    ]
