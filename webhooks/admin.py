"""Console: webhook events and what came of them, read-only but for the replay."""

import json
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html
from unfold.contrib.filters.admin import AutocompleteSelectFilter
from unfold.widgets import UnfoldAdminRadioSelectWidget, UnfoldAdminTextInputWidget

from applications import events
from applications.admin.customers import ApplicationAdmin
from applications.admin.jobs import ask
from applications.models import Application
from minivoice import clock, console, errors, lists
from webhooks import replaying, replays, signing
from webhooks.models import DeliveryAttempt, WebhookEvent


class AttemptInline(console.ReadOnlyInline):
    """Every try to deliver an event."""

    model = DeliveryAttempt
    verbose_name_plural = "attempts"
    fields = ["number", "started", "duration_ms", "http_status", "error", "answered"]
    ordering = ["number"]
    hide_title = True

    @admin.display(description="started at")
    def started(self, attempt: DeliveryAttempt) -> str:
        """When it began, to the second."""
        return console.moment(attempt.started_at)

    @admin.display(description="response")
    def answered(self, attempt: DeliveryAttempt) -> str:
        """What the receiver said."""
        return console.numbers(attempt.response)


_APPLICATION = "application__id__exact"


class TypeFilter(admin.SimpleListFilter):
    """The kind of event, once an application is chosen: of all events, a rare kind would be searched for long."""

    title = "event"
    parameter_name = "type"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return what can be chosen."""
        is_chosen = request.GET.get(_APPLICATION)
        return [(event, event) for event in sorted(events.DOCUMENTED | events.CHOSEN)] if is_chosen else []

    def queryset(self, request: HttpRequest, queryset: QuerySet[WebhookEvent]) -> QuerySet[WebhookEvent]:
        """Return the events chosen."""
        return queryset.filter(type=self.value()) if self.value() else queryset


@admin.register(WebhookEvent)
class WebhookEventAdmin(console.ReadOnlyAdmin):
    """Events out, newest first."""

    list_display = ["at", "type", "application", "call", "status", "error", "attempts", "next_attempt"]
    list_filter = [("application", AutocompleteSelectFilter), TypeFilter, "status", ("created_at", lists.SinceFilter)]
    list_filter_submit = True
    list_select_related = ["application"]
    search_fields = ["public_id__exact", "delivery_id__exact", "call_id__exact"]
    search_help_text = "Event id, delivery id or call id"
    ordering = ["-id"]
    empty_text = "No events yet. Every call makes some, whether or not its application has a webhook URL."
    inlines = [AttemptInline]
    actions_detail = ["replay"]
    readonly_fields = ["call", "sent", "headers", "at", "next_attempt", "delivered", "replayed"]
    fieldsets = [
        (
            None,
            {
                "fields": [
                    *("public_id", "delivery_id", "type", "application", "call", "sequence", "url"),
                    *("status", "error", "attempts", "at", "next_attempt", "delivered", "replayed"),
                ]
            },
        ),
        ("Request", {"fields": ["headers", "sent"]}),
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

    @admin.display(description="delivered at")
    def delivered(self, event: WebhookEvent) -> str:
        """When the receiver took it."""
        return console.moment(event.delivered_at)

    @admin.display(description="replayed at")
    def replayed(self, event: WebhookEvent) -> str:
        """When it was last asked for again."""
        return console.moment(event.replayed_at)

    @admin.display
    def headers(self, event: WebhookEvent) -> str:
        """What is sent with the body, but for the signatures: they are made for each attempt, and kept nowhere."""
        shown = signing.headers(
            secret="",
            event_id=event.public_id,
            event=event.type,
            delivery_id=event.delivery_id,
            attempt=max(1, event.attempts),
            body=b"",
            now=event.created_at,
        )
        # Asked of the database: this page is where staff come when the secret cannot be read.
        is_signed = Application.objects.exclude(webhook_secret="").filter(pk=event.application_id).exists()
        signed = "and signatures, made anew for each attempt" if is_signed else "and no signature: there is no secret"
        return format_html(_PRE, "\n".join([*(f"{name}: {value}" for name, value in shown.items()), signed]))

    @admin.display
    def call(self, event: WebhookEvent) -> str:
        """The call it tells about."""
        return console.call_link(event.call_id)

    @admin.display(description="body")
    def sent(self, event: WebhookEvent) -> str:
        """The body, laid out for reading; the bytes that are signed have no spaces."""
        text = json.dumps(json.loads(bytes(event.body)), indent=2, ensure_ascii=False)
        return format_html(_PRE, console.numbers(text))


class RangeForm(console.ReasonForm):
    """Which events are sent again."""

    status = forms.ChoiceField(
        label="What became of them",
        choices=[
            ("exhausted", "given up: they could not be delivered"),
            ("unaddressed", "made while there was no webhook URL"),
            ("delivered", "delivered already"),
        ],
        initial="exhausted",
        widget=UnfoldAdminRadioSelectWidget,
    )
    since = forms.DateTimeField(label="Made from (UTC)", widget=UnfoldAdminTextInputWidget({"type": "datetime-local"}))
    until = forms.DateTimeField(
        label="Made before (UTC)", widget=UnfoldAdminTextInputWidget({"type": "datetime-local"})
    )

    field_order = ("status", "since", "until", "reason")

    def clean(self) -> dict[str, Any]:
        """Refuse a time that ends before it begins."""
        cleaned = super().clean() or self.cleaned_data
        if "since" in cleaned and "until" in cleaned and cleaned["until"] <= cleaned["since"]:
            self.add_error("until", "must be after the time they are made from")
        return cleaned


admin.site.unregister(Application)


@admin.register(Application)
class DeliveringApplicationAdmin(ApplicationAdmin):
    """Applications, and the way to send what they have missed."""

    actions_detail = [*ApplicationAdmin.actions_detail, "replay_events"]

    @console.action(description="Replay events", url_path="replay", permission=replaying.PERMISSION, icon="replay")
    def replay_events(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask which, and why; have the events of a time sent again, by a job."""
        application: Application = self.find(request, object_id)
        form = RangeForm(console.answers(request))
        if not form.is_valid():
            facts = {"Application": application, "To": application.webhook_url or "nowhere: it has no webhook URL"}
            facts["What comes of it"] = "a job, which tells how far it is"
            title = "Send the events of a time again"
            return self.ask(request, application, form=form, title=title, button="Replay", facts=facts)
        wanted = {name: form.cleaned_data[name] for name in ("status", "since", "until")}
        title = replaying.title(application, **wanted)
        self.log_change(request, application, f"asked for: {title}. Reason: {form.cleaned_data['reason']}")
        return ask(request, kind=replaying.JOB, title=title, params=replaying.params(application, **wanted))


_PRE = '<pre style="white-space: pre-wrap; overflow-wrap: anywhere">{}</pre>'
