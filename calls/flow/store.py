"""Where a call stands in its instructions, on disk: one statement a step, so that another process can go on."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db import connection, transaction

from calls import lifecycle, timeline
from calls.flow.document import Action
from calls.models import Call, Flow


def load(call_id: int) -> Flow | None:
    """Return the flow of a live call with its call, or None when it has none (any more)."""
    flows = Flow.objects.select_related("call__application", "call__customer", "call__trunk")
    return flows.filter(pk=call_id).first()


def asked(flow: Flow, *, url: str, method: str, reason: str, redirects: int) -> None:
    """Note that a document is being fetched: it replaces what is left of the running one."""
    flow.url, flow.method, flow.reason, flow.redirects = url, method, reason, redirects
    flow.actions, flow.position = None, 0
    flow.save(update_fields=["url", "method", "reason", "redirects", "actions", "position"])


def received(flow: Flow, actions: Sequence[Action], *, now: datetime, **line: Any) -> None:
    """Keep the document that came; its first action is next."""
    flow.actions, flow.position = [[action.name, action.params] for action in actions], 0
    with transaction.atomic():
        flow.save(update_fields=["actions", "position"])
        timeline.add(flow.call, "answer_url_answered", at=now, url=flow.url, actions=len(actions), **line)


def stepped(call_id: int, position: int, *, now: datetime, line: dict[str, Any]) -> None:
    """Note that the action at `position` begins."""
    with connection.cursor() as cursor:
        cursor.execute(_STEP, [position, call_id, call_id, now, "action_started", json.dumps(line)])


def gathered(flow: Flow, outcome: dict[str, Any], *, kept: dict[str, Any], now: datetime) -> None:
    """Publish what a gather brought, and keep of it what the next request is told."""
    flow.gathers += 1
    flow.gathered = kept
    with transaction.atomic():
        lifecycle.tell(call_id=flow.call_id, event="call.gathered", data=outcome, occurrence=flow.gathers, now=now)
        flow.save(update_fields=["gathers", "gathered"])
        timeline.add(flow.call, "gathered", at=now, **outcome)


def note(call: Call, kind: str, *, now: datetime, **data: Any) -> None:
    """Write a line that changes nothing."""
    timeline.add(call, kind, at=now, **data)


_STEP = """
WITH step AS (UPDATE calls_flow SET position = %s WHERE call_id = %s RETURNING 1)
INSERT INTO calls_callevent (call_id, at, kind, data) SELECT %s, %s, %s, %s::jsonb FROM step
"""
