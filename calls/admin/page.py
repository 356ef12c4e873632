"""What a call's page shows."""

from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html, format_html_join

from billing.models import Entry, Hold
from calls.admin import live
from calls.admin.sentences import sentence
from calls.admin.story import Story
from calls.models import Call, Recording
from minivoice import console
from webhooks.models import WebhookEvent


def about(call: Call, request: HttpRequest) -> dict[str, Any]:
    """Return everything about one call that this request's user may see."""
    version = live.version(call.pk, staff_id=request.user.pk or 0)  # read first: what comes after it is seen as new
    attempts = list(call.attempts.select_related("trunk").order_by("number"))
    events = list(WebhookEvent.objects.filter(call_id=call.public_id).defer("body").order_by("sequence"))
    history = LogEntry.objects.filter(content_type=ContentType.objects.get_for_model(Call), object_id=str(call.pk))
    return {
        "call": call,
        "version": version,
        "live_url": live.address(call, user=request.user),
        "part_url": reverse("admin:calls_call_part", args=[call.pk]),
        "sentence": sentence(call),
        "facts": list(_facts(call)),
        "timeline": Story(call, attempts=attempts, events=events).lines(history.select_related("user")),
        "attempts": attempts,
        "money": list(_money(call)),
        "recordings": list(_recordings(call, request)),
        "deliveries": events,
        "timeline_days": settings.TIMELINE_DAYS,
        "event_days": settings.WEBHOOK_EVENT_DAYS,
    }


def _facts(call: Call) -> Iterator[tuple[str, Any]]:
    yield "Status", call.get_status_display()
    yield "Direction", call.get_direction_display()
    yield "From", console.numbers(call.from_number)
    yield "To", console.numbers(call.to_number)
    yield "Customer", console.link(console.url_of(call.customer), call.customer)
    yield "Application", console.link(console.url_of(call.application), call.application)
    yield "Trunk", console.link(console.url_of(call.trunk), call.trunk) if call.trunk else console.NOTHING
    yield from _relatives(call)
    yield "Accepted", console.moment(call.accepted_at)
    yield "Answered", console.moment(call.answered_at)
    yield "Ended", console.moment(call.ended_at)
    if call.is_final:
        yield "Duration", f"{call.duration_seconds} s, billed {call.billable_seconds} s"
        yield "Cost", console.amount(call.cost_amount, call.currency)
        yield "End reason", call.get_end_reason_display()
        yield "Hung up by", call.get_hangup_by_display() or console.NOTHING
    rate = f"{console.amount(call.price_per_minute, call.currency)} a minute"
    yield "Rate", f"{rate}, {call.initial_increment}/{call.subsequent_increment}, prefix {call.rate_prefix}"
    yield "Call id", call.public_id
    yield "Provider call id", call.provider_call_id or console.NOTHING
    yield "Request id", call.request_id or console.NOTHING


def _relatives(call: Call) -> Iterator[tuple[str, Any]]:
    """Yield the call that a leg was dialled for, and the legs of a call."""
    if call.parent is not None:
        yield "Leg of", console.call_link(call.parent.public_id)
    legs = list(call.legs.order_by("id"))
    if legs:
        links = (
            (console.call_link(leg.public_id), console.numbers(leg.to_number), leg.get_status_display()) for leg in legs
        )
        yield "Legs", format_html_join(", ", "{} to {} ({})", links)


def _money(call: Call) -> Iterator[dict[str, Any]]:
    """Yield the call's hold and what was posted for it."""
    for hold in Hold.objects.filter(key=call.public_id):
        state = "closed" if hold.closed_at else "open"
        what = f"hold for {hold.funded_seconds} s of talk, {state}"
        yield {"what": what, "amount": console.amount(hold.amount), "after": console.NOTHING, "at": hold.opened_at}
    for entry in Entry.objects.filter(call_id=call.public_id).order_by("id"):
        note = f": {console.numbers(entry.note)}" if entry.note else ""
        yield {
            "what": format_html("{}{}", console.link(console.url_of(entry), entry.get_kind_display()), note),
            "amount": console.amount(entry.amount),
            "after": console.amount(entry.posted_after),
            "at": entry.created_at,
        }


def _recordings(call: Call, request: HttpRequest) -> Iterator[dict[str, Any]]:
    """Yield the call's recordings, with the address of the audio for those who may listen."""
    may_listen = request.user.has_perm("calls.listen_recording")
    for recording in call.recordings.order_by("number"):
        is_there = recording.state == Recording.State.COMPLETED
        audio = reverse("admin:calls_call_audio", args=[recording.public_id]) if is_there and may_listen else ""
        length = "" if recording.duration_seconds is None else f", {recording.duration_seconds} s"
        what = f"{recording.get_kind_display()}, {recording.get_state_display().lower()}{length}, from "
        yield {
            "id": recording.public_id,
            "words": format_html("{}{}", what, console.moment(recording.created_at)),
            "audio": audio,
            "is_hidden": is_there and not may_listen,
        }
