"""Where a call stands in its instructions, on disk: one statement a step, so that another process can go on."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db import connection, transaction

from applications.models import Application
from calls import lifecycle, timeline
from calls.flow.document import Action
from calls.models import Call, Flow
from minivoice import errors


class FlowEnded(Exception):
    """The call has ended, and its flow with it, or other instructions have taken its place."""


def load(call_id: int) -> Flow | None:
    """Return the flow of a live call with its call, or None when it has none (any more)."""
    flows = Flow.objects.select_related("call__application", "call__customer", "call__trunk")
    return flows.filter(pk=call_id).first()


def application_of(call: Call) -> Application:
    """Return the call's application as it is now: its secret may have been replaced since the call began."""
    return Application.objects.get(pk=call.application_id)


def replace(*, call_id: int, actions: Sequence[Action] | None, url: str, method: str, now: datetime) -> None:
    """Put other instructions in the place of a live call's: `actions`, or what `url` is to answer.

    The switchboard begins them within a second; a call that is not answered yet begins with them. Raises
    CallAlreadyEnded.
    """
    with transaction.atomic():
        call = Call.objects.select_for_update(no_key=True).get(pk=call_id)
        if call.is_final:
            raise errors.CallAlreadyEnded
        if not call.is_instructed:
            raise errors.InvalidRequest("a call that is forwarded follows no instructions, nor does its leg")
        flow, _ = Flow.objects.select_for_update().get_or_create(call=call)
        flow.url, flow.method, flow.reason = url, method, "redirect"
        flow.actions = None if actions is None else [[action.name, action.params] for action in actions]
        flow.position, flow.generation = 0, flow.generation + 1
        flow.save()
        timeline.add(
            call, "instructions_replaced", at=now, **({"url": url} if url else {"actions": len(actions or [])})
        )


def begun(flow: Flow) -> bool:
    """Note that this generation of a call's instructions runs; False when there is a newer one already."""
    if flow.running == flow.generation:
        return True
    return bool(Flow.objects.filter(pk=flow.pk, generation=flow.generation).update(running=flow.generation))


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
        cursor.execute(_STEP, [position, flow.call_id, flow.generation, flow.call_id, now, "action_started", line])
        if not cursor.rowcount:
            raise FlowEnded


def gathered(flow: Flow, outcome: dict[str, Any], *, kept: dict[str, Any], now: datetime) -> None:
    """Publish what a gather brought, keep of it what the next request is told, and go past it.

    The call's row is locked before the flow's, as when a call ends.
    """
    with transaction.atomic():
        occurrence = flow.gathers + 1
        lifecycle.tell(call_id=flow.call_id, event="call.gathered", data=outcome, occurrence=occurrence, now=now)
        _write(flow, gathers=occurrence, gathered=kept, position=flow.position + 1)
        timeline.add(flow.call, "gathered", at=now, **outcome)


def note(call: Call, kind: str, *, now: datetime, **data: Any) -> None:
    """Write a line that changes nothing."""
    timeline.add(call, kind, at=now, **data)


def _write(flow: Flow, **values: Any) -> None:
    """Set columns of the row and of `flow`. Raises FlowEnded when the row is gone, and the call with it, or another's.

    What the API has replaced must not be written over: a newer generation is begun by the next tick.
    """
    if not Flow.objects.filter(pk=flow.pk, generation=flow.generation).update(**values):
        raise FlowEnded
    for name, value in values.items():
        setattr(flow, name, value)


_STEP = """
WITH step AS (UPDATE calls_flow SET position = %s WHERE call_id = %s AND generation = %s RETURNING 1)
INSERT INTO calls_callevent (call_id, at, kind, data) SELECT %s, %s, %s, %s::jsonb FROM step
"""
