"""Four eyes: what waits for a second person, and what was decided."""

from typing import Any

from django.contrib import admin, messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse

from billing import approvals, ledger
from billing.admin.sentences import said
from billing.models import Approval
from minivoice import clock, console

_PERMISSION = "billing.approve_adjustment"


@admin.register(Approval)
class ApprovalAdmin(console.ReadOnlyAdmin):
    """What staff asked for above the threshold, newest first; those that wait can be approved or rejected."""

    list_display = ["created", "customer", "kind", "money", "noted", "asked_by", "state", "decided_by"]
    list_filter = ["state", "kind"]
    list_select_related = ["customer__balance", "asked_by", "decided_by"]
    search_fields = ["customer__name", "=reference", "=call_id"]
    search_help_text = "Customer, reference or call id"
    ordering = ["-id"]
    empty_text = "Nothing was asked. What a colleague moves above the threshold waits here for a second person."
    fields = [
        *("customer", "kind", "money", "noted", "reference", "call", "asked_by", "created"),
        *("state", "decided_by", "decided", "why", "posted"),
    ]
    readonly_fields = ["money", "noted", "call", "created", "decided", "why", "posted"]
    actions_detail = ["approve", "reject"]

    def get_actions_detail(self, request: HttpRequest, object_id: str) -> list[Any]:
        """Offer a decision where one is to be made; to approve, only to somebody else than who asked."""
        approval = self.get_object(request, object_id)
        if approval is None or approval.state != Approval.State.WAITING:
            return []
        actions: list[Any] = super().get_actions_detail(request, object_id)
        own = approval.asked_by_id == request.user.pk
        return [action for action in actions if not (own and action.action_name.endswith("approve"))]

    @console.action(description="Approve", url_path="approve", permission=_PERMISSION, icon="check")
    def approve(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask for a reason; post what waits, or raise the limit, once."""
        approval: Approval = self.find(request, object_id)
        form = console.ReasonForm(console.answers(request))
        if not form.is_valid():
            title = f"Approve: {approval}"
            return self.ask(request, approval, form=form, title=title, button="Approve", facts=_facts(approval))
        why = form.cleaned_data["reason"]
        try:
            with transaction.atomic():
                done = approvals.approve(approval, by_id=request.user.pk or 0, why=why, now=clock.now())
                told = said(done.entry or done)
                for row in (approval, approval.customer):
                    self.log_change(request, row, f"approved: {told}. Approved because: {why}")
        except approvals.NotPossible as refusal:
            messages.error(request, f"Not approved: {refusal}.")
            return self.back_to(approval)
        except ledger.DuplicateEntry:
            messages.error(request, "Not approved: its reference was posted meanwhile. Reject it.")
            return self.back_to(approval)
        messages.success(request, f"{'Posted' if done.entry else 'Raised'}: {told}.")
        return self.back_to(approval)

    @console.action(description="Reject", url_path="reject", permission=_PERMISSION, icon="close")
    def reject(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask for a reason; have what waits never posted."""
        approval: Approval = self.find(request, object_id)
        form = console.ReasonForm(console.answers(request))
        if not form.is_valid():
            title = f"Reject: {approval}"
            return self.ask(request, approval, form=form, title=title, button="Reject", facts=_facts(approval))
        why = form.cleaned_data["reason"]
        try:
            with transaction.atomic():
                approvals.reject(approval, by_id=request.user.pk or 0, why=why, now=clock.now())
                for row in (approval, approval.customer):
                    self.log_change(request, row, f"rejected: {approval}. Reason: {why}")
        except approvals.NotPossible as refusal:
            messages.error(request, f"Not rejected: {refusal}.")
            return self.back_to(approval)
        messages.success(request, "Rejected: nothing was changed.")
        return self.back_to(approval)

    @admin.display(description="reason")
    def noted(self, approval: Approval) -> str:
        """Why, in the words of who asked."""
        return console.numbers(approval.note)

    @admin.display(description="decision")
    def why(self, approval: Approval) -> str:
        """Why it was approved or rejected."""
        return console.numbers(approval.decision)

    @admin.display(description="asked at")
    def created(self, approval: Approval) -> str:
        """When it was asked for."""
        return console.moment(approval.created_at)

    @admin.display(description="decided at")
    def decided(self, approval: Approval) -> str:
        """When it was approved or rejected."""
        return console.moment(approval.decided_at)

    @admin.display(description="amount")
    def money(self, approval: Approval) -> str:
        """What it would add to the balance, or to the credit limit."""
        return console.amount(approval.amount, approval.customer.balance.currency)

    @admin.display
    def call(self, approval: Approval) -> str:
        """The call it is a refund of."""
        return console.call_link(approval.call_id)

    @admin.display(description="entry")
    def posted(self, approval: Approval) -> str:
        """The entry it became."""
        return (
            console.link(console.url_of(approval.entry), approval.entry.public_id)
            if approval.entry
            else console.NOTHING
        )


def _facts(approval: Approval) -> dict[str, Any]:
    balance = approval.customer.balance
    is_limit = approval.kind == Approval.CREDIT_LIMIT
    what, now = ("Credit limit", balance.credit_limit) if is_limit else ("Balance", balance.posted)
    return {
        "Customer": approval.customer,
        "Kind": approval.get_kind_display(),
        "Amount": console.amount(approval.amount, balance.currency),
        f"{what} now": console.amount(now, balance.currency),
        f"{what} then": console.amount(now + approval.amount, balance.currency),
        "Asked by": approval.asked_by,
        "Asked at": console.moment(approval.created_at),
        "Reason": console.numbers(approval.note),
        "Reference": approval.reference or console.NOTHING,
    }
