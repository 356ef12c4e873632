"""What makes sure of what nudges and events only make fast: overdue calls, and the engine's own list of channels.

"The engine is unreachable" is never "the calls have ended": only a listing that lacks a channel, twice, ends its call;
or, when there are no listings any more, the certainty that the engine itself has ended it (`Absence`).
"""

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import F, Q, QuerySet
from django.db.utils import InterfaceError, OperationalError

from calls import channels, dialing, failover, lifecycle, reasons
from calls.models import LIVE, Attempt, Call, Party, Reason, Status
from telephony import link
from telephony.engines.facts import Channel, EngineError, EngineGone, EngineUnreachable, Fact, Kind

logger = logging.getLogger(__name__)

_CLAIM_GRACE = timedelta(seconds=10)  # an originate takes three seconds at most
_MISSED_FOR = timedelta(seconds=4)
_END_GRACE = timedelta(seconds=2)  # a list may be older than the end that was heard meanwhile
_DEAD_AFTER = timedelta(seconds=150)
_TIMER_GRACE = timedelta(seconds=60)
_BATCH = 200


def overdue(*, now: datetime) -> int:
    """End every call that has not moved on by its deadline; return how many were found. Stops when the engine is away.

    One that moves on after it was found, as by an answer, goes on.
    """
    count = 0
    for call in _late(now):
        reason = Reason(call.intent) if call.intent else _REASONS[Status(call.status)](call)
        by = Party(call.intent_by or Party.SYSTEM)
        logger.info("%s is overdue in status %s", call.public_id, call.status)
        with alone(call.public_id):
            if not dialing.hang_up(call=call, reason=reason, by=by, now=now, overdue_since=call.deadline_at):
                break
            count += 1
    return count


def instructed() -> list[tuple[str, int]]:
    """Return channel and call wherever instructions of the API wait to take the place of those that run."""
    waiting = Attempt.objects.filter(
        Q(call__status=Status.IN_PROGRESS) | Q(call__status=Status.RINGING, call__direction=Call.Direction.INBOUND),
        call__flow__generation__gt=F("call__flow__running"),
    ).exclude(state=Attempt.State.ENDED)
    return [(attempt.channel, attempt.call_id) for attempt in waiting]


def expired(*, now: datetime) -> int:
    """End the overdue calls that no engine was asked for: needs none. Return how many."""
    count = 0
    for call in _late(now, attempts__state=Attempt.State.DUE):  # a call has one attempt that has not ended, at most
        with alone(call.public_id):
            dialing.hang_up(call=call, reason=Reason.EXPIRED, by=Party.SYSTEM, now=now, overdue_since=call.deadline_at)
            count += 1
    return count


class Absence:
    """An engine that cannot be heard: since when its port refuses connections, and what that means for its calls."""

    def __init__(self) -> None:
        self._refused_since: datetime | None = None

    def look(self, *, now: datetime) -> int:
        """Ask whether the engine is there, and end the calls that cannot be up any more; return how many.

        One whose port has refused connections without a break for so long that no start of it can take is dead, and
        its calls with it. Any other failure proves nothing: there a call goes on until long after the engine's own
        timer has ended it.
        """
        try:
            link.adapter().ping()
        except EngineGone:
            self._refused_since = self._refused_since or now
        except EngineError:
            self._refused_since = None
        else:
            self._refused_since = None
        is_dead = self._refused_since is not None and now - self._refused_since >= _DEAD_AFTER
        asked = Attempt.objects.exclude(state__in=[Attempt.State.DUE, Attempt.State.ENDED])
        asked = asked.filter(claimed_at__lt=now - _CLAIM_GRACE).select_related("call")
        if not is_dead:
            asked = asked.filter(call__deadline_at__lt=now - _TIMER_GRACE)
        lost = [attempt for attempt in asked if is_dead or _timer_ends_at(attempt) < now - _TIMER_GRACE]
        for attempt in lost:
            with alone(attempt.call.public_id):
                lifecycle.lost(attempt_id=attempt.pk, customer_id=attempt.call.customer_id, now=now)
        return len(lost)


def reconcile(*, now: datetime, engine_now: datetime | None = None) -> list[Fact]:
    """Compare the engine's channels with ours; return the facts that went unheard, to be recorded after those that
    were heard and still wait: a channel's end may be among them. `engine_now` is the moment by the engine's clock,
    where that is known to be another than ours.

    Raises EngineUnreachable, having changed nothing, when there is no list.
    """
    listed = {channels.key(channel.id): channel for channel in link.adapter().channels()}
    attempts = list(Attempt.objects.exclude(state__in=[Attempt.State.DUE, Attempt.State.ENDED]).select_related("call"))
    present = [attempt for attempt in attempts if attempt.channel_id in listed]
    _prove(present, engine_now or now)
    missing = [attempt for attempt in attempts if attempt.channel_id not in listed]
    gone = [attempt.channel for attempt in missing if _is_gone(attempt, now)]
    lost = [Fact(kind=Kind.LOST, channel_id=channel, at=now) for channel in gone]
    others = set(listed) - {attempt.channel_id for attempt in attempts}
    _hang_up_strangers(others, ended_before=now - _END_GRACE)
    unheard = [fact for attempt in present for fact in _unheard(attempt, listed[attempt.channel_id], now)]
    waiting = [listed[key] for key in others if listed[key].arrival and listed[key].entered]
    return unheard + [_entered(channel, now) for channel in waiting] + lost


@contextmanager
def alone(what: str) -> Iterator[None]:
    """Let what fails for one call not stop those after it; a database or an engine that is away stops all."""
    try:
        yield
    except (OperationalError, InterfaceError, EngineUnreachable):
        raise
    except Exception:
        logger.exception("%s is left to the next sweep", what)


_REASONS = {
    Status.QUEUED: lambda call: Reason.EXPIRED,
    Status.DIALING: lambda call: Reason.UNREACHABLE,
    Status.RINGING: lambda call: Reason.NO_ANSWER,
    Status.IN_PROGRESS: reasons.timer_reason,
}


def _late(now: datetime, **which: object) -> QuerySet[Call]:
    return Call.objects.filter(LIVE, deadline_at__lte=now, **which).order_by("deadline_at")[:_BATCH]


def _timer_ends_at(attempt: Attempt) -> datetime:
    """Return when the engine by itself has ended an attempt's channel: its own timers need nobody."""
    call = attempt.call
    if call.answered_at is not None:
        return call.answered_at + timedelta(seconds=call.timer_seconds)
    # It may have been answered unheard at the last moment.
    waits_seconds = call.ring_seconds + call.timer_seconds
    return (attempt.claimed_at or call.accepted_at) + failover.SETUP_TIME + timedelta(seconds=waits_seconds)


def _prove(attempts: Iterable[Attempt], now: datetime) -> None:
    """Note that these channels were alive now: should their end be missed, they are billed to here."""
    Attempt.objects.filter(pk__in=[row.pk for row in attempts if row.missed_at]).update(missed_at=None)
    answered = [row.call_id for row in attempts if row.call.answered_at]
    Call.objects.filter(pk__in=answered, proven_at__lt=now).update(proven_at=now)


def _is_gone(attempt: Attempt, now: datetime) -> bool:
    """Whether a channel is missing again; one that is missing for the first time is noted."""
    if attempt.claimed_at is None or now - attempt.claimed_at < _CLAIM_GRACE:
        return False
    if attempt.missed_at is None:
        Attempt.objects.filter(pk=attempt.pk).update(missed_at=now)
        return False
    return now - attempt.missed_at >= _MISSED_FOR


def _unheard(attempt: Attempt, channel: Channel, now: datetime) -> list[Fact]:
    """Return the facts that the list proves and the call does not know."""
    facts = []
    if channel.state == "Up" and attempt.call.answered_at is None:
        answered_at = channel.answered_at
        facts.append(Fact(kind=Kind.ANSWERED, channel_id=channel.id, at=answered_at or now, answered_at=answered_at))
    elif channel.state == "Ringing" and attempt.call.ringing_at is None:
        facts.append(Fact(kind=Kind.RINGING, channel_id=channel.id, at=now))
    elif attempt.state != Attempt.State.TAKEN:
        lifecycle.taken(attempt_id=attempt.pk, now=now)
    if channel.entered:
        facts.append(_entered(channel, now))
    return facts


def _entered(channel: Channel, now: datetime) -> Fact:
    return Fact(kind=Kind.ENTERED, channel_id=channel.id, at=now, arrival=channel.arrival)


def _hang_up_strangers(keys: set[UUID], *, ended_before: datetime) -> None:
    """End channels of calls that had ended before the list: asked for late, or hung up while the engine was away."""
    ended = Attempt.objects.filter(state=Attempt.State.ENDED, ended_at__lt=ended_before)
    for attempt in ended.filter(channel_id__in=keys):
        logger.warning("channel %s outlived its call", attempt.channel)
        try:
            with alone(f"channel {attempt.channel}"):
                link.adapter().hang_up(attempt.channel)
        except EngineUnreachable as error:
            logger.warning("the next listing tells what outlives its call: %s", error)
            break
