"""Money: what calls cost, what customers have, and every movement of it. `billing.ledger` alone writes balances,
holds, days and entries."""

from django.conf import settings
from django.db import models

from applications.models import Customer
from minivoice.fields import MoneyField, PublicIdField


class RateDeck(models.Model):
    """A named price list in one currency; its prices are in versions."""

    name = models.CharField(max_length=100, unique=True)
    currency = models.CharField(max_length=3, help_text="ISO 4217")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=models.Q(currency__regex=r"^[A-Z]{3}$"), name="rate_deck_currency_iso"),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.currency})"


class DeckVersion(models.Model):
    """All prices of a deck from a moment on. A change of prices is a new version; undo deletes it."""

    class State(models.TextChoices):
        DRAFT = "draft"
        LIVE = "live", "live from its date on"

    deck = models.ForeignKey(RateDeck, on_delete=models.PROTECT, related_name="versions")
    effective_from = models.DateTimeField()
    state = models.CharField(max_length=8, choices=State.choices, default=State.DRAFT)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["deck", "effective_from"],
                name="deck_version_date_once",
                condition=models.Q(state="live"),
            ),
            models.CheckConstraint(condition=models.Q(state__in=["draft", "live"]), name="deck_version_state_known"),
        ]

    def __str__(self) -> str:
        return f"{self.deck} from {self.effective_from:%Y-%m-%d %H:%M}"


class Rate(models.Model):
    """The price of calls to numbers that begin with `prefix`; the longest prefix wins."""

    version = models.ForeignKey(DeckVersion, on_delete=models.CASCADE, related_name="rates")
    prefix = models.CharField(max_length=15, help_text="digits, without the +")
    description = models.CharField(max_length=100, blank=True)
    price_per_minute = MoneyField()
    connection_fee = MoneyField(default=0)
    initial_increment = models.PositiveSmallIntegerField(default=60, help_text="seconds")
    subsequent_increment = models.PositiveSmallIntegerField(default=60, help_text="seconds")
    minimum_charge = MoneyField(default=0)
    blocked = models.BooleanField(default=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["version", "prefix"], name="rate_prefix_once"),
            models.CheckConstraint(condition=models.Q(prefix__regex=r"^([0-9]+|sip)$"), name="rate_prefix_digits"),
            models.CheckConstraint(
                condition=models.Q(initial_increment__gte=1, subsequent_increment__gte=1),
                name="rate_increments_positive",
            ),
            models.CheckConstraint(
                condition=models.Q(price_per_minute__gte=0, connection_fee__gte=0, minimum_charge__gte=0),
                name="rate_prices_not_negative",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.prefix} {self.description}".strip()


class Balance(models.Model):
    """What a customer has. `available = posted + credit_limit - held`."""

    customer = models.OneToOneField(Customer, on_delete=models.PROTECT, primary_key=True)
    deck = models.ForeignKey(RateDeck, on_delete=models.PROTECT)
    currency = models.CharField(max_length=3)
    posted = MoneyField(default=0)
    held = MoneyField(default=0)
    credit_limit = MoneyField(default=0)
    day_cap = MoneyField(
        null=True, blank=True, default=100, help_text="most that may be spent in one UTC day; empty: no cap"
    )
    highest_price_per_minute = MoneyField(null=True, blank=True, help_text="no call at a dearer rate; empty: any price")
    low_mark = MoneyField(
        null=True, blank=True, help_text="when available falls under it, the customer is told; empty: never"
    )

    class Meta:
        constraints = [
            models.CheckConstraint(condition=models.Q(held__gte=0), name="balance_held_not_negative"),
            models.CheckConstraint(condition=models.Q(credit_limit__gte=0), name="balance_credit_not_negative"),
        ]

    def __str__(self) -> str:
        return f"{self.customer}: {self.posted} {self.currency}"


class Hold(models.Model):
    """Money set aside for one call until it is settled or released."""

    key = models.CharField(max_length=48, unique=True, help_text="public id of the call")
    customer = models.ForeignKey(Customer, on_delete=models.PROTECT)
    amount = MoneyField()
    funded_seconds = models.PositiveIntegerField(help_text="seconds of talk the amount pays for")
    opened_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=models.Q(amount__gte=0), name="hold_amount_not_negative"),
        ]
        indexes = [
            models.Index(fields=["customer"], name="hold_open", condition=models.Q(closed_at=None)),
        ]

    def __str__(self) -> str:
        return f"{self.key}: {self.amount}"


class SpendDay(models.Model):
    """What a customer was charged on one UTC day, written with each settlement so that a day needs no sum."""

    customer = models.ForeignKey(Customer, on_delete=models.PROTECT)
    day = models.DateField()
    charged = MoneyField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["customer", "day"], name="spend_day_once")]

    def __str__(self) -> str:
        return f"{self.customer} {self.day}: {self.charged}"


class Entry(models.Model):
    """One movement of money, for good: the database refuses to change or delete it."""

    class Kind(models.TextChoices):
        TOP_UP = "top_up", "top-up"
        CHARGE = "charge"
        REFUND = "refund"
        ADJUSTMENT = "adjustment"

    public_id = PublicIdField("le")
    customer = models.ForeignKey(Customer, on_delete=models.PROTECT, related_name="entries")
    kind = models.CharField(max_length=12, choices=Kind.choices)
    amount = MoneyField(help_text="signed: what it added to the balance")
    posted_after = MoneyField(help_text="the balance after it")
    key = models.CharField(max_length=100, unique=True, help_text="says what it is for; no key is posted twice")
    reference = models.CharField(max_length=100, blank=True, help_text="the bank's or card's own")
    call_id = models.CharField(max_length=48, blank=True, help_text="public id of the call")
    staff = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")
    note = models.CharField(max_length=500, blank=True)
    created_at = models.DateTimeField()

    class Meta:
        verbose_name_plural = "entries"
        constraints = [
            models.CheckConstraint(
                condition=models.Q(kind__in=["top_up", "charge", "refund", "adjustment"]),
                name="entry_kind_known",
            ),
            models.CheckConstraint(
                condition=~models.Q(kind="charge") | models.Q(amount__lt=0), name="entry_charge_takes"
            ),
            models.UniqueConstraint(
                fields=["customer", "reference"],
                name="entry_reference_once",
                condition=~models.Q(reference=""),
            ),
        ]
        indexes = [
            models.Index(fields=["customer", "-id"], name="entry_of_customer"),
            models.Index(fields=["customer", "created_at"], name="entry_by_date"),
            models.Index(
                fields=["customer", "kind", "-id"], name="entry_but_charges", condition=~models.Q(kind="charge")
            ),
            models.Index(fields=["call_id"], name="entry_of_call", condition=~models.Q(call_id="")),
        ]

    def __str__(self) -> str:
        return f"{self.public_id} {self.amount}"


class Fall(models.Model):
    """A customer whose available money fell under its mark, and was told; gone when it is back."""

    customer = models.OneToOneField(Customer, on_delete=models.CASCADE, primary_key=True)
    told_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.customer} since {self.told_at}"


class Notice(models.Model):
    """A mail to a customer's contact address: the row is the queue, `next_attempt_at` schedule and lease at once."""

    class Kind(models.TextChoices):
        LOW = "low", "balance is low"
        DAY_CAP = "day_cap", "near the day cap"

    customer = models.ForeignKey(Customer, on_delete=models.CASCADE)
    kind = models.CharField(max_length=8, choices=Kind.choices)
    day = models.DateField(help_text="UTC")
    recipient = models.EmailField()
    subject = models.CharField(max_length=200)
    text = models.TextField()
    created_at = models.DateTimeField()
    attempts = models.PositiveSmallIntegerField(default=0)
    next_attempt_at = models.DateTimeField(null=True, help_text="null: sent, or given up")
    sent_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=models.Q(kind__in=["low", "day_cap"]), name="notice_kind_known"),
            models.UniqueConstraint(
                fields=["customer", "day"], name="notice_of_the_cap_once_a_day", condition=models.Q(kind="day_cap")
            ),
        ]
        indexes = [
            models.Index(
                fields=["next_attempt_at"], name="notice_due", condition=models.Q(next_attempt_at__isnull=False)
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} to {self.recipient}"
