"""A call, each attempt to place it, its timeline, and where it stands in its instructions."""

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
    IN_PROGRESS = "in_progress"
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
    CALLER_HUNG_UP = "caller_hung_up"
    MEDIA_LOST = "media_lost"
    BUSY = "busy"
    NO_ANSWER = "no_answer"
    REJECTED = "rejected"
    UNREACHABLE = "unreachable"
    INVALID_NUMBER = "invalid_number"
    ORIGINATE_FAILED = "originate_failed"
    TRUNK_FAILED = "trunk_failed"
    CANCELED = "canceled"
    MAX_DURATION = "max_duration"
    OUT_OF_FUNDS = "out_of_funds"
    ANSWER_URL_FAILED = "answer_url_failed"
    EXPIRED = "expired"
    ENGINE_LOST = "engine_lost"


class Party(models.TextChoices):
    """Who hung up."""

    CALLER = "caller"
    CALLEE = "callee"
    API = "api"
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
    request_id = models.CharField(max_length=64, blank=True)

    accepted_at = models.DateTimeField()
    dialing_at = models.DateTimeField(null=True)
    ringing_at = models.DateTimeField(null=True)
    answered_at = models.DateTimeField(null=True)
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
        """Whether it follows instructions: legs and forwarded calls do not."""
        return self.parent_id is None and self.route_mode == self.RouteMode.WEBHOOK

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


class IdempotencyKey(models.Model):
    """A create's `Idempotency-Key`, written with its call: for a day the same request is answered with that call."""

    application = models.ForeignKey(Application, on_delete=models.CASCADE, db_index=False)
    key = models.CharField(max_length=255)
    body_digest = models.BinaryField(max_length=32, help_text="SHA-256 of the request's bytes")
    call = models.OneToOneField(Call, on_delete=models.CASCADE)
    created_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["application", "key"], name="idempotency_key_once")]
        indexes = [models.Index(fields=["created_at"], name="idempotency_key_age")]

    def __str__(self) -> str:
        return self.key


class Refusal(models.Model):
    """Calls of one customer refused with one code in one minute: a line for support, however many there were."""

    customer = models.ForeignKey(Customer, on_delete=models.CASCADE, db_index=False)
    code = models.CharField(max_length=40)
    minute = models.DateTimeField()
    count = models.PositiveIntegerField(default=1)
    last_number = models.CharField(max_length=16)
    last_message = models.CharField(max_length=200)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["customer", "code", "minute"], name="refusal_line_once")]
        indexes = [models.Index(fields=["customer", "-minute"], name="refusal_of_customer")]

    def __str__(self) -> str:
        return f"{self.code} at {self.minute:%Y-%m-%d %H:%M}"


class Attempt(models.Model):
    """One try over one trunk. Its channel id is committed before the engine hears of it, and asked for once.

    An inbound call has one, of the trunk that it came in by: the engine has named its channel (`channel_name`).
    """

    class State(models.TextChoices):
        DUE = "due"
        CLAIMED = "claimed", "claimed, the engine is being asked"
        TAKEN = "taken"
        UNCLEAR = "unclear", "asked, no clear answer"
        ENDED = "ended"

    call = models.ForeignKey(Call, on_delete=models.CASCADE, related_name="attempts")
    number = models.PositiveSmallIntegerField()
    trunk = models.ForeignKey(Trunk, on_delete=models.PROTECT)
    channel_id = models.UUIDField(unique=True)
    channel_name = models.CharField(
        max_length=128, blank=True, default="", db_default="", help_text="the engine's own, of an inbound call"
    )
    state = models.CharField(max_length=8, choices=State.choices, default=State.DUE)
    due_at = models.DateTimeField()
    claimed_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    missed_at = models.DateTimeField(null=True, help_text="when a listing first lacked its channel")
    sip_code = models.PositiveSmallIntegerField(null=True)
    cause = models.PositiveSmallIntegerField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["call", "number"], name="attempt_number_once"),
            models.UniqueConstraint(fields=["call"], name="attempt_one_open", condition=~Q(state="ended")),
            models.CheckConstraint(
                condition=Q(state="due", claimed_at=None)
                | Q(state__in=["claimed", "taken", "unclear"], claimed_at__isnull=False)
                | Q(state="ended", ended_at__isnull=False),
                name="attempt_state_has_times",
            ),
        ]
        indexes = [
            models.Index(fields=["due_at"], name="attempt_due", condition=Q(state="due")),
            models.Index(fields=["trunk", "claimed_at"], name="attempt_of_trunk"),
            models.Index(fields=["trunk"], name="attempt_open", condition=Q(state__in=["claimed", "taken", "unclear"])),
        ]

    def __str__(self) -> str:
        return f"{self.call_id} attempt {self.number}"

    @property
    def channel(self) -> str:
        """What the engine calls the channel."""
        return self.channel_name or str(self.channel_id)


class CallEvent(models.Model):
    """One line of a call's timeline: insert only, for people to read."""

    call = models.ForeignKey(Call, on_delete=models.CASCADE, related_name="timeline")
    at = models.DateTimeField()
    kind = models.CharField(max_length=32)
    data = models.JSONField(default=dict)

    class Meta:
        indexes = [models.Index(fields=["call", "id"], name="call_event_of_call")]

    def __str__(self) -> str:
        return f"{self.kind} at {self.at}"


class Flow(models.Model):
    """Where a live call stands in its instructions; deleted when the call ends."""

    call = models.OneToOneField(Call, on_delete=models.CASCADE, primary_key=True)
    url = models.CharField(max_length=2048, blank=True, help_text="where the document comes from")
    method = models.CharField(max_length=4, default="POST")
    reason = models.CharField(max_length=12, default="answer", help_text="what the request for it says")
    actions = models.JSONField(null=True, help_text="the running document; null while it is being fetched")
    position = models.PositiveSmallIntegerField(default=0, help_text="index of the action that runs")
    redirects = models.PositiveSmallIntegerField(default=0)
    gathers = models.PositiveSmallIntegerField(default=0, help_text="call.gathered events so far")
    gathered = models.JSONField(default=dict, help_text="what the last gather brought, for the next request")
    generation = models.PositiveIntegerField(default=0, db_default=0, help_text="how often it was replaced by the API")
    running = models.PositiveIntegerField(default=0, db_default=0, help_text="the generation that runs")

    def __str__(self) -> str:
        return f"{self.call_id} at {self.position}"


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


class Reconciliation(models.Model):
    """One comparison of the books, kept as it was found."""

    ran_at = models.DateTimeField()
    differences_found = models.PositiveIntegerField()
    differences = models.JSONField(default=list, help_text="the first of them; see calls.books.Difference")

    def __str__(self) -> str:
        return f"{self.ran_at:%Y-%m-%d %H:%M}: {self.differences_found} differences"
