"""A test call: staff try one trunk, with a call of a customer that takes no other."""

from datetime import datetime

from django.db import transaction

from applications.keys import Caller
from applications.models import Application
from calls import commands, idempotency, refusals, timeline
from calls.flow import document, store
from calls.models import Call
from minivoice import errors, nudge
from telephony.models import Trunk

RING_SECONDS = 30
MAX_DURATION_SECONDS = 60
_SPOKEN = "This is a test call from MiniVoice. Goodbye."
_NO_KEY = 0


def place(
    *, trunk: Trunk, application: Application, from_number: str, to_number: str, token: str, now: datetime
) -> Call:
    """Place a call over `trunk` alone, which speaks a sentence and hangs up; return it, queued.

    It is the application's, like any that it orders itself: rated, limited, charged and told by webhooks. The same
    `token` with the same numbers places one call. Raises the ApiError that refuses it.
    """
    order = commands.Order(
        from_number=from_number,
        to_number=to_number,
        metadata={},
        answer_url="",
        ring_seconds=RING_SECONDS,
        max_duration_seconds=MAX_DURATION_SECONDS,
        trunk_id=trunk.pk,
    )
    caller = Caller(_NO_KEY, (), application, application.customer)
    key = idempotency.Key(f"test-call:{token}:{from_number}:{to_number}", b"")
    try:
        call = _place(trunk, caller, order, key, now)
    except errors.ApiError as refusal:  # whose line in the log went with the transaction
        refusals.note(customer_id=application.customer_id, number=to_number, refusal=refusal, now=now)
        raise
    nudge.wake("calls.dial")
    return call


def _place(trunk: Trunk, caller: Caller, order: commands.Order, key: idempotency.Key, now: datetime) -> Call:
    with transaction.atomic():
        call, is_replay = commands.place(caller=caller, order=order, request_id="", key=key, now=now)
        if not is_replay:
            timeline.add(call, "trunk_tested", at=call.accepted_at, trunk=trunk.public_id)
            actions = document.check({"actions": [{"say": {"text": _SPOKEN}}, {"hangup": {}}]})
            store.replace(call_id=call.pk, actions=actions, url="", method="POST", now=call.accepted_at)
    return call
