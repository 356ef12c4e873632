"""What calls add up to, how the books compared, and since when there is something to compare."""

from django.db import models

from applications.models import Application
from minivoice.fields import MoneyField
from telephony.models import Trunk


class UsageDay(models.Model):
    """What one application's calls of one UTC day came to, by destination and trunk: written with each settlement."""

    application = models.ForeignKey(Application, on_delete=models.PROTECT, db_index=False)
    day = models.DateField(help_text="UTC day on which the calls were settled")
    rate_prefix = models.CharField(max_length=15)
    trunk = models.ForeignKey(Trunk, on_delete=models.PROTECT, null=True, db_index=False)
    calls = models.PositiveIntegerField()
    duration_seconds = models.PositiveBigIntegerField()
    billable_seconds = models.PositiveBigIntegerField()
    cost_amount = MoneyField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["application", "day", "rate_prefix", "trunk"], name="usage_day_once", nulls_distinct=False
            ),
        ]

    def __str__(self) -> str:
        return f"{self.application_id} {self.day}: {self.calls} calls"


class AuditRun(models.Model):
    """One look of the auditor at what was live or settled lately, or at the whole; kept for a day, or a month."""

    ran_at = models.DateTimeField()
    is_whole = models.BooleanField(default=False, db_default=False)
    violations_found = models.PositiveIntegerField()
    violations = models.JSONField(default=dict, help_text="promise → rows that break it")

    def __str__(self) -> str:
        return f"{self.ran_at:%Y-%m-%d %H:%M} UTC: {self.violations_found} violations"


class Reconciliation(models.Model):
    """One comparison of the books, kept as it was found."""

    ran_at = models.DateTimeField()
    differences_found = models.PositiveIntegerField()
    differences = models.JSONField(default=list, help_text="the first of them; see calls.books.Difference")

    class Meta:
        verbose_name = "comparison of the books"
        verbose_name_plural = "books compared"

    def __str__(self) -> str:
        return f"{self.ran_at:%Y-%m-%d %H:%M} UTC: {self.differences_found} differences"


class KeptSince(models.Model):
    """Since when all rows of a kind are there: older ones are deleted, or being deleted (calls.pruning)."""

    class Kind(models.TextChoices):
        CALLS = "calls", "calls, by when they were settled"
        TIMELINE = "timeline", "lines of timelines"

    kind = models.CharField(max_length=8, choices=Kind.choices, primary_key=True)
    since = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.kind} since {self.since:%Y-%m-%d %H:%M} UTC"
