"""Money: what calls cost, what customers have, and every movement of it. `billing.ledger` alone writes balances,
holds, days and entries."""

from django.conf import settings
from django.db import models
from simple_history.models import HistoricalRecords

from applications.models import Customer
from minivoice import money
from minivoice.fields import MoneyField, PublicIdField


class RateDeck(models.Model):
    """A named price list in one currency; its prices are in versions."""

    name = models.CharField(max_length=100, unique=True)
    currency = models.CharField(max_length=3, help_text="ISO 4217")
    created_at = models.DateTimeField(auto_now_add=True)
    history = HistoricalRecords()

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
    preview = models.JSONField(null=True, editable=False, help_text="what it would change; see calls.previews.Preview")
    edited_at = models.DateTimeField(null=True, editable=False, help_text="when a rate of it was last changed by hand")

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
        return f"{self.deck} from {self.effective_from:%Y-%m-%d %H:%M} UTC"


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
    # What corrections and cuts of the credit limit took since money was last granted: so far below zero it may be
    lowered = MoneyField(default=0, db_default=0, editable=False)
    history = HistoricalRecords(excluded_fields=["posted", "held", "lowered"])

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
    customer = models.ForeignKey(Customer, on_delete=models.PROTECT, db_index=False)
    amount = MoneyField()
    funded_seconds = models.PositiveIntegerField(help_text="seconds of talk the amount pays for")
    opened_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = "hold"
        verbose_name_plural = "held money"
        constraints = [
            models.CheckConstraint(condition=models.Q(amount__gte=0), name="hold_amount_not_negative"),
        ]
        indexes = [
            models.Index(fields=["customer"], name="hold_open", condition=models.Q(closed_at=None)),
            models.Index(fields=["customer", "-id"], name="hold_of_customer"),
        ]

    def __str__(self) -> str:
        return f"{self.key}: {self.amount}"


class SpendDay(models.Model):
    """What a customer was charged on one UTC day, written with each settlement so that a day needs no sum."""

    customer = models.ForeignKey(Customer, on_delete=models.PROTECT)
    day = models.DateField()
    charged = MoneyField(default=0)

    class Meta:
        verbose_name = "charge of a day"
        verbose_name_plural = "charged by day"
        constraints = [models.UniqueConstraint(fields=["customer", "day"], name="spend_day_once")]
        indexes = [models.Index(fields=["-day", "-id"], name="spend_day_newest")]

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
        verbose_name = "ledger entry"
        verbose_name_plural = "ledger"
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
            models.Index(fields=["reference"], name="entry_by_reference", condition=~models.Q(reference="")),
        ]

    def __str__(self) -> str:
        return f"{self.public_id} {self.amount}"


class Approval(models.Model):
    """What a second person must approve: a movement of money by hand before it is an entry, or a raise of the credit
    limit. See `billing.approvals`.
    """

    CREDIT_LIMIT = "credit_limit"  # a kind beside those of entries

    class State(models.TextChoices):
        WAITING = "waiting"
        APPROVED = "approved"
        REJECTED = "rejected"

    customer = models.ForeignKey(Customer, on_delete=models.PROTECT)
    kind = models.CharField(max_length=12, choices=[*Entry.Kind.choices, (CREDIT_LIMIT, "credit limit raise")])
    amount = MoneyField(help_text="signed: what it would add to the balance, or to the credit limit")
    key = models.CharField(max_length=100, unique=True, help_text="that of the entry it may become")
    reference = models.CharField(max_length=100, blank=True)
    call_id = models.CharField(max_length=48, blank=True, help_text="public id of the call")
    note = models.CharField("reason", max_length=500)
    state = models.CharField(max_length=8, choices=State.choices, default=State.WAITING)
    asked_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField()
    decided_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")
    decided_at = models.DateTimeField(null=True)
    decision = models.CharField(max_length=500, blank=True, help_text="why it was approved or rejected")
    entry = models.OneToOneField(Entry, on_delete=models.PROTECT, null=True, related_name="approval")

    class Meta:
        permissions = [("approve_adjustment", "Can approve movements of money above the threshold")]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(state="waiting", decided_by=None, decided_at=None, entry=None)
                | models.Q(state="approved", decided_by__isnull=False, decided_at__isnull=False, entry__isnull=False)
                | models.Q(
                    state="approved",
                    kind="credit_limit",
                    decided_by__isnull=False,
                    decided_at__isnull=False,
                    entry=None,
                )
                | models.Q(state="rejected", decided_by__isnull=False, decided_at__isnull=False, entry=None),
                name="approval_decided_as_its_state_says",
            ),
            models.CheckConstraint(
                condition=~models.Q(state="approved", decided_by=models.F("asked_by")),
                name="approval_by_a_second_person",
            ),
        ]
        indexes = [models.Index(fields=["customer"], name="approval_waiting", condition=models.Q(state="waiting"))]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} of {money.text(self.amount)} for {self.customer}"


class Fall(models.Model):
    """A customer whose available money fell under its mark, and was told; gone when it is back."""

    customer = models.OneToOneField(Customer, on_delete=models.CASCADE, primary_key=True)
    told_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.customer} since {self.told_at}"
