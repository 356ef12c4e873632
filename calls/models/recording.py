"""What is recorded of a call."""

from django.db import models
from django.db.models import Q

from calls.models.call import Call
from minivoice.fields import PublicIdField


class Recording(models.Model):
    """One recording: of a whole call in two tracks, or a voicemail in one. `calls.recordings.progress` writes it.

    A track is what the party on the call's own channel says, or what it hears; its times are the engine's own.
    `due_at` is when a worker must look at the row next: to fetch what the engine has written, or to erase it.
    """

    class Kind(models.TextChoices):
        CALL = "call"
        VOICEMAIL = "voicemail"

    class State(models.TextChoices):
        STARTED = "started"
        COMPLETED = "completed"
        FAILED = "failed"
        DELETED = "deleted"

    class StorageType(models.TextChoices):
        LOCAL = "local", "a folder"
        S3 = "s3"

    public_id = PublicIdField("rec")
    call = models.ForeignKey(Call, on_delete=models.PROTECT, related_name="recordings", db_index=False)
    number = models.PositiveSmallIntegerField(help_text="which of the call's it is")
    kind = models.CharField(max_length=9, choices=Kind.choices)
    state = models.CharField(max_length=9, choices=State.choices, default=State.STARTED)
    storage_type = models.CharField(max_length=5, choices=StorageType.choices)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()
    said_started_at = models.DateTimeField(null=True)
    said_ended_at = models.DateTimeField(null=True)
    heard_started_at = models.DateTimeField(null=True, help_text="of a voicemail: never")
    heard_ended_at = models.DateTimeField(null=True)
    began_at = models.DateTimeField(null=True, help_text="when its start was told to the customer")
    ended_at = models.DateTimeField(null=True, help_text="when the engine stopped writing")
    due_at = models.DateTimeField(null=True)
    attempts = models.PositiveSmallIntegerField(default=0, help_text="to do what is due")
    duration_seconds = models.PositiveIntegerField(null=True)
    size_bytes = models.PositiveBigIntegerField(null=True)

    class Meta:
        permissions = [("listen_recording", "Can listen to recordings")]
        constraints = [
            models.UniqueConstraint(fields=["call", "number"], name="recording_number_once"),
            models.UniqueConstraint(fields=["call", "kind"], name="recording_one_live", condition=Q(ended_at=None)),
            models.CheckConstraint(
                condition=~Q(state="completed")
                | Q(ended_at__isnull=False, duration_seconds__isnull=False, size_bytes__isnull=False),
                name="recording_completed_is_known",
            ),
            models.CheckConstraint(
                condition=Q(state="started") | Q(ended_at__isnull=False), name="recording_final_has_ended"
            ),
        ]
        indexes = [
            models.Index(fields=["due_at"], name="recording_due", condition=Q(due_at__isnull=False)),
            models.Index(fields=["ended_at"], name="recording_kept", condition=Q(state="completed")),
        ]

    def __str__(self) -> str:
        return str(self.public_id)
