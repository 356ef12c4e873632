"""Customers and mail to them, their applications with the keys they sign in with, and long work for staff."""

from datetime import datetime, timedelta

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex, OpClass
from django.db import models
from django.db.models.functions import Upper
from simple_history.models import HistoricalRecords

from minivoice.fields import PublicIdField, SecretField

# What a new customer may not call until staff say so: satellite and global networks, international premium rate.
SATELLITE_AND_PREMIUM = ("870", "881", "882", "883", "979")


def safe_prefixes() -> list[str]:
    """Return the prefixes that are blocked for a new customer."""
    return list(SATELLITE_AND_PREMIUM)


class Customer(models.Model):
    """Who pays. Its money is in `billing`, its limits are here."""

    class Status(models.TextChoices):
        ACTIVE = "active"
        SUSPENDED = "suspended"

    class CallerIdPolicy(models.TextChoices):
        OWN = "own", "own numbers and verified caller ids"
        ANY = "any", "any number"

    public_id = PublicIdField("cust")
    name = models.CharField(max_length=100)
    contact_email = models.EmailField(blank=True)
    status = models.CharField(max_length=16, choices=Status.choices, default=Status.ACTIVE)
    max_concurrent_calls = models.PositiveIntegerField(default=20, help_text="calls up at one time")
    max_cps = models.PositiveIntegerField(
        "max calls per second", default=5, help_text="calls accepted in any one second"
    )
    # Read by `applications.limits`: after `temporary_until` they are nothing.
    temporary_concurrent_calls = models.PositiveIntegerField(null=True, editable=False)
    temporary_cps = models.PositiveIntegerField(null=True, editable=False)
    temporary_until = models.DateTimeField(null=True, editable=False)
    caller_id_policy = models.CharField(
        max_length=8,
        choices=CallerIdPolicy.choices,
        default=CallerIdPolicy.OWN,
        help_text="which numbers calls over platform trunks may show",
    )
    verified_caller_ids = ArrayField(models.CharField(max_length=16), default=list, blank=True)
    allowed_countries = ArrayField(
        models.CharField(max_length=2),
        default=list,
        db_default=[],
        blank=True,
        help_text="ISO 3166, two letters; empty: all",
    )
    blocked_prefixes = ArrayField(
        models.CharField(max_length=15),
        default=safe_prefixes,
        db_default=list(SATELLITE_AND_PREMIUM),
        blank=True,
        help_text="first digits, without the +",
    )
    premium_rate_allowed = models.BooleanField(
        default=False, db_default=False, help_text="calls to numbers that a country's own plan says are premium-rate"
    )
    funds_warning = models.CharField(
        max_length=200,
        default="",
        db_default="",
        blank=True,
        help_text="said on a call that cannot be paid for any longer, up to a minute before it is cut; empty: nothing",
    )
    recording_days = models.PositiveSmallIntegerField(
        null=True, blank=True, help_text="that recordings are kept; empty: as long as everybody's"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    history = HistoricalRecords(excluded_fields=["public_id"])

    class Meta:
        permissions = [
            ("see_numbers", "Can see telephone numbers in full"),  # masked elsewhere: minivoice.masking
            ("suspend_customer", "Can suspend customers, and lift it"),
            ("give_limits", "Can give a customer limits until a date"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(status__in=["active", "suspended"]), name="customer_status_known"
            ),
        ]
        indexes = [
            GinIndex(OpClass(Upper("name"), name="gin_trgm_ops"), name="customer_name_parts"),
            GinIndex(OpClass(Upper("contact_email"), name="gin_trgm_ops"), name="customer_email_parts"),
        ]

    def __str__(self) -> str:
        return self.name


class Application(models.Model):
    """A customer's program: where its instructions come from and where its events go."""

    ENDPOINT_PATIENCE = timedelta(days=3)  # without a success, then the webhook URL is disabled

    class Method(models.TextChoices):
        GET = "GET"
        POST = "POST"

    public_id = PublicIdField("app")
    customer = models.ForeignKey(Customer, on_delete=models.PROTECT, related_name="applications")
    name = models.CharField(max_length=100)
    answer_url = models.CharField("answer URL", max_length=2048, blank=True)
    answer_method = models.CharField(max_length=4, choices=Method.choices, default=Method.POST)
    fallback_url = models.CharField("fallback URL", max_length=2048, blank=True, default="", db_default="")
    webhook_url = models.CharField("webhook URL", max_length=2048, blank=True)
    webhook_secret = SecretField(blank=True)
    previous_webhook_secret = SecretField(blank=True, default="", db_default="", editable=False)
    previous_secret_expires_at = models.DateTimeField(null=True, editable=False)
    webhook_events = ArrayField(models.CharField(max_length=32), default=list, blank=True)
    # The health of the webhook URL, kept by webhooks.health
    webhook_failing_since = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="the first failure after the last success"
    )
    webhook_disabled_at = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="when it was given up; saving the URL enables it"
    )
    webhook_saved_at = models.DateTimeField(null=True, editable=False)  # what was sent before says nothing of it
    webhook_is_draining = models.BooleanField(default=False, db_default=False, editable=False)
    is_active = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)
    history = HistoricalRecords(
        excluded_fields=[
            *("public_id", "webhook_secret", "previous_webhook_secret", "previous_secret_expires_at"),
            *("webhook_failing_since", "webhook_disabled_at", "webhook_saved_at", "webhook_is_draining"),
        ]
    )

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(answer_method__in=["GET", "POST"]), name="application_answer_method_known"
            ),
        ]
        indexes = [GinIndex(OpClass(Upper("name"), name="gin_trgm_ops"), name="application_name_parts")]

    def __str__(self) -> str:
        return self.name

    def renew_endpoint(self, now: datetime) -> list[str]:
        """Forget how the webhook URL has fared, as it has been saved at `now`; return the names of the fields set."""
        self.webhook_saved_at = now
        self.webhook_failing_since = self.webhook_disabled_at = None
        return ["webhook_saved_at", "webhook_failing_since", "webhook_disabled_at"]

    def disabled_because(self) -> str:
        """Return why the webhook URL is disabled, '' when it is not."""
        failing_since, disabled_at = self.webhook_failing_since, self.webhook_disabled_at
        if failing_since is None or disabled_at is None:
            return ""
        if disabled_at - failing_since < self.ENDPOINT_PATIENCE:
            return "it answered 410 (Gone)"
        return f"no delivery has succeeded since {failing_since:%Y-%m-%d %H:%M} UTC"

    def previous_secret_at(self, now: datetime) -> str:
        """Return the secret that still signs beside the present one at `now`, '' when none does."""
        expires_at = self.previous_secret_expires_at
        return self.previous_webhook_secret if expires_at is not None and now < expires_at else ""


class ApiKey(models.Model):
    """A key of an application, kept as the SHA-256 of the text that was shown once."""

    class Scope(models.TextChoices):
        CALLS = "calls", "place and steer calls"
        MANAGE = "manage", "manage applications, keys, trunks and numbers"

    NAME_CHARACTERS = 100

    public_id = PublicIdField("key")
    application = models.ForeignKey(Application, on_delete=models.PROTECT, related_name="keys")
    name = models.CharField(max_length=NAME_CHARACTERS, blank=True, default="", db_default="")
    prefix = models.CharField(max_length=16)
    last_four = models.CharField(max_length=4)
    digest = models.BinaryField(max_length=32, unique=True)
    scopes = ArrayField(models.CharField(max_length=16, choices=Scope.choices), default=list)
    issued_with = models.ForeignKey("self", on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    last_used_at = models.DateTimeField(null=True, blank=True, help_text="to the minute")
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = "API key"

    def __str__(self) -> str:
        return f"{self.prefix}…{self.last_four}"


class Notice(models.Model):
    """A mail to a customer, to staff, or both: the row is the queue, `next_attempt_at` schedule and lease at once."""

    class Kind(models.TextChoices):
        LOW = "low", "balance is low"
        DAY_CAP = "day_cap", "near the day cap"
        ENDPOINT = "endpoint", "webhook endpoint disabled"

    customer = models.ForeignKey(Customer, on_delete=models.CASCADE)
    kind = models.CharField(max_length=8, choices=Kind.choices)
    day = models.DateField(help_text="UTC")
    recipient = models.EmailField(blank=True)
    copy_to = models.EmailField(blank=True, default="", db_default="", help_text="a blind copy, for staff")
    subject = models.CharField(max_length=200)
    text = models.TextField()
    created_at = models.DateTimeField()
    attempts = models.PositiveSmallIntegerField(default=0)
    next_attempt_at = models.DateTimeField(null=True, help_text="null: sent, or given up")
    sent_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = "mail to a customer"
        verbose_name_plural = "mail to customers"
        constraints = [
            models.CheckConstraint(
                condition=models.Q(kind__in=["low", "day_cap", "endpoint"]), name="notice_kind_known"
            ),
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
        return f"{self.kind} to {self.recipient or self.copy_to}"


class Job(models.Model):
    """Long work that staff asked for: the row is the queue. It goes, with its files, a day after its end."""

    class State(models.TextChoices):
        PREPARED = "prepared", "waits for answers"
        WAITING = "waiting"
        RUNNING = "running"
        DONE = "done"
        FAILED = "failed"

    public_id = PublicIdField("job")
    kind = models.CharField(max_length=32, help_text="one of applications.jobs")
    title = models.CharField(max_length=200)
    params = models.JSONField(default=dict)
    asked_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    state = models.CharField(max_length=8, choices=State.choices, default=State.WAITING)
    percent = models.PositiveSmallIntegerField(default=0)
    line = models.CharField(max_length=300, blank=True, help_text="how it goes, or what came of it")
    file_name = models.CharField(max_length=100, blank=True, help_text="what its result is saved as; empty: no file")
    page = models.CharField(max_length=200, blank=True, help_text="where the console shows its result")
    attempts = models.PositiveSmallIntegerField(default=0)
    created_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)
    expires_at = models.DateTimeField()

    class Meta:
        permissions = [("export", "Can export calls, ledger and usage, and make statements")]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(state__in=["prepared", "waiting", "running", "done", "failed"]),
                name="job_state_known",
            ),
            models.CheckConstraint(condition=models.Q(percent__lte=100), name="job_percent_at_most_100"),
        ]
        indexes = [
            models.Index(fields=["id"], name="job_due", condition=models.Q(state__in=["waiting", "running"])),
            models.Index(fields=["asked_by", "-id"], name="job_of_staff"),
            models.Index(fields=["expires_at"], name="job_expires"),
        ]

    def __str__(self) -> str:
        return self.title

    @property
    def is_under_way(self) -> bool:
        """Whether more is still to come of it by itself."""
        return self.state in {self.State.WAITING, self.State.RUNNING}
