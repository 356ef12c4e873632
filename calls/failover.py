"""The next trunk, for a call that cannot have rung anybody yet."""

from datetime import datetime, timedelta
from uuid import uuid4

from django.db import transaction

from calls.models import Attempt, Call
from minivoice import nudge
from minivoice.crash import crashpoint
from telephony import routing

SETUP_TIME = timedelta(seconds=25)
MOST_ATTEMPTS = 3


def next_attempt(call: Call, attempt: Attempt, now: datetime) -> bool:
    """Make an attempt over the next trunk due, if there is one and the setup time is not over; return whether it is.

    `attempt` is the one that has failed. Needs the caller's transaction with the call's row locked.
    """
    tried = list(call.attempts.values_list("trunk_id", flat=True))
    first_claimed_at = call.attempts.order_by("number").values_list("claimed_at", flat=True)[0] or now
    if call.is_trunk_test or len(tried) >= MOST_ATTEMPTS or now >= first_claimed_at + SETUP_TIME:
        return False
    routes = routing.outbound_trunks(
        customer_id=call.customer_id,
        number=call.to_number,
        without=tried,
        is_own=attempt.trunk.customer_id is not None,  # or a carrier of ours would show a caller id nobody checked
    )
    if not routes:
        return False
    Attempt.objects.create(
        call=call, number=attempt.number + 1, trunk_id=routes[0].trunk_id, channel_id=uuid4(), due_at=now
    )
    crashpoint("next_trunk_due")
    transaction.on_commit(lambda: nudge.wake("calls.dial"))
    return True
