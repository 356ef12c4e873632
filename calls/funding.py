"""Money for calls that go on: the hold is extended before its last minute, then the engine's timer is moved.

In this order, so that no call runs past its money whatever dies in between: at worst it is cut early, and says so
(`cut_early`). The hold says what is paid for, the call's `funded_seconds` what the engine was told; where they differ
the timer is moved again. `extend_at` is schedule and lease at once. All moments of talk are the engine's, whose clock
is the one that a call is rated by, and cut by.
"""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from time import monotonic
from typing import Protocol

from django.db import InterfaceError, OperationalError, transaction

from billing import ledger
from calls import lifecycle, timeline
from calls.models import EXTEND_BEFORE, LIVE, Attempt, Call
from minivoice import money
from minivoice.crash import crashpoint
from telephony import link
from telephony.engines.facts import EngineError, EngineUnreachable

logger = logging.getLogger(__name__)

_EXTENSION_SECONDS = 120
_AGAIN = timedelta(seconds=5)  # after a refusal: a top-up counts for running calls
_PROMPT_SECONDS = 0.5  # a command that took longer may have moved the timer too far
_IN_HAND_SECONDS = 0.2  # of the last second: the clock that a moved timer counts from was read a moment before
_BATCH = 200

Clock = Callable[[], datetime]


class Warn(Protocol):
    """What says on a line that its call will be cut."""

    def __call__(self, channel_id: str, text: str, owner: str, /) -> None:
        """Have a customer's text said on a channel, some moments from now."""


def sweep(*, now: datetime, engine_now: datetime, warn: Warn, seconds: float = 1.0) -> int:
    """See to the money of each answered call that is due, for some seconds at most; return how many.

    `engine_now` is the same moment by the engine's clock. `warn` is asked to where customers want a cut announced.
    Raises EngineUnreachable when the engine does not answer.
    """
    began, count = monotonic(), 0

    def engine_clock() -> datetime:
        return engine_now + timedelta(seconds=monotonic() - began)

    due = Call.objects.filter(LIVE, extend_at__lte=engine_now, intent="").order_by("extend_at")
    for call_id, customer_id in list(due.values_list("pk", "customer_id")[:_BATCH]):
        if monotonic() - began >= seconds:
            break
        try:
            _see_to(call_id, customer_id, now, engine_clock, warn)
        except (OperationalError, InterfaceError, EngineUnreachable):
            raise
        except EngineError as error:
            logger.warning("the engine would not serve call %s, the sweep will try again: %s", call_id, error)
        except Exception:  # or one call would keep all others from their money
            logger.exception("no money could be found for call %s", call_id)
        count += 1
    return count


def _see_to(call_id: int, customer_id: int, now: datetime, engine_clock: Clock, warn: Warn) -> None:
    with transaction.atomic():
        account = ledger.lock(customer_id=customer_id, now=now)
        call = Call.objects.select_for_update(no_key=True).get(pk=call_id)
        if call.is_final or call.intent or call.answered_at is None:
            return
        funded_seconds, is_refused = _paid_seconds(call, account, engine_clock())
        # What has to be done after this transaction is due again in a moment, should it fail or never be reached.
        call.extend_at = engine_clock() + _AGAIN
        call.deadline_at = call.answered_at + timedelta(seconds=call.timer_for(funded_seconds)) + lifecycle.OVER_TIME
        call.save(update_fields=["extend_at", "deadline_at"])
        crashpoint("extension_before_commit")
    crashpoint("extended_before_timer")
    if funded_seconds > call.funded_seconds:
        _move_timer(call, funded_seconds, engine_clock)
    if is_refused:
        _warn(call, warn)


def _paid_seconds(call: Call, account: ledger.Account, engine_now: datetime) -> tuple[int, bool]:
    """Return the seconds of talk that the call's hold pays for, having extended it in its last minute, and whether
    more of it has been refused just now.
    """
    paid = ledger.funded_seconds(key=call.public_id)
    if call.answered_at is None or engine_now < call.answered_at + timedelta(seconds=paid) - EXTEND_BEFORE:
        return paid, False
    extension = ledger.extend(
        account=account,
        key=call.public_id,
        price=call.price,
        by_seconds=_EXTENSION_SECONDS,
        most_seconds=call.max_duration_seconds,
    )
    if extension is None:
        raise RuntimeError(f"{call.public_id} is live but its hold is closed")
    if extension.funded_seconds > paid:
        _tell(call, "hold_extended", extension, engine_now)
    elif extension.limited_by and not _is_known(call, extension):
        _tell(call, "extension_refused", extension, engine_now)
        return paid, True
    return extension.funded_seconds, False


def _tell(call: Call, kind: str, extension: ledger.Extension, at: datetime) -> None:
    limit = {"limited_by": extension.limited_by} if extension.limited_by else {}
    hold = money.text(extension.amount)
    timeline.add(call, kind, at=at, funded_seconds=extension.funded_seconds, hold=hold, **limit)


def _is_known(call: Call, refusal: ledger.Extension) -> bool:
    """Whether the timeline says last that this limit refused: it is said once, not at each try."""
    lines = call.timeline.filter(kind__in=["hold_extended", "extension_refused"]).order_by("-id")
    last = lines.values("kind", "data").first()
    return last is not None and (last["kind"], last["data"].get("limited_by")) == (
        "extension_refused",
        refusal.limited_by,
    )


def _warn(call: Call, warn: Warn) -> None:
    """Say on the line that the call will be cut, where its customer wants that said: after what is played already."""
    channel_id = _channel_id(call)
    if call.customer.funds_warning and channel_id is not None:
        warn(channel_id, call.customer.funds_warning, str(call.customer_id))


def _channel_id(call: Call) -> str | None:
    attempt = call.attempts.exclude(state=Attempt.State.ENDED).first()
    return None if attempt is None else attempt.channel


def _move_timer(call: Call, funded_seconds: int, engine_clock: Clock) -> None:
    """Have the engine end the call when what is paid for now is over; note that it knows."""
    channel_id = _channel_id(call)
    if channel_id is None or call.answered_at is None:
        return
    timer_seconds = min(call.timer_for(funded_seconds) + _IN_HAND_SECONDS, call.max_duration_seconds)
    ends_at = call.answered_at + timedelta(seconds=timer_seconds)
    began = engine_clock()
    if ends_at <= began:
        return  # the engine should have ended it; the sweep of what is overdue does
    link.adapter().set_timer(channel_id, seconds=(ends_at - began).total_seconds())
    crashpoint("timer_moved")
    if engine_clock() - began > timedelta(seconds=_PROMPT_SECONDS):
        return  # the timer counts from its setting, whenever that was: it is set again
    call.funded_seconds = funded_seconds
    due_at = call.extension_due_at
    extend_at = max(due_at, engine_clock() + _AGAIN) if due_at else None
    Call.objects.filter(LIVE, pk=call.pk).update(funded_seconds=funded_seconds, extend_at=extend_at)
