"""How calls were asked for: the keys of requests, and what was refused."""

from django.db import models

from applications.models import Application, Customer
from calls.models.call import Call


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
        verbose_name = "refused call"
        verbose_name_plural = "refused calls"
        constraints = [models.UniqueConstraint(fields=["customer", "code", "minute"], name="refusal_line_once")]
        indexes = [
            models.Index(fields=["customer", "-minute"], name="refusal_of_customer"),
            models.Index(fields=["code", "-minute"], name="refusal_of_code"),
            models.Index(fields=["-minute"], name="refusal_newest"),
        ]

    def __str__(self) -> str:
        return f"{self.code} at {self.minute:%Y-%m-%d %H:%M} UTC"
