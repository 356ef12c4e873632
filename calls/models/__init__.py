"""A call, each attempt to place it, its timeline, where it stands in its instructions, and what is recorded of it."""

from calls.models.asking import IdempotencyKey, Refusal
from calls.models.attempt import Attempt
from calls.models.call import EXTEND_BEFORE, FINAL, LIVE, WAYS, Call, Party, Reason, Status
from calls.models.figures import AuditRun, KeptSince, Reconciliation, UsageDay
from calls.models.following import CallEvent, Conference, Flow
from calls.models.recording import Recording

__all__ = [
    "EXTEND_BEFORE",
    "FINAL",
    "LIVE",
    "WAYS",
    "Attempt",
    "AuditRun",
    "Call",
    "CallEvent",
    "Conference",
    "Flow",
    "IdempotencyKey",
    "KeptSince",
    "Party",
    "Reason",
    "Reconciliation",
    "Recording",
    "Refusal",
    "Status",
    "UsageDay",
]
