"""Conferences: rooms in which calls of one customer hear each other.

The rows say who is in which; the engine's bridge follows. A room is over when the last has left it, or a host: those
who are still in it are told by the next look, whatever died meanwhile. Who comes after that opens the room anew.
"""

from datetime import datetime

from django.db import connection, transaction
from django.db.models import Exists, F, OuterRef, Prefetch, Q, QuerySet

from calls.flow import store
from calls.models import Attempt, Conference, Flow
from telephony import link

_BATCH = 200
_CONFERENCE = F("call__flow__conference_id")


def enter(flow: Flow, *, room: str, is_host: bool, now: datetime) -> Conference:
    """Put a call into its customer's `room`, made if need be; return the conference, which may be over.

    A call that is in one already stays there. With `is_host` the conference ends when the call leaves it. Raises
    FlowEnded.
    """
    if flow.conference_id is not None:
        return Conference.objects.get(pk=flow.conference_id)
    with transaction.atomic():
        # The flow's row before the conference's, as when a call ends.
        if not Flow.objects.select_for_update().filter(pk=flow.pk, generation=flow.generation).exists():
            raise store.FlowEnded
        with connection.cursor() as cursor:
            cursor.execute(_ENTER, [flow.call.customer_id, room, now])
            (conference_id,) = cursor.fetchone()
        conference = Conference.objects.get(pk=conference_id)
        store.entered(flow, conference, is_host=is_host, now=now)
    return conference


def leave(flow: Flow, *, channel: str) -> None:
    """Take a call out of the conference that it is in, if any, for other instructions.

    Raises EngineError, FlowEnded.
    """
    if flow.conference is None:
        return
    link.adapter().bridges.remove(flow.conference.bridge_id, channel)
    left, ends = flow.conference, flow.is_host
    with transaction.atomic():
        store.left(flow, position=flow.position)
        if ends:
            Conference.objects.filter(pk=left.pk).update(is_over=True)


def under_way() -> QuerySet[Conference]:
    """Return the conferences that are up, the oldest first, with their customers, and with the calls of their `flows`.

    A flow says since when its call is in (`entered_at`), and whether the conference ends with it (`is_host`).
    """
    members = Prefetch("flows", Flow.objects.select_related("call").order_by("entered_at"))
    return Conference.objects.filter(is_over=False).select_related("customer").prefetch_related(members).order_by("id")


def sweep() -> list[tuple[str, int]]:
    """Part everybody in a conference that is over, which an empty one is from now on.

    Returns the channels of the calls that have to go on, each with the conference's primary key. Raises
    EngineUnreachable.
    """
    members = Flow.objects.filter(conference=OuterRef("pk"))
    due = Conference.objects.annotate(is_empty=~Exists(members)).filter(Q(is_over=True) | Q(is_empty=True))
    for conference in due.order_by("id")[:_BATCH]:
        if not conference.is_over and not _close_if_empty(conference):
            continue
        link.adapter().bridges.destroy(conference.bridge_id)
        if conference.is_empty:
            conference.delete()
    staying = Attempt.objects.filter(call__flow__conference__is_over=True).exclude(state=Attempt.State.ENDED)
    return [(attempt.channel, attempt.conference_id) for attempt in staying.annotate(conference_id=_CONFERENCE)]


def _close_if_empty(conference: Conference) -> bool:
    """Have nobody enter an empty conference any more. One who is about to has locked it, or is seen."""
    with transaction.atomic():
        free = Conference.objects.select_for_update(skip_locked=True).filter(pk=conference.pk)
        if not free.exists() or Flow.objects.filter(conference=conference).exists():
            return False
        free.update(is_over=True)
    return True


# The row is locked until the call is written down as being in it.
_ENTER = """
INSERT INTO calls_conference (customer_id, room, began_at, is_over) VALUES (%s, %s, %s, false)
ON CONFLICT (customer_id, room) WHERE NOT is_over DO UPDATE SET room = EXCLUDED.room RETURNING id
"""
