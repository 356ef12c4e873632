"""Pages of live calls keep themselves up to date: a question of one query, every few seconds, whether anything is new.

The question carries a signed token instead of a session, which would cost more queries than the answer: it tells
nothing but a version. What is new is fetched like any page, by whoever may see it.
"""

from typing import NamedTuple

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db import connection
from django.http import HttpRequest, JsonResponse
from django.urls import reverse

from calls.models import FINAL, Call
from minivoice import open_page

_QUESTION = "calls.admin.live"


class Version(NamedTuple):
    """What a call's page would show, as a word; `is_over`: it will change no more by itself."""

    word: str
    is_over: bool


def version(call_id: int, *, staff_id: int) -> Version | None:
    """Return the version of a call's page; None when the call is gone, or the staff member may sign in no more."""
    with connection.cursor() as cursor:
        cursor.execute(_VERSION, {"call": call_id, "staff": staff_id})
        row = cursor.fetchone()
    return row and Version(*row)


def address(call: Call, *, user: AbstractBaseUser | AnonymousUser) -> str:
    """Return where the page of `call`, open before `user`, asks whether anything is new."""
    return reverse("admin:calls_call_live", args=[open_page.token([call.pk, user.pk], question=_QUESTION)])


def answer(request: HttpRequest, token: str) -> JsonResponse:
    """Tell a page the version of its call."""
    try:
        call_id, staff_id = open_page.reader(token, question=_QUESTION)
    except open_page.Stranger:
        return JsonResponse({}, status=403)
    found = version(call_id, staff_id=staff_id)
    if found is None:
        return JsonResponse({}, status=404)
    return JsonResponse({"version": found.word, "is_over": found.is_over}, headers={"Cache-Control": "no-store"})


_VERSION = f"""
SELECT concat_ws('.', line.newest, event.attempts, event.waiting, event.replayed, entry.newest, act.newest),
       call.status IN ({", ".join(f"'{status}'" for status in sorted(FINAL))}) AND event.waiting = 0
           AND NOT EXISTS (SELECT FROM calls_recording WHERE call_id = call.id AND state = 'started')
FROM calls_call AS call
CROSS JOIN LATERAL (SELECT max(id) AS newest FROM calls_callevent WHERE call_id = call.id) AS line
CROSS JOIN LATERAL (
    SELECT COALESCE(sum(attempts), 0) AS attempts, count(next_attempt_at) AS waiting,
           extract(epoch FROM max(replayed_at)) AS replayed
    FROM webhooks_webhookevent WHERE call_id = call.public_id AND call_id <> ''
) AS event
CROSS JOIN LATERAL (
    SELECT max(id) AS newest FROM billing_entry WHERE call_id = call.public_id AND call_id <> ''
) AS entry
CROSS JOIN LATERAL (
    SELECT max(log.id) AS newest FROM django_admin_log AS log
    JOIN django_content_type AS type ON type.id = log.content_type_id AND (app_label, model) = ('calls', 'call')
    WHERE log.object_id = call.id::text
) AS act
WHERE call.id = %(call)s AND EXISTS (SELECT FROM auth_user WHERE id = %(staff)s AND is_active AND is_staff)
"""  # noqa: S608  words of our own
