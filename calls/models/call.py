"""A call: its status and the ways between them, why it ended, what it was promised."""

from datetime import datetime, timedelta
from decimal import Decimal

from django.db import models
from django.db.models import Q

from applications.models import Application, Customer
from billing.rating import Price
from minivoice.fields import MoneyField, PublicIdField
from telephony.models import Trunk


class Status(models.TextChoices):
    """Where a call is. A status without a way out is final."""

    QUEUED = "queued"
    DIALING = "dialing"
    RINGING = "ringing"
    IN_PROGRESS = "in_progress", "In progress"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELED = "canceled"


WAYS: dict[Status, frozenset[Status]] = {
    Status.QUEUED: frozenset({Status.DIALING, Status.FAILED, Status.CANCELED}),
    Status.DIALING: frozenset({Status.RINGING, Status.IN_PROGRESS, Status.FAILED, Status.CANCELED}),
    Status.RINGING: frozenset({Status.IN_PROGRESS, Status.FAILED, Status.CANCELED}),
    Status.IN_PROGRESS: frozenset({Status.COMPLETED, Status.FAILED}),
    Status.COMPLETED: frozenset(),
    Status.FAILED: frozenset(),
    Status.CANCELED: frozenset(),
}
FINAL = frozenset(status for status, ways in WAYS.items() if not ways)
LIVE = ~Q(status__in=sorted(FINAL))
EXTEND_BEFORE = timedelta(seconds=60)  # of funded talk
_SETTLING = timedelta(seconds=5)


class Reason(models.TextChoices):
    """Why a call ended."""

    HANGUP = "hangup"
    CALLER_HUNG_UP = "caller_hung_up", "Caller hung up"
    MEDIA_LOST = "media_lost", "Media lost"
    BUSY = "busy"
    NO_ANSWER = "no_answer", "No answer"
    REJECTED = "rejected"
    UNREACHABLE = "unreachable"
    INVALID_NUMBER = "invalid_number", "Invalid number"
    ORIGINATE_FAILED = "originate_failed", "Originate failed"
    TRUNK_FAILED = "trunk_failed", "Trunk failed"
    CANCELED = "canceled"
    MAX_DURATION = "max_duration", "Longest duration reached"
    OUT_OF_FUNDS = "out_of_funds", "Out of funds"
    ANSWER_URL_FAILED = "answer_url_failed", "Answer URL failed"
    EXPIRED = "expired"
    ENGINE_LOST = "engine_lost", "Engine lost"


class Party(models.TextChoices):
    """Who hung up."""

    CALLER = "caller"
    CALLEE = "callee"
    API = "api", "API"
    SYSTEM = "system"


class Call(models.Model):
    """One call. `calls.lifecycle` alone moves its status; its price was promised when it was accepted.

    `deadline_at` is the moment by which the call must have moved on; a sweep acts on those that have not. `intent`
    is what we ourselves asked of the engine (hang up, and why): it explains the end better than the engine can.
    """

    class Direction(models.TextChoices):
        OUTBOUND = "outbound"
        INBOUND = "inbound"

    class RouteMode(models.TextChoices):
        WEBHOOK = "webhook", "the application's instructions"
        SIP = "sip", "forwarded to a number or a SIP URI"

    public_id = PublicIdField("call")
    customer = models.ForeignKey(Customer, on_delete=models.PROTECT)
    application = models.ForeignKey(Application, on_delete=models.PROTECT)
    direction = models.CharField(max_length=8, choices=Direction.choices, default=Direction.OUTBOUND)
    from_number = models.CharField("from", max_length=16, help_text="of an inbound call: as its network gave it")
    to_number = models.CharField("to", max_length=255, help_text="E.164, or a SIP URI")
    status = models.CharField(max_length=12, choices=Status.choices, default=Status.QUEUED)
    metadata = models.JSONField(default=dict, blank=True)
    variables = models.JSONField(default=dict, db_default={}, blank=True, help_text="what its instructions have set")
    answer_url = models.CharField(max_length=2048, blank=True)
    route_mode = models.CharField(
        max_length=8, choices=RouteMode.choices, default=RouteMode.WEBHOOK, db_default=RouteMode.WEBHOOK
    )
    routing_target = models.CharField(
        max_length=255, blank=True, default="", db_default="", help_text="with sip: where the call is forwarded to"
    )
    ring_seconds = models.PositiveSmallIntegerField(help_text="how long it may ring")
    max_duration_seconds = models.PositiveIntegerField()
    parent = models.ForeignKey(
        "self", on_delete=models.PROTECT, null=True, blank=True, related_name="legs", db_index=False
    )
    provider_call_id = models.UUIDField(null=True, unique=True)
    trunk = models.ForeignKey(Trunk, on_delete=models.PROTECT, null=True)
    is_trunk_test = models.BooleanField(default=False, db_default=False, help_text="it takes no trunk but its first")
    request_id = models.CharField(max_length=64, blank=True)

    accepted_at = models.DateTimeField()
    dialing_at = models.DateTimeField(null=True)
    ringing_at = models.DateTimeField(null=True)
    answered_at = models.DateTimeField(null=True)
    hung_up_at = models.DateTimeField(null=True, help_text="when its channel ended, where its end waits for its legs'")
    ended_at = models.DateTimeField(null=True)
    settled_at = models.DateTimeField(null=True, help_text="when it was charged: what usage counts by")
    deadline_at = models.DateTimeField(null=True)
    extend_at = models.DateTimeField(null=True, help_text="when its money must be seen to, by the engine's clock")
    proven_at = models.DateTimeField(null=True, help_text="last moment its channel was seen on the engine")
    intent = models.CharField(max_length=20, choices=Reason.choices, blank=True)
    intent_by = models.CharField(max_length=8, choices=Party.choices, blank=True)

    end_reason = models.CharField(max_length=20, choices=Reason.choices, blank=True)
    hangup_by = models.CharField(max_length=8, choices=Party.choices, blank=True)
    sip_code = models.PositiveSmallIntegerField(null=True)

    rate_version_id = models.BigIntegerField(help_text="0: the inbound rate of the number itself")
    rate_prefix = models.CharField(max_length=15)
    price_per_minute = MoneyField()
    connection_fee = MoneyField()
    initial_increment = models.PositiveSmallIntegerField()
    subsequent_increment = models.PositiveSmallIntegerField()
    minimum_charge = MoneyField()
    currency = models.CharField(max_length=3)
    funded_seconds = models.PositiveIntegerField(help_text="paid talk that the engine's timer knows of")
    duration_seconds = models.PositiveIntegerField(null=True)
    billable_seconds = models.PositiveIntegerField(null=True)
    cost_amount = MoneyField(null=True)
    overrun_amount = MoneyField(default=0)
    events = models.PositiveIntegerField(default=0, help_text="webhook events so far: the last one's sequence")

    class Meta:
        permissions = [("note_call", "Can write notes on calls")]
        constraints = [
            models.CheckConstraint(
                condition=Q(status__in=[status.value for status in Status]), name="call_status_known"
            ),
            models.CheckConstraint(
                condition=Q(
                    status__in=sorted(FINAL),
                    ended_at__isnull=False,
                    end_reason__gt="",
                    cost_amount__isnull=False,
                )
                | Q(LIVE, ended_at=None, end_reason="", cost_amount=None),
                name="call_final_has_ended",
            ),
        ]
        indexes = [
            models.Index(fields=["customer"], name="call_live", condition=LIVE),
            models.Index(fields=["deadline_at"], name="call_deadline", condition=LIVE),
            models.Index(fields=["extend_at"], name="call_extend", condition=Q(extend_at__isnull=False)),
            models.Index(fields=["customer", "accepted_at"], name="call_accepted"),
            models.Index(fields=["application", "-id"], name="call_of_application"),
            models.Index(fields=["application", "status", "-id"], name="call_of_status"),
            models.Index(fields=["application", "-id"], name="call_inbound", condition=Q(direction="inbound")),
            models.Index(fields=["application", "settled_at"], name="call_settled"),
            models.Index(fields=["parent"], name="call_legs", condition=Q(parent__isnull=False)),
            models.Index(fields=["to_number", "-id"], name="call_to"),
            # What few calls come to is found among all in the console; the others are never far.
            models.Index(
                fields=["status", "-id"],
                name="call_by_status",
                condition=Q(status__in=[Status.CANCELED, Status.FAILED]),
            ),
            models.Index(
                fields=["end_reason", "-id"],
                name="call_by_reason",
                condition=Q(end_reason__in=sorted(set(Reason.values) - {Reason.HANGUP.value})),
            ),
            models.Index(fields=["from_number", "-id"], name="call_from"),
        ]

    def __str__(self) -> str:
        return str(self.public_id)

    @property
    def is_final(self) -> bool:
        """Whether the call has ended; a final status never changes."""
        return self.status in FINAL

    @property
    def is_instructed(self) -> bool:
        """Whether it follows instructions: a leg of another call does not."""
        return self.parent_id is None

    @property
    def is_unanswered_inbound(self) -> bool:
        """Whether a caller waits for us to answer or refuse."""
        return self.direction == self.Direction.INBOUND and self.answered_at is None

    @property
    def price(self) -> Price:
        """The price the call was promised."""
        return Price(
            per_minute=Decimal(self.price_per_minute),
            connection_fee=Decimal(self.connection_fee),
            initial_increment=self.initial_increment,
            subsequent_increment=self.subsequent_increment,
            minimum_charge=Decimal(self.minimum_charge),
        )

    @property
    def timer_seconds(self) -> int:
        """Seconds from answer at which the engine itself ends the call, as far as it was told."""
        return self.timer_for(self.funded_seconds)

    @property
    def is_funded_throughout(self) -> bool:
        """Whether money cannot be what ends the call: its longest talk is paid for."""
        return self.price.is_free or self.funded_seconds >= self.max_duration_seconds

    @property
    def extension_due_at(self) -> datetime | None:
        """When the hold of an answered call must be extended: before its last minute. None when it need not be.

        Not at the answer itself, though: many a call is over by then, and its money is another's.
        """
        if self.answered_at is None or self.is_funded_throughout:
            return None
        settling = min(_SETTLING, timedelta(seconds=self.funded_seconds / 2))
        return self.answered_at + max(settling, timedelta(seconds=self.funded_seconds) - EXTEND_BEFORE)

    def timer_for(self, funded_seconds: int) -> int:
        """Return the engine's timer, in seconds from answer, for paid talk: before money or time is over."""
        if self.price.is_free:
            return self.max_duration_seconds
        return min(funded_seconds - 1, self.max_duration_seconds)

    def may_become(self, status: Status) -> bool:
        """Whether the call's status may change to `status` now."""
        return status in WAYS[Status(self.status)]

    def talk_milliseconds(self, ended_at: datetime) -> int:
        """Return how long the call was answered when it ends at `ended_at`; 0 when it never was."""
        if self.answered_at is None:
            return 0
        return max(0, (ended_at - self.answered_at) // timedelta(milliseconds=1))
