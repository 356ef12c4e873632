"""Events out: one row is the fact, the bytes to send and the state of their delivery."""

from django.db import models
from django.db.models.functions import Cast

from applications.models import Application
from minivoice.fields import PublicIdField


class WebhookEvent(models.Model):
    """An event of an application, written in the transaction of its fact and delivered from this row.

    `next_attempt_at` is schedule, lock and lease at once: a worker that claims the row moves it past the
    longest exchange, so that a killed worker's row comes due again by itself. `is_in_flight` tells a lease
    from a schedule. A replay starts the schedule over, while attempts are numbered on.
    """

    class Status(models.TextChoices):
        PENDING = "pending"
        DELIVERED = "delivered"
        EXHAUSTED = "exhausted"
        UNADDRESSED = "unaddressed", "no webhook URL"

    public_id = PublicIdField("evt")
    delivery_id = PublicIdField("whd")
    application = models.ForeignKey(Application, on_delete=models.PROTECT, related_name="events", db_index=False)
    type = models.CharField(max_length=32)
    call_id = models.CharField(max_length=48, blank=True, help_text="public id of the call it tells about")
    sequence = models.PositiveIntegerField(null=True)
    body = models.BinaryField()
    created_at = models.DateTimeField()
    url = models.CharField("URL", max_length=2048, blank=True)
    status = models.CharField(max_length=12, choices=Status.choices, default=Status.PENDING)
    attempts = models.PositiveSmallIntegerField(default=0)
    next_attempt_at = models.DateTimeField(null=True, blank=True)
    is_in_flight = models.BooleanField(default=False, editable=False)
    delivered_at = models.DateTimeField(null=True, blank=True)
    error = models.CharField(
        max_length=32, blank=True, default="", db_default="", help_text="why it is not delivered, by the last word"
    )
    replayed_at = models.DateTimeField(null=True, blank=True, help_text="when it was last asked for again")
    attempts_before_replay = models.PositiveSmallIntegerField(default=0, db_default=0, editable=False)
    # The transaction that wrote the row: the feed serves those that can no longer be overtaken.
    transaction = models.BigIntegerField(
        db_default=Cast(Cast(models.Func(function="pg_current_xact_id"), models.TextField()), models.BigIntegerField()),
        editable=False,
    )

    class Meta:
        verbose_name = "webhook"
        verbose_name_plural = "webhooks"
        constraints = [
            models.UniqueConstraint(
                fields=["call_id", "sequence"],
                name="webhook_event_sequence_once",
                condition=~models.Q(call_id=""),
            ),
            models.CheckConstraint(
                condition=models.Q(status="pending", next_attempt_at__isnull=False)
                | models.Q(~models.Q(status="pending"), next_attempt_at=None),
                name="webhook_event_pending_is_due",
            ),
        ]
        indexes = [
            models.Index(
                fields=["application", "next_attempt_at", "id"],
                name="webhook_event_due",
                condition=models.Q(status="pending"),
            ),
            models.Index(fields=["application"], name="webhook_event_in_flight", condition=models.Q(is_in_flight=True)),
            models.Index(fields=["application", "-id"], name="webhook_event_of_application"),
            models.Index(fields=["application", "type", "-id"], name="webhook_event_of_type"),
            # The type at its end lets a filter by both pass over rows without fetching them.
            models.Index(fields=["application", "status", "-id", "type"], name="webhook_event_of_status"),
            models.Index(
                fields=["application", "status", "created_at", "id"],
                name="webhook_event_by_date",
                condition=~models.Q(status="pending"),  # or each claim would write to it
            ),
            models.Index(fields=["application", "transaction", "id"], name="webhook_event_feed"),
            models.Index(
                fields=["status", "-id"],
                name="webhook_event_undelivered",
                condition=models.Q(status__in=["exhausted", "unaddressed"]),
            ),
        ]

    def __str__(self) -> str:
        return str(self.public_id)


class DeliveryAttempt(models.Model):
    """One try to deliver an event: when, how long, and what the receiver said."""

    event = models.ForeignKey(WebhookEvent, on_delete=models.CASCADE, related_name="attempt_rows", db_index=False)
    number = models.PositiveSmallIntegerField()
    started_at = models.DateTimeField()
    duration_ms = models.PositiveIntegerField()
    http_status = models.PositiveSmallIntegerField(null=True)
    error = models.CharField(max_length=32, blank=True)
    response = models.TextField(blank=True, help_text="the first 4 KiB")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["event", "number"], name="delivery_attempt_number_once"),
        ]

    def __str__(self) -> str:
        return f"{self.event_id} attempt {self.number}"
