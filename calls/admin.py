"""Console: calls, how each went, and hanging one up."""

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from unfold.widgets import UnfoldBooleanWidget

from applications import customers
from applications.models import Customer
from billing.admin.money import PrepaidCustomerAdmin
from billing.models import Entry, Hold
from calls import dialing, suspension, timeline
from calls.models import Call, Party, Reason, Status
from minivoice import clock, console
from webhooks.models import WebhookEvent

_US_NATIONAL_DIGITS = 10

_ENDED: dict[str, str] = {
    Reason.CALLER_HUNG_UP: "The caller hung up before the call was answered",
    Reason.MEDIA_LOST: "The sound was lost, so the call was ended",
    Reason.BUSY: "The callee's network said the number is busy",
    Reason.NO_ANSWER: "It rang, and nobody answered",
    Reason.REJECTED: "The callee, or the network, rejected the call",
    Reason.UNREACHABLE: "The callee could not be reached: it never rang",
    Reason.INVALID_NUMBER: "The network said the number does not exist or is incomplete",
    Reason.ORIGINATE_FAILED: "No trunk took the call, so nothing rang",
    Reason.TRUNK_FAILED: "The carrier's trunk failed",
    Reason.CANCELED: "The call was canceled before it was answered",
    Reason.MAX_DURATION: "The call reached its longest duration",
    Reason.OUT_OF_FUNDS: "The customer's money for this call was used up",
    Reason.ANSWER_URL_FAILED: "The customer's answer URL did not give usable instructions",
    Reason.EXPIRED: "The call waited too long and was given up",
    Reason.ENGINE_LOST: "The telephone engine lost the call",
}
_HUNG_UP: dict[str, str] = {
    Party.CALLER: "The caller hung up",
    Party.CALLEE: "The callee hung up",
    Party.API: "The customer's application hung up",
    Party.SYSTEM: "The call was hung up by us",
}
_LIVE: dict[str, str] = {
    Status.QUEUED: "The call waits to be dialed",
    Status.DIALING: "The call is being dialed",
    Status.RINGING: "The callee's phone is ringing",
    Status.IN_PROGRESS: "The call is answered and up",
}


@admin.register(Call)
class CallAdmin(console.ReadOnlyAdmin):
    """Calls, newest first."""

    list_display = ["public_id", "status", "way", "customer", "accepted", "duration", "cost", "end_reason"]
    list_filter = ["status", "accepted_at", "end_reason"]
    list_select_related = ["customer"]
    search_fields = ["public_id"]
    search_help_text = "Call id, provider call id, or a phone number in any spelling"
    ordering = ["-id"]
    fields: list[str] = []
    actions_detail = ["hang_up"]
    change_form_template = "calls/call.html"

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

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show everything about one call."""
        call = self.get_object(request, object_id)
        about = _about(call) if call and self.has_view_permission(request, call) else {}
        page: HttpResponse = super().change_view(request, object_id, form_url, {**(extra_context or {}), **about})
        return page

    def get_actions_detail(self, request: HttpRequest, object_id: str) -> list[Any]:
        """Offer to hang up what is up."""
        call = self.get_object(request, object_id)
        return super().get_actions_detail(request, object_id) if call and not call.is_final else []

    @console.action(description="Hang up", url_path="hang-up", permission="calls.change_call", icon="call_end")
    def hang_up(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask for a reason; hang up a live call."""
        call: Call = self.find(request, object_id)
        form = console.ReasonForm(console.answers(request))
        if call.is_final:
            messages.info(request, f"The call has ended already. {sentence(call)}")
            return self.back_to(call)
        if not form.is_valid():
            facts = {"Call": call, "From": call.from_number, "To": call.to_number, "Now": sentence(call)}
            return self.ask(request, call, form=form, title="Hang up this call", button="Hang up", facts=facts)
        reason = Reason.HANGUP if call.status == Status.IN_PROGRESS else Reason.CANCELED
        self.log_change(request, call, f"hung up while {call.status}. Reason: {form.cleaned_data['reason']}")
        dialing.hang_up(call=call, reason=reason, by=Party.SYSTEM, now=clock.now())
        messages.success(request, "The call is being hung up.")
        return self.back_to(call)

    @admin.display(description="accepted at")
    def accepted(self, call: Call) -> str:
        """When it began."""
        return console.moment(call.accepted_at)

    @admin.display(description="from → to")
    def way(self, call: Call) -> str:
        """Who calls whom."""
        return f"{call.from_number} → {call.to_number}"

    @admin.display(description="duration")
    def duration(self, call: Call) -> str:
        """Seconds of talk, once it is over."""
        return console.NOTHING if call.duration_seconds is None else f"{call.duration_seconds} s"

    @admin.display(description="cost")
    def cost(self, call: Call) -> str:
        """What was charged, once it is over."""
        return console.amount(call.cost_amount, call.currency)


class SuspendForm(console.ReasonForm):
    """The question before a suspension."""

    hang_up = forms.BooleanField(
        required=False, widget=UnfoldBooleanWidget, help_text="otherwise calls that are up go on"
    )


admin.site.unregister(Customer)


@admin.register(Customer)
class CallingCustomerAdmin(PrepaidCustomerAdmin):
    """Customers with their money, and the way to shut them out, which may end their calls."""

    readonly_fields = [*PrepaidCustomerAdmin.readonly_fields, "status"]
    actions_detail = [*PrepaidCustomerAdmin.actions_detail, "suspend", "lift"]

    def get_actions_detail(self, request: HttpRequest, object_id: str) -> list[Any]:
        """Offer what can be done as the customer now is."""
        customer = self.get_object(request, object_id)
        idle = "suspend" if customer and customer.status == Customer.Status.SUSPENDED else "lift"
        actions = super().get_actions_detail(request, object_id)
        return [action for action in actions if not action.action_name.endswith(idle)]

    @console.action(description="Suspend", url_path="suspend", permission="applications.change_customer", icon="block")
    def suspend(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask for a reason; have the API refuse the customer, and hang up its calls if that is wanted."""
        customer: Customer = self.find(request, object_id)
        form = SuspendForm(console.answers(request))
        if not form.is_valid():
            facts = {"Customer": customer, "Calls up": suspension.live_calls(customer).count()}
            return self.ask(request, customer, form=form, title="Suspend this customer", button="Suspend", facts=facts)
        reason, hang_up = form.cleaned_data["reason"], form.cleaned_data["hang_up"]
        if suspension.suspend(customer, now=clock.now()):
            self.log_change(request, customer, f"status from active to suspended. Reason: {reason}")
        ended = suspension.hang_up_all(customer, now=clock.now()) if hang_up else 0
        if ended:
            self.log_change(request, customer, f"{ended} live calls hung up. Reason: {reason}")
        messages.success(request, f"{customer} is suspended. Calls being hung up: {ended}.")
        return self.back_to(customer)

    @console.action(
        description="Lift suspension", url_path="lift", permission="applications.change_customer", icon="lock_open"
    )
    def lift(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask for a reason; let the customer in again."""
        customer: Customer = self.find(request, object_id)
        form = console.ReasonForm(console.answers(request))
        if not form.is_valid():
            facts = {"Customer": customer, "Status": customer.status}
            return self.ask(request, customer, form=form, title="Lift the suspension", button="Lift", facts=facts)
        if customers.lift(customer):
            why = form.cleaned_data["reason"]
            self.log_change(request, customer, f"status from suspended to active. Reason: {why}")
        messages.success(request, f"{customer} is active.")
        return self.back_to(customer)


def sentence(call: Call) -> str:
    """Return how `call` stands or ended, as a person can say it on the phone."""
    if not call.end_reason:
        return f"{_LIVE[call.status]}."
    if call.end_reason == Reason.HANGUP:
        return f"{_HUNG_UP.get(call.hangup_by, 'The call was hung up')}."
    code = f" ({call.sip_code})" if call.sip_code else ""
    return f"{_ENDED[call.end_reason]}{code}."


def spellings(number: str) -> set[str]:
    """Return the E.164 numbers that `number`, as people write it, may stand for; none when it is no number."""
    digits = re.sub(r"[^0-9]", "", number.replace("(0)", ""))
    if not digits or re.search(r"[^0-9\s().,/+:_telTEL‐-―-]", number):  # noqa: RUF001  the typographic dashes
        return set()
    if number.lstrip().startswith("+"):
        return {f"+{digits}"}
    found = {f"+{digits}"} | {f"+{digits.removeprefix(out)}" for out in ("00", "011") if digits.startswith(out)}
    return found | ({f"+1{digits}"} if len(digits) == _US_NATIONAL_DIGITS else set())


def _matches(term: str) -> Q:
    if term.startswith("call_"):
        return Q(public_id=term)
    try:
        return Q(provider_call_id=UUID(term))
    except ValueError:
        numbers = spellings(term)
        return Q(to_number__in=numbers) | Q(from_number__in=numbers)


def _about(call: Call) -> dict[str, Any]:
    """Return what the call's page shows."""
    return {
        "sentence": sentence(call),
        "facts": list(_facts(call)),
        "timeline": list(_timeline(call)),
        "attempts": call.attempts.select_related("trunk").order_by("number"),
        "money": list(_money(call)),
        "deliveries": WebhookEvent.objects.filter(call_id=call.public_id).order_by("sequence"),
    }


def _facts(call: Call) -> Iterator[tuple[str, Any]]:
    yield "Status", call.status
    yield "From", call.from_number
    yield "To", call.to_number
    yield "Customer", console.link(console.url_of(call.customer), call.customer)
    yield "Application", console.link(console.url_of(call.application), call.application)
    yield "Trunk", call.trunk or console.NOTHING
    yield "Accepted", clock.text(call.accepted_at)
    yield "Answered", clock.text(call.answered_at) or console.NOTHING
    yield "Ended", clock.text(call.ended_at) or console.NOTHING
    if call.is_final:
        yield "Duration", f"{call.duration_seconds} s, billed {call.billable_seconds} s"
        yield "Cost", console.amount(call.cost_amount, call.currency)
        yield "End reason", call.end_reason
        yield "Hung up by", call.hangup_by or console.NOTHING
    rate = f"{console.amount(call.price_per_minute, call.currency)} a minute"
    yield "Rate", f"{rate}, {call.initial_increment}/{call.subsequent_increment}, prefix {call.rate_prefix}"
    yield "Provider call id", call.provider_call_id or console.NOTHING
    yield "Request id", call.request_id or console.NOTHING


def _timeline(call: Call) -> Iterator[dict[str, Any]]:
    """Yield the timeline's lines with their milliseconds since the call was accepted."""
    for line in timeline.read(call):
        offset = datetime.fromisoformat(line["at"]) - _milliseconds(call.accepted_at)
        yield {
            "at": line["at"],
            "offset_ms": round(offset.total_seconds() * 1000),
            "event": line["event"].replace("_", " "),
            "data": [(name.replace("_", " "), _flat(value)) for name, value in line["data"].items()],
        }


def _money(call: Call) -> Iterator[dict[str, Any]]:
    """Yield the call's hold and what was posted for it."""
    for hold in Hold.objects.filter(key=call.public_id):
        state = "closed" if hold.closed_at else "open"
        what = f"hold for {hold.funded_seconds} s, {state}"
        yield {"what": what, "amount": console.amount(hold.amount), "after": console.NOTHING, "at": hold.opened_at}
    for entry in Entry.objects.filter(call_id=call.public_id).order_by("id"):
        yield {
            "what": console.link(console.url_of(entry), entry.get_kind_display()),
            "amount": console.amount(entry.amount),
            "after": console.amount(entry.posted_after),
            "at": entry.created_at,
        }


def _milliseconds(moment: datetime) -> datetime:
    """Cut to milliseconds, as the timeline's times are: what happened at once has offset 0."""
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def _flat(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name.replace('_', ' ')} {_flat(inner)}" for name, inner in value.items())
    return console.NOTHING if value is None or value == "" else str(value)
