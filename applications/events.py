"""The events an application can be sent. `DOCUMENTED` are always made, `CHOSEN` for those that list them."""

DOCUMENTED = frozenset(
    {
        "call.created",
        "call.answered",
        "call.gathered",
        "call.completed",
        "call.failed",
        "call.canceled",
        "recording.started",
        "recording.completed",
        "recording.failed",
    }
)
CHOSEN = frozenset({"call.ringing", "call.settled", "ai.completed", "balance.low"})
