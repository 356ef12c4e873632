"""The outside telephone world: the engine, trunks to carriers, and numbers that ring here."""

from django.contrib.postgres.fields import ArrayField
from django.db import models

from applications.models import Application, Customer
from minivoice.fields import PublicIdField, SecretField


class Engine(models.Model):
    """A telephone engine and how to command it. `seen_at` is the last moment its link was proven alive."""

    name = models.CharField(max_length=50, unique=True)
    url = models.CharField(max_length=200, help_text="address of its ARI")
    user = models.CharField(max_length=50)
    password = SecretField()
    seen_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return self.name


class Trunk(models.Model):
    """A way out to a carrier; a customer's own, or the platform's when it has no customer."""

    class Direction(models.TextChoices):
        OUTBOUND = "outbound"
        INBOUND = "inbound"
        BOTH = "both"

    public_id = PublicIdField("trunk")
    customer = models.ForeignKey(
        Customer, on_delete=models.PROTECT, null=True, blank=True, help_text="empty: a platform trunk"
    )
    name = models.CharField(max_length=100)
    direction = models.CharField(max_length=8, choices=Direction.choices, default=Direction.OUTBOUND)
    gateway_name = models.SlugField(max_length=64, help_text="the endpoint's name on the engine")
    proxy = models.CharField(max_length=255, help_text="host or host:port of the carrier")
    username = models.CharField(max_length=100, blank=True)
    password = SecretField(blank=True)
    priority = models.PositiveSmallIntegerField(default=10, help_text="lower is tried first")
    allowed_prefixes = ArrayField(
        models.CharField(max_length=15), default=list, blank=True, help_text="digits; empty: every number"
    )
    is_active = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["customer", "gateway_name"], name="trunk_gateway_name_once", nulls_distinct=False
            ),
            models.CheckConstraint(
                condition=models.Q(direction__in=["outbound", "inbound", "both"]),
                name="trunk_direction_known",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Number(models.Model):
    """A telephone number (DID) of a customer: a caller id it owns, and later what rings here."""

    public_id = PublicIdField("did")
    customer = models.ForeignKey(Customer, on_delete=models.PROTECT, related_name="numbers")
    application = models.ForeignKey(Application, on_delete=models.PROTECT, null=True, blank=True)
    number_e164 = models.CharField("number", max_length=16, unique=True)
    provider = models.CharField(max_length=50, blank=True)
    is_active = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(number_e164__regex=r"^\+[1-9][0-9]{6,14}$"), name="number_is_e164"
            ),
        ]

    def __str__(self) -> str:
        return self.number_e164
