"""What a customer asks of calls."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any, NamedTuple
from uuid import uuid4

from django.conf import settings
from django.db import IntegrityError, InterfaceError, OperationalError, connection, models, transaction

from applications.keys import Caller
from calls import admission, dialing, idempotency, refusals, rows, telling
from calls.flow import store
from calls.flow.document import Action
from calls.models import Attempt, Call, CallEvent, Party, Reason
from minivoice import api, errors, ids, logs, nudge
from minivoice.crash import crashpoint
from minivoice.prepared import Statement
from telephony.engines.facts import Answer

QUEUE_TIME = timedelta(seconds=50)
_waiting_places = threading.BoundedSemaphore(settings.WAITING_PLACES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A call as a customer orders it. `answer_url` '' means the application's; times in seconds.

    `trunk_id` names the trunk that is tried out by it: it takes no other.
    """

    from_number: str
    to_number: str
    metadata: dict[str, Any]
    answer_url: str
    ring_seconds: int
    max_duration_seconds: int
    trunk_id: int | None = None


class Placed(NamedTuple):
    """What came of an order: its call, and whether an earlier request with the same key had placed it."""

    call: Call
    is_replay: bool = False


def place(
    *, caller: Caller, order: Order, request_id: str, now: datetime, key: idempotency.Key | None = None
) -> Placed:
    """Admit a call and commit it with its hold, its first attempt and its `call.created`; return it, queued.

    With a `key` that placed a call within the last day, that call is returned and nothing happens. Raises the
    ApiError of the first check that refuses, which is noted in the log of refusals, or of the key's misuse;
    nothing else has changed then.
    """
    try:
        placed = _admitted(caller, order, request_id, key, now)
    except _Refused as refused:
        refusals.note(customer_id=caller.customer.pk, number=order.to_number, refusal=refused.error, now=now)
        raise refused.error from None
    crashpoint("call_committed")
    logs.call_id.set(placed.call.public_id)
    return placed


def explain(*, caller: Caller, order: Order, now: datetime) -> admission.Facts:
    """Return the facts by which this very order would be judged now, having changed nothing."""
    with transaction.atomic():
        return _read(caller, order, now)


def await_engine(call: Call) -> Call:
    """Wake a dialler and wait a little for the engine's word on `call`; return it as it then is.

    Waits at most ORIGINATE_WAIT_SECONDS, in one of the process's WAITING_PLACES, with no transaction open; the call
    goes on by itself whatever comes of it. Raises OriginateFailed when the engine would take it on no trunk.
    """
    if not nudge.wake("calls.dial") or not _waiting_places.acquire(blocking=False):
        return call
    try:
        word = nudge.wait(dialing.topic(call.public_id), settings.ORIGINATE_WAIT_SECONDS)
    finally:
        _waiting_places.release()
    if word == Answer.REFUSED:
        raise errors.OriginateFailed(extra={"call_id": call.public_id})
    if word is None:
        return call
    try:
        return rows.read(call.pk)
    except (OperationalError, InterfaceError):
        return call  # it is committed: an error now would have the client create another


def find(application_id: int, public_id: str) -> Call:
    """Return an application's call. Raises Call.DoesNotExist for another's as for one that never was."""
    calls = Call.objects.filter(application_id=application_id).select_related("application", "customer", "trunk")
    return api.find(calls, public_id=public_id)


def instruct(
    *, call: Call, actions: Sequence[Action] | None = None, url: str = "", method: str = "", now: datetime
) -> Call:
    """Have a live call follow other instructions: `actions`, or what `url` answers; return it as it then is.

    Raises CallAlreadyEnded.
    """
    method = method or call.application.answer_method
    store.replace(call_id=call.pk, actions=actions, url=url, method=method, now=now)
    return find(call.application_id, call.public_id)


def hang_up(*, call: Call, now: datetime) -> Call:
    """End a live call by the customer's wish, or cancel one not yet answered; return it as it then is.

    A call that has ended stays as it is.
    """
    dialing.hang_up(call=call, reason=Reason.CANCELED, by=Party.API, now=now)
    return find(call.application_id, call.public_id)


class _Refused(Exception):
    """A check refuses the call: the transaction is rolled back, and the refusal noted after it."""

    def __init__(self, error: errors.ApiError) -> None:
        super().__init__(error.code)
        self.error = error


def _read(caller: Caller, order: Order, now: datetime) -> admission.Facts:
    return admission.read(
        customer=caller.customer,
        caller_id=order.from_number,
        to=order.to_number,
        max_duration_seconds=order.max_duration_seconds,
        trunk_id=order.trunk_id,
        now=now,
    )


def _admitted(caller: Caller, order: Order, request_id: str, key: idempotency.Key | None, now: datetime) -> Placed:
    try:
        return _admit(caller, order, request_id, key, now)
    except IntegrityError as error:
        if "public_id" not in str(error) and "billing_hold_key" not in str(error):
            raise
        return _admit(caller, order, request_id, key, now)  # two ids met in one microsecond: take others


def _admit(caller: Caller, order: Order, request_id: str, key: idempotency.Key | None, now: datetime) -> Placed:
    application_id = caller.application.pk
    with transaction.atomic():
        if key and (placed := idempotency.find(application_id=application_id, key=key, now=now)):
            return Placed(placed, is_replay=True)
        facts = _read(caller, order, now)
        crashpoint("admission_read")
        refusal = admission.refusal(facts)
        if refusal is not None:
            raise _Refused(refusal)
        call = _compose(caller, order, facts, request_id)
        if not admission.hold(facts, key=call.public_id):
            raise _Refused(errors.InsufficientBalance())
        crashpoint("hold_taken")
        _insert(call, facts)
        if key:
            idempotency.keep(application_id=application_id, key=key, call=call)
        crashpoint("call_written")
        telling.created(call, now=facts.accepted_at)
        crashpoint("admission_before_commit")
    return Placed(call)


def _compose(caller: Caller, order: Order, facts: admission.Facts, request_id: str) -> Call:
    return Call(
        public_id=ids.new("call", facts.accepted_at),
        customer=caller.customer,
        application=caller.application,
        from_number=order.from_number,
        to_number=order.to_number,
        metadata=order.metadata,
        answer_url=order.answer_url or caller.application.answer_url,
        ring_seconds=order.ring_seconds,
        max_duration_seconds=order.max_duration_seconds,
        is_trunk_test=order.trunk_id is not None,
        request_id=request_id,
        accepted_at=facts.accepted_at,
        deadline_at=facts.accepted_at + QUEUE_TIME,
        events=1,
        **admission.promise(facts),
    )


def _insert(call: Call, facts: admission.Facts) -> None:
    """Insert the call, its first attempt and its first line in one statement: the hottest write there is."""
    at = facts.accepted_at
    attempt = Attempt(
        number=1, trunk_id=facts.routes[0].trunk_id, channel_id=uuid4(), state=Attempt.State.DUE, due_at=at
    )
    line = CallEvent(at=at, kind="accepted", data={"request_id": call.request_id, **admission.line(facts)})
    values = [*_values(call), *_values(attempt), *_values(line)]
    with connection.cursor() as cursor:
        _insertion().run(cursor, values)
        (call.pk,) = cursor.fetchone()


def _values(row: models.Model) -> list[Any]:
    return [field.get_db_prep_save(getattr(row, field.attname), connection) for field in _columns(type(row))]


@cache
def _columns(model: type[models.Model]) -> list[Any]:
    """The columns that an insert names: all but the key, and but the call a new row is joined to."""
    fields = model._meta.concrete_fields  # noqa: SLF001  Django's documented way to a model's columns
    return [field for field in fields if not field.primary_key and field.name != "call"]


@cache
def _insertion() -> Statement:
    def names(model: type[models.Model]) -> str:
        return ", ".join(connection.ops.quote_name(field.column) for field in _columns(model))

    def places(model: type[models.Model]) -> str:
        return ", ".join("%s" for _ in _columns(model))

    return Statement(f"""
    WITH call AS (INSERT INTO calls_call ({names(Call)}) VALUES ({places(Call)}) RETURNING id),
    attempt AS (INSERT INTO calls_attempt (call_id, {names(Attempt)}) SELECT id, {places(Attempt)} FROM call),
    line AS (INSERT INTO calls_callevent (call_id, {names(CallEvent)}) SELECT id, {places(CallEvent)} FROM call)
    SELECT id FROM call
    """)  # noqa: S608  names of our own columns
