"""What follows a call: its timeline, and where it stands in its instructions."""

from django.db import models

from applications.models import Customer
from calls.models.call import Call


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


class Conference(models.Model):
    """A room in which calls of one customer hear each other, from the first who enters until the last has left.

    One that is over is entered by nobody; it is deleted when those who were in it have gone on.
    """

    customer = models.ForeignKey(Customer, on_delete=models.CASCADE, related_name="conferences")
    room = models.CharField(max_length=64, help_text="what the customer's documents call it")
    began_at = models.DateTimeField()
    is_over = models.BooleanField(default=False, db_default=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["customer", "room"], condition=models.Q(is_over=False), name="one_conference_of_a_room"
            )
        ]

    def __str__(self) -> str:
        return self.room

    @property
    def bridge_id(self) -> str:
        """The engine's name for it."""
        return f"conference-{self.pk}"


class Flow(models.Model):
    """Where a live call stands in its instructions; deleted when the call ends."""

    call = models.OneToOneField(Call, on_delete=models.CASCADE, primary_key=True)
    url = models.CharField(max_length=2048, blank=True, help_text="where the document comes from")
    method = models.CharField(max_length=4, default="POST")
    reason = models.CharField(max_length=12, default="answer", help_text="what the request for it says")
    actions = models.JSONField(null=True, help_text="the running document; null while it is being fetched")
    position = models.PositiveSmallIntegerField(default=0, help_text="index of the action that runs")
    is_held = models.BooleanField(default=False, db_default=False, help_text="music plays when nothing else does")
    muted = models.CharField(max_length=4, default="", db_default="", help_text="in, out or both: what is not carried")
    redirects = models.PositiveSmallIntegerField(default=0)
    gathers = models.PositiveSmallIntegerField(default=0, help_text="call.gathered events so far")
    gathered = models.JSONField(default=dict, help_text="what the last gather brought, for the next request")
    leg = models.OneToOneField(
        Call, on_delete=models.SET_NULL, null=True, related_name="+", help_text="the call that the action has dialled"
    )
    bridge_status = models.CharField(
        max_length=20, default="", db_default="", help_text="what came of the last bridge, for later requests"
    )
    conference = models.ForeignKey(
        Conference, on_delete=models.PROTECT, null=True, related_name="flows", help_text="where the call is"
    )
    entered_at = models.DateTimeField(null=True, help_text="when it came in there")
    is_host = models.BooleanField(default=False, db_default=False, help_text="the conference ends when it leaves")
    generation = models.PositiveIntegerField(default=0, db_default=0, help_text="how often it was replaced by the API")
    running = models.PositiveIntegerField(default=0, db_default=0, help_text="the generation that runs")

    def __str__(self) -> str:
        return f"{self.call_id} at {self.position}"
