"""Console: webhook events and what came of them, read-only."""

import json

from django.contrib import admin
from django.utils.html import format_html

from minivoice import console
from webhooks.models import DeliveryAttempt, WebhookEvent


class AttemptInline(console.ReadOnlyInline):
    """Every try to deliver an event."""

    model = DeliveryAttempt
    verbose_name_plural = "attempts"
    fields = ["number", "started_at", "duration_ms", "http_status", "error", "response"]
    ordering = ["number"]
    hide_title = True


@admin.register(WebhookEvent)
class WebhookEventAdmin(console.ReadOnlyAdmin):
    """Events out, newest first."""

    list_display = ["at", "type", "application", "call", "status", "attempts", "next_attempt"]
    list_filter = ["status", "created_at"]
    list_select_related = ["application"]
    search_fields = ["=public_id", "=delivery_id", "=call_id"]
    search_help_text = "Event id, delivery id or call id"
    ordering = ["-id"]
    inlines = [AttemptInline]
    readonly_fields = ["call", "sent"]
    fieldsets = [
        (
            None,
            {
                "fields": [
                    *("public_id", "delivery_id", "type", "application", "call", "sequence", "url"),
                    *("status", "attempts", "created_at", "next_attempt_at", "delivered_at"),
                ]
            },
        ),
        ("Body", {"fields": ["sent"]}),
    ]

    @admin.display(description="created at")
    def at(self, event: WebhookEvent) -> str:
        """When it happened."""
        return console.moment(event.created_at)

    @admin.display
    def next_attempt(self, event: WebhookEvent) -> str:
        """When it is tried again."""
        return console.moment(event.next_attempt_at)

    @admin.display
    def call(self, event: WebhookEvent) -> str:
        """The call it tells about."""
        return console.call_link(event.call_id)

    @admin.display(description="body")
    def sent(self, event: WebhookEvent) -> str:
        """The body, laid out for reading; the bytes that are signed have no spaces."""
        text = json.dumps(json.loads(bytes(event.body)), indent=2, ensure_ascii=False)
        return format_html('<pre style="white-space: pre-wrap; overflow-wrap: anywhere">{}</pre>', text)
