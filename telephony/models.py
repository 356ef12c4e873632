"""The outside telephone world: the engine, trunks to carriers, and numbers that ring here."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from simple_history.models import HistoricalRecords

from applications.models import Application, Customer
from minivoice.fields import MoneyField, PublicIdField, SecretField


class Engine(models.Model):
    """A telephone engine and how to command it. `seen_at` is the last moment its link was proven alive."""

    name = models.CharField(max_length=50, unique=True)
    url = models.CharField("URL", max_length=200, help_text="address of its ARI")
    user = models.CharField(max_length=50)
    password = SecretField()
    seen_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return self.name


class Trunk(models.Model):
    """A way out to a carrier; a customer's own, or the platform's when it has no customer.

    The switchboard brings each row to the engine (`telephony.provisioning`): one whose `provisioned_for` is not its
    `updated_at` waits for that, so whoever writes to a trunk sets `updated_at`, unless it is about its health.
    """

    class Direction(models.TextChoices):
        OUTBOUND = "outbound"
        INBOUND = "inbound"
        BOTH = "both"

    class Transport(models.TextChoices):
        UDP = "udp", "UDP"
        TCP = "tcp", "TCP"
        TLS = "tls", "TLS"

    class Codec(models.TextChoices):
        ULAW = "ulaw", "G.711 µ-law"
        ALAW = "alaw", "G.711 A-law"
        G722 = "g722", "G.722 (wideband)"
        GSM = "gsm", "GSM"

    class State(models.TextChoices):
        PENDING = "pending", "pending: not on the engine yet, or not answered yet"
        REFUSED = "refused", "refused: cannot be brought to the engine"
        UP = "up"
        DOWN = "down"
        FULL = "full", "full: no free channel"
        OFF = "off", "off: out of use"

    USUAL_CODECS = (Codec.ULAW.value, Codec.ALAW.value)

    public_id = PublicIdField("trunk")
    customer = models.ForeignKey(
        Customer, on_delete=models.PROTECT, null=True, blank=True, help_text="empty: a platform trunk"
    )
    name = models.CharField(max_length=100)
    direction = models.CharField(max_length=8, choices=Direction.choices, default=Direction.OUTBOUND)
    gateway_name = models.SlugField(max_length=64, help_text="its name among the customer's trunks")
    endpoint = models.GeneratedField(
        expression=models.Case(
            models.When(customer=None, then="gateway_name"),
            default="public_id",
            output_field=models.CharField(max_length=64),
        ),
        output_field=models.CharField(max_length=64),
        db_persist=True,
        unique=True,
        help_text="its name on the engine, which all customers share",
    )
    proxy = models.CharField(max_length=255, help_text="host or host:port of the carrier")
    username = models.CharField(max_length=100, blank=True)
    password = SecretField(blank=True)
    realm = models.CharField(
        max_length=255, blank=True, default="", db_default="", help_text="of the digest; empty: any the carrier names"
    )
    from_domain = models.CharField(
        max_length=255, blank=True, default="", db_default="", help_text="host that From names; empty: our own"
    )
    inbound_ip = models.GenericIPAddressField(
        "inbound IP", null=True, blank=True, help_text="address its calls to us come from"
    )
    inbound_ip_approved_at = models.DateTimeField(
        "inbound IP approved at", null=True, editable=False, help_text="empty: calls from there are refused"
    )
    priority = models.PositiveSmallIntegerField(default=10, help_text="lower is tried first")
    allowed_prefixes = ArrayField(
        models.CharField(max_length=15), default=list, blank=True, help_text="digits; empty: every number"
    )
    transport = models.CharField(
        max_length=3, choices=Transport.choices, default=Transport.UDP, db_default=Transport.UDP
    )
    srtp = models.BooleanField("SRTP", default=False, db_default=False, help_text="encrypted sound; needs TLS")
    codecs = ArrayField(
        models.CharField(max_length=4, choices=Codec.choices),
        default=list,
        db_default=[],
        blank=True,
        help_text="best first; empty: ulaw, alaw",
    )
    registers = models.BooleanField(
        default=False, db_default=False, help_text="we register with the carrier, which sends its calls there"
    )
    max_channels = models.PositiveSmallIntegerField(
        null=True, blank=True, help_text="calls at a time; empty: any number"
    )
    max_cps = models.PositiveSmallIntegerField(
        "max. calls per second", null=True, blank=True, help_text="empty: any number"
    )
    is_active = models.BooleanField(default=True)
    disabled_at = models.DateTimeField(
        null=True, editable=False, help_text="since when staff keep it out of use, whatever its customer wants"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)
    deleted_at = models.DateTimeField(null=True, editable=False, help_text="kept for the history of its calls")

    state = models.CharField(
        max_length=8, choices=State.choices, default=State.PENDING, db_default=State.PENDING, editable=False
    )
    state_reason = models.CharField(max_length=200, blank=True, default="", db_default="", editable=False)
    state_at = models.DateTimeField(null=True, editable=False, help_text="since when it is so")
    provisioned_for = models.DateTimeField(null=True, editable=False, help_text="the `updated_at` the engine has")
    provisioned_at = models.DateTimeField(null=True, editable=False, help_text="when the engine was told last")
    address = models.CharField(
        max_length=45, blank=True, default="", db_default="", editable=False, help_text="of the proxy, as vetted"
    )
    check_at = models.DateTimeField(null=True, editable=False, help_text="when its names are looked up again")
    history = HistoricalRecords(
        excluded_fields=[
            *("public_id", "endpoint", "password", "updated_at", "state", "state_reason", "state_at"),
            *("provisioned_for", "provisioned_at", "address", "check_at"),
        ]
    )

    class Meta:
        permissions = [("switch_trunk", "Can enable and disable trunks")]
        constraints = [
            models.UniqueConstraint(
                fields=["customer", "gateway_name"],
                name="trunk_gateway_name_once",
                nulls_distinct=False,
                condition=models.Q(deleted_at=None),
            ),
            models.UniqueConstraint(
                fields=["customer", "inbound_ip"],
                name="trunk_inbound_ip_once",
                nulls_distinct=False,
                condition=models.Q(deleted_at=None, inbound_ip__isnull=False),
            ),
            models.UniqueConstraint(
                fields=["inbound_ip"],
                name="trunk_inbound_ip_approved_once",
                condition=models.Q(inbound_ip_approved_at__isnull=False),
            ),
            models.CheckConstraint(
                condition=models.Q(inbound_ip_approved_at=None) | models.Q(inbound_ip__isnull=False, deleted_at=None),
                name="trunk_approved_has_inbound_ip",
            ),
            models.CheckConstraint(
                condition=models.Q(deleted_at=None) | models.Q(is_active=False), name="trunk_deleted_is_inactive"
            ),
            models.CheckConstraint(
                condition=models.Q(disabled_at=None) | models.Q(is_active=False), name="trunk_disabled_is_inactive"
            ),
            models.CheckConstraint(
                condition=models.Q(direction__in=["outbound", "inbound", "both"]),
                name="trunk_direction_known",
            ),
            models.CheckConstraint(
                condition=models.Q(srtp=False) | models.Q(transport="tls"), name="trunk_srtp_needs_tls"
            ),
            models.CheckConstraint(
                condition=models.Q(registers=False) | models.Q(username__gt=""), name="trunk_registers_as_somebody"
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Number(models.Model):
    """A telephone number (DID) of a customer: a caller id it owns, and what is done with calls to it.

    `routing_target` is where `sip` forwards to: a number or a SIP URI. Under `webhook` the application answers.
    """

    class RouteMode(models.TextChoices):
        WEBHOOK = "webhook", "the application's instructions"
        REJECT = "reject"
        SIP = "sip", "forward to a number or a SIP URI"

    public_id = PublicIdField("did")
    customer = models.ForeignKey(Customer, on_delete=models.PROTECT, related_name="numbers")
    application = models.ForeignKey(Application, on_delete=models.PROTECT, null=True, blank=True)
    number_e164 = models.CharField("number", max_length=16, unique=True)
    provider = models.CharField(max_length=50, blank=True)
    route_mode = models.CharField(
        max_length=8, choices=RouteMode.choices, default=RouteMode.WEBHOOK, db_default=RouteMode.WEBHOOK
    )
    routing_target = models.CharField(
        max_length=255, blank=True, default="", db_default="", help_text="with sip: E.164 number or sip:user@host"
    )
    inbound_price_per_minute = MoneyField(
        default=0, db_default=0, help_text="of calls to it, in the account's currency"
    )
    inbound_connection_fee = MoneyField(default=0, db_default=0)
    inbound_initial_increment = models.PositiveSmallIntegerField(default=60, db_default=60, help_text="seconds")
    inbound_subsequent_increment = models.PositiveSmallIntegerField(default=60, db_default=60, help_text="seconds")
    is_active = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)
    history = HistoricalRecords(excluded_fields=["public_id", "updated_at"])

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(inbound_price_per_minute__gte=0, inbound_connection_fee__gte=0),
                name="number_prices_not_negative",
            ),
            models.CheckConstraint(
                condition=models.Q(inbound_initial_increment__gte=1, inbound_subsequent_increment__gte=1),
                name="number_increments_positive",
            ),
            models.CheckConstraint(
                condition=models.Q(number_e164__regex=r"^\+[1-9][0-9]{6,14}$"), name="number_is_e164"
            ),
            models.CheckConstraint(
                condition=models.Q(route_mode__in=["webhook", "reject"], routing_target="")
                | models.Q(route_mode="sip", routing_target__gt=""),
                name="number_sip_has_target",
            ),
        ]

    def __str__(self) -> str:
        return str(self.public_id)
