"""Why a channel ended. In this order: what we ourselves asked for, the SIP code, the Q.850 cause, the far end."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from calls.models import Call, Party, Reason
from telephony.engines.facts import MEDIA_TIMEOUT_ON_HOLD_SECONDS, MEDIA_TIMEOUT_SECONDS, Fact, Kind

# Refusals that prove that no phone rang: the next trunk may try.
_NEXT_TRUNK = frozenset({401, 403, 407, 408, 480, 488, 500, 502, 503, 504})

TIMER = frozenset({Reason.MAX_DURATION, Reason.OUT_OF_FUNDS})  # the engine's own doing
_TIMER_SLACK_MILLISECONDS = 500

_SIP: Mapping[int, Reason] = {
    486: Reason.BUSY,
    600: Reason.BUSY,
    603: Reason.REJECTED,
    607: Reason.REJECTED,
    404: Reason.INVALID_NUMBER,
    410: Reason.INVALID_NUMBER,
    484: Reason.INVALID_NUMBER,
    604: Reason.INVALID_NUMBER,
    401: Reason.TRUNK_FAILED,
    403: Reason.TRUNK_FAILED,
    407: Reason.TRUNK_FAILED,
    488: Reason.TRUNK_FAILED,
}

# ITU-T Q.850, for engines and refusals that carry no SIP code.
_TRANSPORT_CAUSES = frozenset({3, 27, 34, 38, 41, 42, 44})
_CAUSES: Mapping[int, Reason] = {
    0: Reason.ENGINE_LOST,  # ended in good order, so it was answered, which went unheard
    16: Reason.ENGINE_LOST,
    1: Reason.INVALID_NUMBER,
    17: Reason.BUSY,
    18: Reason.NO_ANSWER,
    19: Reason.NO_ANSWER,
    21: Reason.REJECTED,
    22: Reason.INVALID_NUMBER,
    28: Reason.INVALID_NUMBER,
}


# Q.850 causes that the engine turns into the SIP answers to a caller who waits: 404, 603, 486, 480, 503.
NO_SUCH_NUMBER, DECLINED, BUSY, UNAVAILABLE, CONGESTED = 1, 16, 17, 19, 34
_REFUSALS: Mapping[Reason, int] = {
    Reason.BUSY: BUSY,
    Reason.INVALID_NUMBER: NO_SUCH_NUMBER,
    Reason.HANGUP: DECLINED,
    Reason.REJECTED: DECLINED,
    Reason.CANCELED: DECLINED,
}


@dataclass(frozen=True, slots=True)
class Ending:
    """How a call ended: why, by whom ('' when nobody in particular), with which SIP code, at which moment."""

    reason: Reason
    at: datetime
    by: Party | None = None
    sip_code: int | None = None


def proves_no_ring(fact: Fact, *, asked_at: datetime | None) -> bool:
    """Whether the end of a channel that never rang, as far as was heard, proves that nobody can have been rung.

    The engine was asked for it `asked_at`. It proves nothing where the ringing can have gone unheard.
    """
    if fact.heard_since is not None and asked_at is not None and asked_at <= fact.heard_since:
        return False
    if fact.sip_code is None:
        return fact.cause in _TRANSPORT_CAUSES
    return fact.sip_code in _NEXT_TRUNK


def explain(call: Call, fact: Fact) -> Ending:
    """Return how `call` ended, from the engine's word that its channel did."""
    if call.answered_at is not None:
        return _answered(call, fact)
    sip_code = fact.sip_code
    if call.intent:
        return Ending(Reason(call.intent), fact.at, Party(call.intent_by), sip_code)
    if call.direction == Call.Direction.INBOUND:
        return Ending(Reason.CALLER_HUNG_UP, fact.at, Party.CALLER, sip_code)
    if sip_code in {408, 480}:
        return Ending(_silence(call), fact.at, sip_code=sip_code)
    if sip_code is not None and sip_code >= 300:
        return Ending(_refusal(sip_code), fact.at, sip_code=sip_code)
    if fact.cause in _TRANSPORT_CAUSES:
        return Ending(Reason.TRUNK_FAILED, fact.at)
    reason = _CAUSES.get(fact.cause or 0, Reason.REJECTED)
    return Ending(_silence(call) if reason == Reason.NO_ANSWER else reason, fact.at)


def cause_for_caller(reason: Reason) -> int:
    """Return the Q.850 cause that tells a caller who waits for our answer why there will be none."""
    return _REFUSALS.get(reason, UNAVAILABLE)


def heard_until(call: Call, at: datetime) -> datetime:
    """Return when the far end of `call`, which the engine ended `at` for its silence, was heard last.

    Where that is within a second of the answer, it was never heard: the engine counts seconds.
    """
    last = call.timeline.filter(kind__in=[f"engine_{Kind.HELD}", f"engine_{Kind.RESUMED}"]).order_by("id").last()
    was_held = last is not None and last.kind == f"engine_{Kind.HELD}"
    heard_at = at - timedelta(seconds=MEDIA_TIMEOUT_ON_HOLD_SECONDS if was_held else MEDIA_TIMEOUT_SECONDS)
    if call.answered_at and heard_at - call.answered_at < timedelta(seconds=1):
        return call.answered_at
    return heard_at


def _answered(call: Call, fact: Fact) -> Ending:
    if call.intent == Reason.MEDIA_LOST:
        return Ending(Reason.MEDIA_LOST, heard_until(call, fact.at), Party.SYSTEM)
    if call.intent:
        return Ending(Reason(call.intent), fact.at, Party(call.intent_by))
    if call.talk_milliseconds(fact.at) >= call.timer_seconds * 1000 - _TIMER_SLACK_MILLISECONDS:
        return Ending(timer_reason(call), fact.at, Party.SYSTEM)
    if call.direction == Call.Direction.INBOUND:
        return Ending(Reason.CALLER_HUNG_UP, fact.at, Party.CALLER)
    return Ending(Reason.HANGUP, fact.at, Party.CALLEE)


def timer_reason(call: Call) -> Reason:
    """Return why the engine's timer ends `call`: its longest time, or its money."""
    return Reason.MAX_DURATION if call.is_funded_throughout else Reason.OUT_OF_FUNDS


def _silence(call: Call) -> Reason:
    return Reason.UNREACHABLE if call.ringing_at is None else Reason.NO_ANSWER


def _refusal(sip_code: int) -> Reason:
    if 500 <= sip_code <= 599:
        return Reason.TRUNK_FAILED
    return _SIP.get(sip_code, Reason.REJECTED)
