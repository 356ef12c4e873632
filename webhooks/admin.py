"""Console: webhook events and what came of them, read-only but for the replay."""

import json

from django.contrib import admin, messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html

from minivoice import clock, console, errors
from webhooks import replays
from webhooks.models import DeliveryAttempt, WebhookEvent


class AttemptInline(console.ReadOnlyInline):
    """Every try to deliver an event."""

    model = DeliveryAttempt
    verbose_name_plural = "attempts"
    fields = ["number", "started", "duration_ms", "http_status", "error", "response"]
    ordering = ["number"]
    hide_title = True

    @admin.display(description="started at")
    def started(self, attempt: DeliveryAttempt) -> str:
        """When it began, to the second."""
        return console.moment(attempt.started_at)


@admin.register(WebhookEvent)
class WebhookEventAdmin(console.ReadOnlyAdmin):
    """Events out, newest first."""

    list_display = ["at", "type", "application", "call", "status", "error", "attempts", "next_attempt"]
    list_filter = ["status", "created_at"]
    list_select_related = ["application"]
    search_fields = ["=public_id", "=delivery_id", "=call_id"]
    search_help_text = "Event id, delivery id or call id"
    ordering = ["-id"]
    inlines = [AttemptInline]
    actions_detail = ["replay"]
    readonly_fields = ["call", "sent", "next_attempt"]
    fieldsets = [
        (
            None,
            {
                "fields": [
                    *("public_id", "delivery_id", "type", "application", "call", "sequence", "url"),
                    *("status", "error", "attempts", "created_at", "next_attempt", "delivered_at", "replayed_at"),
                ]
            },
        ),
        ("Body", {"fields": ["sent"]}),
    ]

    @console.action(description="Replay", url_path="replay", permission="webhooks.change_webhookevent", icon="replay")
    def replay(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask for a reason; send an event again, to the present URL of its application."""
        event: WebhookEvent = self.find(request, object_id)
        form, now = console.ReasonForm(console.answers(request)), clock.now()
        if not form.is_valid():
            facts = {"Event": event, "Type": event.type, "Now": event.get_status_display(), "Attempts": event.attempts}
            facts["To"] = event.application.webhook_url or console.NOTHING
            return self.ask(request, event, form=form, title="Send this event again", button="Replay", facts=facts)
        try:
            with transaction.atomic():
                replays.replay_one(event, now=now)
                if event.replayed_at == now:
                    self.log_change(request, event, f"replayed. Reason: {form.cleaned_data['reason']}")
        except errors.InvalidRequest as refusal:
            messages.error(request, f"Not replayed: {refusal.detail}.")
        else:
            is_new = event.replayed_at == now
            messages.success(request, "The event is sent again." if is_new else "The event is being sent already.")
        return self.back_to(event)

    @admin.display(description="created at")
    def at(self, event: WebhookEvent) -> str:
        """When it happened."""
        return console.moment(event.created_at)

    @admin.display
    def next_attempt(self, event: WebhookEvent) -> str:
        """When it is tried again."""
        return "under way" if event.is_in_flight else console.moment(event.next_attempt_at)

    @admin.display
    def call(self, event: WebhookEvent) -> str:
        """The call it tells about."""
        return console.call_link(event.call_id)

    @admin.display(description="body")
    def sent(self, event: WebhookEvent) -> str:
        """The body, laid out for reading; the bytes that are signed have no spaces."""
        text = json.dumps(json.loads(bytes(event.body)), indent=2, ensure_ascii=False)
        return format_html('<pre style="white-space: pre-wrap; overflow-wrap: anywhere">{}</pre>', text)
