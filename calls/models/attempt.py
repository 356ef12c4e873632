"""Each try to place a call."""

from django.db import models
from django.db.models import Q

from calls.models.call import Call
from telephony.models import Trunk


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
