"""Where a call stands in its instructions, on disk: one statement a step, so that another process can go on."""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db import connection, transaction

from calls import gathering, lifecycle, rows, timeline
from calls.flow.document import Action
from calls.models import LIVE, Call, Conference, Flow
from minivoice import errors
from minivoice.prepared import Statement

MOST_VARIABLES = 50  # of one call
MOST_VARIABLE_BYTES = 16 * 1024  # of all of them as JSON: each event of the call carries them


class FlowEnded(Exception):
    """The call has ended, and its flow with it, or other instructions have taken its place."""


def load(call_id: int) -> Flow | None:
    """Return the flow of a live call with its call, or None when it has none (any more)."""
    return rows.flow(call_id)


def refresh(flow: Flow) -> None:
    """Read the call and its application as they are now: answered perhaps, with another secret, another fallback.

    Raises FlowEnded.
    """
    now = load(flow.pk)
    if now is None:
        raise FlowEnded
    flow.call = now.call


def replace(*, call_id: int, actions: Sequence[Action] | None, url: str, method: str, now: datetime) -> None:
    """Put other instructions in the place of a live call's: `actions`, or what `url` is to answer.

    The switchboard begins them within a second; a call that is not answered yet begins with them. Raises
    CallAlreadyEnded, also for one that is being hung up: it would never begin them.
    """
    with transaction.atomic():
        call = Call.objects.select_for_update(no_key=True).get(pk=call_id)
        if call.is_final or call.intent:
            raise errors.CallAlreadyEnded
        if not call.is_instructed:
            raise errors.InvalidRequest("the leg of a call follows no instructions, but its call does")
        flow, _ = Flow.objects.select_for_update().get_or_create(call=call)
        flow.url, flow.method, flow.reason = url, method, "redirect"
        flow.actions = None if actions is None else [[action.name, action.params] for action in actions]
        flow.position, flow.leg, flow.generation = 0, None, flow.generation + 1
        flow.save()
        timeline.add(
            call, "instructions_replaced", at=now, **({"url": url} if url else {"actions": len(actions or [])})
        )


def begun(flow: Flow) -> bool:
    """Note that this generation of a call's instructions runs; False when there is a newer one already."""
    if flow.running == flow.generation:
        return True
    return bool(Flow.objects.filter(pk=flow.pk, generation=flow.generation).update(running=flow.generation))


def must_be_newest(flow: Flow) -> None:
    """Raise FlowEnded when the call has ended, or follows other instructions by now."""
    with connection.cursor() as cursor:
        _IS_NEWEST.run(cursor, [flow.pk, flow.generation])
        if cursor.fetchone() is None:
            raise FlowEnded


def asked(flow: Flow, *, url: str, method: str, reason: str, redirects: int) -> None:
    """Note that a document is being fetched: it replaces what is left of the running one."""
    _write(flow, url=url, method=method, reason=reason, redirects=redirects, actions=None, position=0)


def received(flow: Flow, actions: Sequence[Action], *, now: datetime, **line: Any) -> None:
    """Keep the document that came; its first action is next."""
    with transaction.atomic():
        _write(flow, actions=[[action.name, action.params] for action in actions], position=0)
        timeline.add(flow.call, "answer_url_answered", at=now, url=flow.url, actions=len(actions), **line)


def stepped(flow: Flow, position: int, *, now: datetime, action: str) -> None:
    """Note that the action at `position` begins."""
    flow.position = position
    line = json.dumps({"action": action, "position": position})
    with connection.cursor() as cursor:
        _STEP.run(cursor, [position, flow.call_id, flow.generation, flow.call_id, now, "action_started", line])
        if not cursor.rowcount:
            raise FlowEnded


def dialled(flow: Flow, leg: Call) -> None:
    """Note, in the transaction that admits it, the leg of the running action: it has no other.

    Raises FlowEnded, as `_write`, and when the call is to end.
    """
    call = rows.lock(flow.call_id)
    if call.is_final or call.intent:
        raise FlowEnded
    _write(flow, leg=leg)


def bridged(flow: Flow, status: str) -> None:
    """Keep what came of a bridge, for the requests to come."""
    _write(flow, bridge_status=status)


def fell_back(flow: Flow, status: str, actions: Sequence[Sequence[Any]]) -> None:
    """Put the fallback of a bridge that came to nothing in the place of what is left; its leg is past."""
    _write(flow, bridge_status=status, leg=None, actions=[list(action) for action in actions], position=0)


def entered(flow: Flow, conference: Conference, *, is_host: bool, now: datetime) -> None:
    """Note the conference that the call is in."""
    _write(flow, conference=conference, is_host=is_host, entered_at=now)


def left(flow: Flow, *, position: int) -> None:
    """Note that the call is in no conference any more, and where it goes on."""
    _write(flow, conference=None, is_host=False, entered_at=None, position=position)


def gathered(flow: Flow, outcome: dict[str, Any], *, kept: dict[str, Any], is_last: bool, now: datetime) -> None:
    """Publish what a gather brought, keep of it what the next request is told, and go past it, or past all.

    The call's row is locked before the flow's, as when a call ends.
    """
    with transaction.atomic():
        occurrence = flow.gathers + 1
        position = len(flow.actions or []) if is_last else flow.position + 1
        lifecycle.tell(call_id=flow.call_id, event=gathering.EVENT, data=outcome, occurrence=occurrence, now=now)
        _write(flow, gathers=occurrence, gathered=kept, position=position)
        timeline.add(flow.call, "gathered", at=now, **outcome)


def set_variables(flow: Flow, variables: Mapping[str, Any]) -> bool:
    """Add to the call's variables, or replace; False, and nothing changes, when there would be too much of them."""
    merged = {**flow.call.variables, **variables}
    size_bytes = len(json.dumps(merged, ensure_ascii=False).encode())
    if len(merged) > MOST_VARIABLES or size_bytes > MOST_VARIABLE_BYTES:
        return False
    _keep_variables(flow, merged)
    return True


def remove_variables(flow: Flow, names: Iterable[str]) -> None:
    """Take variables away from the call."""
    gone = set(names)
    _keep_variables(flow, {name: value for name, value in flow.call.variables.items() if name not in gone})


def held(flow: Flow, *, is_held: bool) -> None:
    """Note whether music is to play whenever nothing else does."""
    _write(flow, is_held=is_held)


def muted(flow: Flow, directions: str) -> None:
    """Note what is not carried: 'in', 'out', 'both' or ''."""
    _write(flow, muted=directions)


def note(call: Call, kind: str, *, now: datetime, **data: Any) -> None:
    """Write a line that changes nothing."""
    timeline.add(call, kind, at=now, **data)


def _keep_variables(flow: Flow, variables: dict[str, Any]) -> None:
    """Only the flow of a call changes its variables, so that what is read is what is there."""
    if not Call.objects.filter(LIVE, pk=flow.pk).update(variables=variables):
        raise FlowEnded
    flow.call.variables = variables


def _write(flow: Flow, **values: Any) -> None:
    """Set columns of the row and of `flow`. Raises FlowEnded when the row is gone, and the call with it, or another's.

    What the API has replaced must not be written over: a newer generation is begun by the next tick.
    """
    if not Flow.objects.filter(pk=flow.pk, generation=flow.generation).update(**values):
        raise FlowEnded
    for name, value in values.items():
        setattr(flow, name, value)


_IS_NEWEST = Statement("SELECT FROM calls_flow WHERE call_id = %s AND generation = %s")

_STEP = Statement("""
WITH step AS (UPDATE calls_flow SET position = %s WHERE call_id = %s AND generation = %s RETURNING 1)
INSERT INTO calls_callevent (call_id, at, kind, data) SELECT %s, %s, %s, %s::jsonb FROM step
""")
