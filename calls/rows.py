"""The rows of a call as its life reads, locks and writes them: the hottest statements after those of a create.

Each is composed once, and planned once per connection (`minivoice.prepared`).
"""

from datetime import datetime

from django.db import connection

from applications.models import Application, Customer
from calls import channels
from calls.models import FINAL, Attempt, Call, Flow, Recording
from minivoice import logs
from minivoice.prepared import Rows, Statement, Update
from telephony.models import Trunk


def glance(channel_id: str) -> tuple[Attempt, Call] | None:
    """Return what there is to know before anything is locked of the attempt with this channel, and of its call.

    None for a channel that is not ours. Few columns are read: those that `lifecycle.record` looks at.
    """
    found = _GLANCE.one([channels.key(channel_id)])
    return (found[0], found[1]) if found else None


def lock(call_id: int) -> Call:
    """Lock a call's row. Rows that refer to it may still be written, or they and its end could wait for each other.

    Raises Call.DoesNotExist.
    """
    return _locked(_CALL, call_id)


def lock_with_attempt(attempt_id: int) -> tuple[Call, Attempt]:
    """Lock an attempt's call and then the attempt: in this order everywhere. Log lines tell of that call from here on.

    Raises Call.DoesNotExist.
    """
    call = _locked(_CALL_OF_ATTEMPT, attempt_id)
    logs.call_id.set(call.public_id)
    found = _ATTEMPT.one([attempt_id])
    if found is None:
        raise Attempt.DoesNotExist
    attempt: Attempt = found[0]
    return call, attempt


def lock_with_recording(recording_id: int) -> Recording:
    """Lock a recording's call and then the recording; return it with its call, of which log lines tell from here on.

    Raises Call.DoesNotExist.
    """
    call = _locked(_CALL_OF_RECORDING, recording_id)
    logs.call_id.set(call.public_id)
    found = _RECORDING.one([recording_id])
    if found is None:
        raise Recording.DoesNotExist
    recording: Recording = found[0]
    recording.call = call
    return recording


def lock_open_attempt(call_id: int) -> Attempt | None:
    """Lock the attempt of a locked call that has not ended: it has one at most. None when all have."""
    found = _OPEN_ATTEMPT.one([call_id])
    return found[0] if found else None


def read(call_id: int) -> Call:
    """Return a call as it is, without a lock. Raises Call.DoesNotExist."""
    found = _UNLOCKED.one([call_id])
    if found is None:
        raise Call.DoesNotExist
    call: Call
    call, call.application, call.customer, trunk = found
    if call.trunk_id is not None:  # until it is dialled it has none, and `trunk` comes without values
        call.trunk = trunk
    return call


def flow(call_id: int) -> Flow | None:
    """Return where a live call stands in its instructions, with the call; None when it has none (any more)."""
    found = _FLOW.one([call_id])
    if found is None:
        return None
    flow: Flow
    flow, flow.call, flow.call.application, flow.call.customer = found
    return flow


def prove(call: Call, *, at: datetime) -> None:
    """Note that a live call was seen to be up `at` a moment, unless a later one is known."""
    with connection.cursor() as cursor:
        _PROVE.run(cursor, [at, call.pk, at])


def trunk_name(attempt: Attempt) -> str:
    """Return the public id of an attempt's trunk. Not read with the lock on the attempt: a join finds no row any more
    when it has waited for one whose trunk then changed.
    """
    found = _TRUNK.one([attempt.trunk_id])
    return found[0].public_id if found else ""


def _locked(rows: Rows, key: int) -> Call:
    found = rows.one([key])
    if found is None:
        raise Call.DoesNotExist
    call: Call
    call, call.application, call.customer = found
    return call


DIALING = Update(Call, "status", "dialing_at", "provider_call_id", "trunk_id", "deadline_at")
RINGING = Update(Call, "status", "ringing_at", "trunk_id", "deadline_at", "events")
ANSWER = Update(
    *(Call, "status", "answered_at", "trunk_id", "proven_at", "deadline_at", "extend_at", "intent", "events"),
)
INTENT = Update(Call, "intent", "intent_by", "deadline_at")
OUTCOME = Update(
    *(Call, "status", "ended_at", "end_reason", "hangup_by", "sip_code", "settled_at", "deadline_at", "extend_at"),
    *("events", "duration_seconds", "billable_seconds", "cost_amount", "overrun_amount"),
)
TAKEN = Update(Attempt, "state")
CLOSED = Update(Attempt, "state", "ended_at", "sip_code", "cause")

_GLANCE = Rows(
    """
    SELECT {attempt}, {call} FROM calls_attempt AS attempt JOIN calls_call AS call ON call.id = attempt.call_id
    WHERE attempt.channel_id = %s
    """,
    attempt=(Attempt, ("id", "call_id", "state")),
    call=(Call, ("id", "customer_id", "parent_id", "status", "ringing_at", "answered_at")),
)
_NAMED = (Trunk, ("id", "public_id"))  # what the API tells of a trunk
_ATTEMPT = Rows("SELECT {attempt} FROM calls_attempt AS attempt WHERE id = %s FOR UPDATE", attempt=Attempt)
_OPEN_ATTEMPT = Rows(
    "SELECT {attempt} FROM calls_attempt AS attempt WHERE call_id = %s AND state <> 'ended' FOR UPDATE",
    attempt=Attempt,
)
_TRUNK = Rows("SELECT {trunk} FROM telephony_trunk AS trunk WHERE id = %s", trunk=_NAMED)
_UNLOCKED = Rows(
    """
    SELECT {call}, {application}, {customer}, {trunk}
    FROM calls_call AS call
    JOIN applications_application AS application ON application.id = call.application_id
    JOIN applications_customer AS customer ON customer.id = call.customer_id
    LEFT JOIN telephony_trunk AS trunk ON trunk.id = call.trunk_id
    WHERE call.id = %s
    """,
    call=Call,
    application=Application,
    customer=Customer,
    trunk=_NAMED,
)
_FLOW = Rows(
    """
    SELECT {flow}, {call}, {application}, {customer}
    FROM calls_flow AS flow
    JOIN calls_call AS call ON call.id = flow.call_id
    JOIN applications_application AS application ON application.id = call.application_id
    JOIN applications_customer AS customer ON customer.id = call.customer_id
    WHERE flow.call_id = %s
    """,
    flow=Flow,
    call=Call,
    application=Application,
    customer=Customer,
)
_PROVE = Statement(f"""
    UPDATE calls_call SET proven_at = %s
    WHERE id = %s AND proven_at < %s AND status NOT IN ({", ".join(f"'{status}'" for status in sorted(FINAL))})
""")  # noqa: S608  words of our own
_RECORDING = Rows("SELECT {recording} FROM calls_recording AS recording WHERE id = %s FOR UPDATE", recording=Recording)
_CALL, _CALL_OF_ATTEMPT, _CALL_OF_RECORDING = (
    Rows(
        f"""
        SELECT {{call}}, {{application}}, {{customer}}
        FROM calls_call AS call
        JOIN applications_application AS application ON application.id = call.application_id
        JOIN applications_customer AS customer ON customer.id = call.customer_id
        WHERE call.id = {which} FOR NO KEY UPDATE OF call
        """,  # noqa: S608  words of our own
        call=Call,
        application=Application,
        customer=Customer,
    )
    for which in (
        "%s",
        "(SELECT call_id FROM calls_attempt WHERE id = %s)",
        "(SELECT call_id FROM calls_recording WHERE id = %s)",
    )
)
