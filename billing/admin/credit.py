"""How far below nothing a customer's account may go: set with a reason, a raise above the threshold by two people."""

from decimal import Decimal
from uuid import uuid4

from django import forms
from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from unfold.widgets import UnfoldAdminDecimalFieldWidget

from applications.models import Customer
from billing import approvals, ledger
from billing.admin.sentences import said
from billing.models import Approval, Balance
from minivoice import clock, console


class CreditLimitForm(console.ReasonForm):
    """What the limit shall be. `token` makes a form that is sent twice ask once."""

    credit_limit = forms.DecimalField(
        max_digits=15,
        decimal_places=6,
        min_value=Decimal(0),
        widget=UnfoldAdminDecimalFieldWidget,
        help_text="how far below nothing the account may go",
    )
    token = forms.UUIDField(widget=forms.HiddenInput)

    field_order = ("credit_limit", "reason")


class CreditLimits(console.Admin):
    """What the page of a customer has for its credit limit."""

    @console.action(
        description="Credit limit", url_path="credit-limit", permission="billing.change_balance", icon="credit_score"
    )
    def set_credit_limit(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask for the limit and a reason; set it, or have a raise wait for a second person."""
        customer: Customer = self.find(request, object_id)
        balance = Balance.objects.get(customer=customer)
        form = CreditLimitForm(
            console.answers(request),
            initial={"token": uuid4(), "credit_limit": f"{balance.credit_limit.normalize():f}"},
        )
        if not form.is_valid():
            before = approvals.limit_before(customer_id=customer.pk, now=clock.now())
            alone = before + approvals.threshold(balance.currency)
            facts = {
                "Customer": customer,
                "Posted": console.amount(balance.posted, balance.currency),
                "Credit limit": console.amount(balance.credit_limit, balance.currency),
                "24 hours ago": console.amount(before, balance.currency),
                "Needs approval": f"a raise to more than {console.amount(alone, balance.currency)}",
            }
            return self.ask(request, customer, form=form, title="Credit limit", button="Set", facts=facts)
        try:
            self._set(request, balance, form)
        except ledger.DuplicateEntry:
            messages.warning(request, "Sent twice, asked once. Nothing was changed now.")
        return self.back_to(customer)

    def _set(self, request: HttpRequest, balance: Balance, form: CreditLimitForm) -> None:
        """Set what the form says, or ask for approval. Raises ledger.DuplicateEntry."""
        data = form.cleaned_data
        with transaction.atomic():
            row = approvals.set_limit(
                customer_id=balance.customer_id,
                credit_limit=data["credit_limit"],
                key=f"credit-limit:{data['token']}",
                staff_id=request.user.pk or 0,
                note=data["reason"],
                now=clock.now(),
            )
            told = said(row) if isinstance(row, Approval) else _told(balance, row, data["reason"])
            self.log_change(request, balance.customer, told)
        messages.success(request, f"{told}.")


def _told(before: Balance, after: Balance, reason: str) -> str:
    amounts = [console.amount(balance.credit_limit, balance.currency) for balance in (before, after)]
    return f"credit limit from {amounts[0]} to {amounts[1]}, reason: {reason}"
