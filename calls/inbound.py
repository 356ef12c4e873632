"""Calls that come in: admitted under the same lock and limits as calls out, or refused and then no row.

The engine tells of a call as often as it likes: its channel is taken once.
"""

import logging
import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal

from django.conf import settings
from django.db import IntegrityError, transaction

from applications.models import Application
from billing.rating import Price
from calls import admission, channels, legs, lifecycle, reasons, refusals, telling, timeline
from calls.models import Attempt, Call, Flow, Status
from minivoice import errors, ids
from minivoice.crash import crashpoint
from telephony import inbound
from telephony.engines.facts import Arrival
from telephony.models import Number, Trunk

logger = logging.getLogger(__name__)

RING_SECONDS = 120  # that a caller may wait for an answer
MAX_DURATION_SECONDS = 14_400
FORWARDED_RING_SECONDS = 60  # at the number, or SIP URI, that calls are forwarded to
_ANONYMOUS = "anonymous"
_CALLER = re.compile(r"[A-Za-z0-9+*#_.-]{1,16}")
_NUMBER = re.compile(r"[1-9][0-9]{9,14}")  # international, its + left out
_SAY_EVERY = timedelta(minutes=1)
_CAUSES: Mapping[tuple[type[errors.ApiError], ...], int] = {
    (errors.AccountSuspended,): reasons.DECLINED,
    (errors.NotFound,): reasons.NO_SUCH_NUMBER,
    (errors.Unavailable,): reasons.CONGESTED,
    (errors.InsufficientBalance, errors.SpendControlExceeded): reasons.BUSY,
    (errors.ConcurrentCallLimitReached, errors.CpsLimitReached): reasons.BUSY,
}
_said_at: dict[str, datetime] = {}


class Refused(Exception):
    """The call is not taken, and nothing of it written; `cause` (Q.850) tells the caller why."""

    def __init__(self, cause: int) -> None:
        super().__init__(cause)
        self.cause = cause


def take(arrival: Arrival, *, channel: str, now: datetime) -> Call:
    """Return the call whose channel the engine calls `channel`: a new one, committed ringing, or the one that it is.

    Raises Refused.
    """
    known = _known(channel)
    if known is not None:
        return known
    trunk, number = _ends(arrival, now)
    try:
        try:
            return _admit(arrival, channel, trunk, number, now)
        except IntegrityError:  # taken a moment ago, or two ids met in one microsecond
            return _known(channel) or _admit(arrival, channel, trunk, number, now)
    except errors.ApiError as refusal:
        refusals.note(customer_id=number.customer_id, number=number.number_e164, refusal=refusal, now=now)
        raise Refused(_cause(refusal)) from None


def _known(channel: str) -> Call | None:
    attempt = Attempt.objects.filter(channel_id=channels.key(channel)).select_related("call").first()
    return attempt.call if attempt else None


def _ends(arrival: Arrival, now: datetime) -> tuple[Trunk, Number]:
    trunk = inbound.source(arrival.endpoint)
    if trunk is None:
        _tell_of_stranger(arrival.endpoint, now)
        raise Refused(reasons.NO_SUCH_NUMBER)
    number = inbound.reached(arrival.dialled, trunk=trunk)
    if number is None:
        raise Refused(reasons.NO_SUCH_NUMBER)
    if number.route_mode == Number.RouteMode.REJECT:
        raise Refused(reasons.DECLINED)
    return trunk, number


def _tell_of_stranger(endpoint: str, now: datetime) -> None:
    """Say so, once a minute: somebody may try for long."""
    if endpoint not in _said_at or now - _said_at[endpoint] >= _SAY_EVERY:
        _said_at[endpoint] = now
        logger.warning("calls from %s are refused: no trunk of this name takes calls", endpoint)


def _cause(refusal: errors.ApiError) -> int:
    return next((cause for kinds, cause in _CAUSES.items() if isinstance(refusal, kinds)), reasons.UNAVAILABLE)


def _admit(arrival: Arrival, channel: str, trunk: Trunk, number: Number, now: datetime) -> Call:
    _require_room()
    application = _application(number)
    with transaction.atomic():
        facts = admission.read_inbound(
            customer=number.customer,
            caller_id=_caller(arrival.caller),
            to=number.number_e164,
            price=_price(number),
            max_duration_seconds=MAX_DURATION_SECONDS,
            now=now,
        )
        refusal = admission.inbound_refusal(facts)
        if refusal is not None:
            raise refusal
        call = _compose(facts, application, trunk, number, channel)
        if not admission.hold(facts, key=call.public_id):
            raise errors.InsufficientBalance
        call.save(force_insert=True)
        Attempt.objects.create(
            call=call,
            number=1,
            trunk=trunk,
            channel_id=channels.key(channel),
            channel_name=channel,
            state=Attempt.State.TAKEN,
            due_at=facts.accepted_at,
            claimed_at=facts.accepted_at,
        )
        timeline.add(call, "accepted", at=facts.accepted_at, trunk=trunk.public_id, **admission.line(facts))
        telling.created(call, now=facts.accepted_at)
        if call.route_mode == Call.RouteMode.SIP:
            _forward(call, now)
        else:
            lifecycle.begin_flow(call)
        crashpoint("arrival_before_commit")
    crashpoint("arrival_committed")
    return call


def _require_room() -> None:
    """Raise Unavailable when the engine is full. Calls that come in at one moment may pass together: it is no lock."""
    states = [Attempt.State.CLAIMED, Attempt.State.TAKEN, Attempt.State.UNCLEAR]  # as their index has them
    if Attempt.objects.filter(state__in=states).count() >= settings.MOST_CALLS:
        raise errors.Unavailable("the telephone engine is full, try again shortly", retry_after_seconds=5)


def _application(number: Number) -> Application:
    """Return the application that a call belongs to. Raises NotFound when there is none that could instruct it."""
    if number.application is None or not number.application.is_active:
        raise errors.NotFound("the number has no application that is in use")
    return number.application


def _caller(text: str) -> str:
    """Return who calls, as E.164 where it is that but for the `+`; nothing that could not be told to others."""
    if _NUMBER.fullmatch(text):
        return f"+{text}"
    return text if _CALLER.fullmatch(text) else _ANONYMOUS


def _price(number: Number) -> Price:
    return Price(
        per_minute=Decimal(number.inbound_price_per_minute),
        connection_fee=Decimal(number.inbound_connection_fee),
        initial_increment=number.inbound_initial_increment,
        subsequent_increment=number.inbound_subsequent_increment,
        minimum_charge=Decimal(0),
    )


def _forward(call: Call, now: datetime) -> None:
    """Have a call follow one instruction, to be transferred. Its leg is admitted with it, or neither of them is.

    The leg shows the number that was called, which is the customer's own.
    """
    transfer = {"to": call.routing_target, "from": call.to_number, "timeout_seconds": FORWARDED_RING_SECONDS}
    flow = Flow.objects.create(call=call, actions=[["transfer", transfer]])
    legs.add(flow, to=call.routing_target, caller_id=call.to_number, ring_seconds=FORWARDED_RING_SECONDS, now=now)


def _compose(facts: admission.Facts, application: Application, trunk: Trunk, number: Number, channel: str) -> Call:
    return Call(
        public_id=ids.new("call", facts.accepted_at),
        customer=number.customer,
        application=application,
        direction=Call.Direction.INBOUND,
        from_number=facts.caller_id,
        to_number=number.number_e164,
        status=Status.RINGING,
        answer_url=application.answer_url,
        route_mode=number.route_mode,
        routing_target=number.routing_target,
        ring_seconds=RING_SECONDS,
        max_duration_seconds=MAX_DURATION_SECONDS,
        provider_call_id=channels.key(channel),
        trunk=trunk,
        accepted_at=facts.accepted_at,
        ringing_at=facts.accepted_at,
        deadline_at=facts.accepted_at + timedelta(seconds=RING_SECONDS),
        events=1,
        **admission.promise(facts),
    )
