"""Console: calls, how each went, and what staff may do about one: hang up, replay, refund, note, listen."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID, uuid4

from django.conf import settings
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import render
from django.urls import URLPattern, path, reverse

from billing import refunds
from billing.admin.sentences import rule
from billing.models import Entry
from calls import dialing
from calls.admin import forms, live, page
from calls.admin.sentences import sentence
from calls.admin.spelling import spellings
from calls.models import FINAL, LIVE, Call, Party, Reason, Recording
from calls.recordings import listening
from minivoice import clock, console, errors, lists
from webhooks import replays
from webhooks.models import WebhookEvent

_MOST_FOUND = 500


_MOST_NEWEST = 5000  # that are looked at where no index gives all that fit


class UpFilter(admin.SimpleListFilter):
    """Calls that have not ended, or that have."""

    title = "whether it is up"
    parameter_name = "up"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return what can be chosen."""
        return [("yes", "Up now"), ("no", "Ended")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Call]) -> QuerySet[Call]:
        """Return the calls that were chosen."""
        if self.value() == "no":
            return queryset.filter(status__in=FINAL)
        if self.value() != "yes":
            return queryset
        # In the order of their own index, few among many: without one the planner may look for them among all.
        up = Call.objects.filter(LIVE).order_by("customer").values_list("pk", flat=True)
        return queryset.filter(pk__in=list(up[:_MOST_NEWEST]))


class ReasonFilter(admin.ChoicesFieldListFilter):
    """Why calls ended. With a status as well, it is asked of the newest calls that ended so.

    Most reasons belong to one status: calls with another would be looked for among all, and not found.
    """

    def queryset(self, request: HttpRequest, queryset: QuerySet[Call]) -> QuerySet[Call] | None:
        """Return the calls that were chosen."""
        found = super().queryset(request, queryset)
        reason, status = request.GET.get("end_reason__exact"), request.GET.get("status__exact")
        if not reason or not status or found is None:
            return found
        ended = {"status": status} if reason == Reason.HANGUP else {"end_reason": reason}  # by an index of its own
        newest = Call.objects.filter(**ended).order_by("-id").values_list("pk", flat=True)
        return found.filter(pk__in=list(newest[:_MOST_NEWEST]))


@admin.register(Call)
class CallAdmin(console.ReadOnlyAdmin):
    """Calls, newest first."""

    list_display = ["public_id", "status", "way", "customer", "accepted", "duration", "cost", "end_reason"]
    list_filter = [UpFilter, "status", ("accepted_at", lists.SinceFilter), ("end_reason", ReasonFilter)]
    list_select_related = ["customer"]
    search_fields = ["public_id"]
    search_help_text = "Call id, provider call id, or a phone number in any spelling (its newest 500 calls each way)"
    ordering = ["-id"]
    empty_text = "No calls yet. One is here as soon as an application places it with its key, or it comes in."
    fields: list[str] = []
    actions_detail = ["hang_up", "add_note", "replay_webhooks", "refund"]
    change_form_template = "calls/call.html"

    def get_ordering(self, request: HttpRequest) -> list[str]:
        """Have the newest first; those of one customer by an index of theirs."""
        return ["-accepted_at", "-id"] if "customer__id__exact" in request.GET else ["-id"]

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Call | None:
        """Find a call by its key or, as other rooms link to it, by its public id."""
        found: Call | None = super().get_object(
            request, object_id, "public_id" if object_id.startswith("call_") else from_field
        )
        return found

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Call], search_term: str
    ) -> tuple[QuerySet[Call], bool]:
        """Find by call id, provider call id or number, each by an index."""
        term = search_term.strip()
        return (queryset.filter(_matches(term)) if term else queryset), False

    def get_urls(self) -> list[URLPattern]:
        """Add what a call's page fetches: whether anything is new, what is, and audio."""
        view = self.admin_site.admin_view
        return [
            path("live/<str:token>", live.answer, name="calls_call_live"),
            path("<path:object_id>/part/", view(self.part), name="calls_call_part"),
            path("recordings/<str:recording_id>/audio", view(self.audio), name="calls_call_audio"),
            *super().get_urls(),
        ]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show everything about one call."""
        call = self.get_object(request, object_id)
        about = page.about(call, request) if call and self.has_view_permission(request, call) else {}
        shown: HttpResponse = super().change_view(request, object_id, form_url, {**(extra_context or {}), **about})
        return shown

    def part(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Show what changes on the page of a live call, with its version."""
        about = page.about(self.find(request, object_id), request)
        answer = render(request, "calls/story.html", about)
        answer["X-Version"] = about["version"].word
        return answer

    def audio(self, request: HttpRequest, recording_id: str) -> HttpResponseBase:
        """Stream a recording, or a range of it, to those who may listen."""
        if not request.user.has_perm("calls.listen_recording"):
            raise PermissionDenied
        try:
            recording = Recording.objects.get(public_id=recording_id)
            reader = f"staff {request.user.pk}"
            return listening.respond(recording, wanted=request.headers.get("Range"), reader=reader)
        except (Recording.DoesNotExist, errors.RecordingNotFound):
            raise Http404 from None
        except (errors.RangeNotSatisfiable, errors.Unavailable) as refusal:
            return HttpResponse(refusal.message, status=refusal.status_code, content_type="text/plain; charset=utf-8")

    def _get_obj_does_not_exist_redirect(self, request: HttpRequest, opts: Any, object_id: str) -> HttpResponse:
        """Say what became of a call that is not there, as other pages still name it."""
        messages.warning(
            request,
            f"There is no call {object_id} here. Calls are kept for {settings.CALL_DAYS} days;"
            " what they cost stays in the ledger.",
        )
        return HttpResponseRedirect(reverse("admin:calls_call_changelist"))

    def get_actions_detail(self, request: HttpRequest, object_id: str) -> list[Any]:
        """Offer to hang up what is up, and to give back what was charged."""
        call = self.get_object(request, object_id)
        idle = {"hang_up"} if call is None or call.is_final else set()
        idle |= set() if call and call.cost_amount else {"refund"}
        actions = super().get_actions_detail(request, object_id)
        return [action for action in actions if not any(action.action_name.endswith(name) for name in idle)]

    @console.action(description="Hang up", url_path="hang-up", permission="calls.change_call", icon="call_end")
    def hang_up(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask for a reason; hang up a live call."""
        call: Call = self.find(request, object_id)
        form = console.ReasonForm(console.answers(request))
        if call.is_final:
            messages.info(request, f"The call has ended already. {sentence(call)}")
            return self.back_to(call)
        if not form.is_valid():
            facts = {"Call": call, "From → to": self.way(call), "Now": sentence(call)}
            return self.ask(request, call, form=form, title="Hang up this call", button="Hang up", facts=facts)
        self.log_change(request, call, f"hung up while {call.status}. Reason: {form.cleaned_data['reason']}")
        dialing.hang_up(call=call, reason=Reason.CANCELED, by=Party.SYSTEM, now=clock.now())
        messages.success(request, "The call is being hung up.")
        return self.back_to(call)

    @console.action(description="Note", url_path="note", permission="calls.note_call", icon="edit_note")
    def add_note(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask for a note; keep it in the call's history, and so on its timeline. Customers see neither."""
        call: Call = self.find(request, object_id)
        form = forms.NoteForm(console.answers(request))
        if not form.is_valid():
            facts = {"Call": call, "From → to": self.way(call), "Now": sentence(call)}
            return self.ask(request, call, form=form, title="Write a note on this call", button="Keep", facts=facts)
        self.log_change(request, call, f"note: {form.cleaned_data['note']}")
        messages.success(request, "The note is on the timeline.")
        return self.back_to(call)

    @console.action(
        description="Replay webhooks", url_path="replay", permission="webhooks.change_webhookevent", icon="replay"
    )
    def replay_webhooks(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask for a reason; send every event of a call again."""
        call: Call = self.find(request, object_id)
        events = WebhookEvent.objects.filter(call_id=call.public_id)
        form = console.ReasonForm(console.answers(request))
        if not form.is_valid():
            url = call.application.webhook_url or "nowhere: the application has no webhook URL"
            facts = {"Call": call, "Events": events.count(), "To": url}
            return self.ask(
                request, call, form=form, title="Send this call's events again", button="Replay", facts=facts
            )
        ids = list(events.order_by("sequence").values_list("pk", flat=True)[: replays.BATCH])
        with transaction.atomic():
            replayed = replays.replay(ids, now=clock.now())
            if replayed:
                reason = form.cleaned_data["reason"]
                self.log_change(request, call, f"{replayed} webhook events replayed. Reason: {reason}")
        if replayed:
            messages.success(request, f"Sent again: {replayed} of {len(ids)} events.")
        else:
            messages.warning(
                request, "Nothing was sent: the webhook URL is missing or disabled, or they are under way."
            )
        return self.back_to(call)

    @console.action(description="Refund", url_path="refund", permission="billing.add_entry", icon="undo")
    def refund(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask for amount and reason; give back of the call's charge, once however often the form is sent."""
        call: Call = self.find(request, object_id)
        left = refunds.refundable(call.public_id)
        form = forms.RefundForm(console.answers(request), initial={"token": uuid4(), "amount": left})
        if form.is_valid() and self._refunded(request, call, form):
            return self.back_to(call)
        facts = {
            "Call": call,
            "Customer": call.customer,
            "Charged": console.amount(call.cost_amount, call.currency),
            "Left to give back": console.amount(left, call.currency),
            "Needs approval": rule(call.customer.balance, request),
        }
        return self.ask(request, call, form=form, title="Refund this call", button="Refund", facts=facts)

    def _refunded(self, request: HttpRequest, call: Call, form: forms.RefundForm) -> bool:
        data, now = form.cleaned_data, clock.now()
        with transaction.atomic():
            try:
                entry = refunds.refund(
                    customer_id=call.customer_id,
                    call_id=call.public_id,
                    amount=data["amount"],
                    key=f"refund:{data['token']}",
                    staff_id=request.user.pk or 0,
                    note=data["reason"],
                    now=now,
                )
            except refunds.TooMuch as refusal:
                form.add_error("amount", str(refusal))
                return False
            waits = "" if isinstance(entry, Entry) else " when a second person approves it: see Approvals"
            said = f"{console.amount(entry.amount, call.currency)} refunded{waits}"
            if entry.created_at == now:
                self.log_change(request, call, f"{said}. Reason: {data['reason']}")
        is_new = entry.created_at == now
        messages.success(request, f"{said}." if is_new else f"Sent twice, posted once: {said}. Nothing was posted now.")
        return True

    @admin.display(description="accepted at")
    def accepted(self, call: Call) -> str:
        """When it began."""
        return console.moment(call.accepted_at)

    @admin.display(description="from → to")
    def way(self, call: Call) -> str:
        """Who calls whom."""
        return console.numbers(call.from_number) + " → " + console.numbers(call.to_number)

    @admin.display(description="duration")
    def duration(self, call: Call) -> str:
        """Seconds of talk, once it is over."""
        return console.NOTHING if call.duration_seconds is None else f"{call.duration_seconds} s"

    @admin.display(description="cost")
    def cost(self, call: Call) -> str:
        """What was charged, once it is over."""
        return console.amount(call.cost_amount, call.currency)


def _matches(term: str) -> Q:
    if term.startswith("call_"):
        return Q(public_id=term)
    try:
        return Q(provider_call_id=UUID(term))
    except ValueError:
        return Q(pk__in=_newest(spellings(term)))


def _newest(numbers: Iterable[str]) -> list[int]:
    """Return the newest calls to and from each number, each read off its index: a customer's own may have millions."""
    return [
        key
        for number in numbers
        for column in ("to_number", "from_number")
        for key in Call.objects.filter(**{column: number}).order_by("-id").values_list("pk", flat=True)[:_MOST_FOUND]
    ]
