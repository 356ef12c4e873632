"""Console: how customers stand; customers with other limits for a while, shut out, and let in again."""

from datetime import datetime
from typing import Any

from django.contrib import admin, messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse

from applications import customers, limits
from applications.models import Customer
from billing.admin.money import PrepaidCustomerAdmin
from calls import suspension
from calls.admin import forms, standing
from calls.admin.papers import Papers
from minivoice import clock, console

admin.site.unregister(Customer)


@admin.register(Customer)
class CallingCustomerAdmin(Papers, PrepaidCustomerAdmin):
    """Customers with their money, and the way to shut them out, which may end their calls."""

    readonly_fields = [*PrepaidCustomerAdmin.readonly_fields, "status"]
    actions_detail = [
        *PrepaidCustomerAdmin.actions_detail,
        *("give_limits", "end_limits", "suspend", "lift", "statement", "export"),
    ]
    change_form_outer_before_template = "calls/customer.html"

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show how a customer stands above its settings."""
        customer = self.get_object(request, object_id)
        may_see = customer and self.has_view_permission(request, customer)
        about = standing.about(customer, request, now=clock.now()) if may_see else {}
        page: HttpResponse = super().change_view(request, object_id, form_url, {**(extra_context or {}), **about})
        return page

    def get_actions_detail(self, request: HttpRequest, object_id: str) -> list[Any]:
        """Offer what can be done as the customer now is."""
        customer = self.get_object(request, object_id)
        idle = ["suspend" if customer and customer.status == Customer.Status.SUSPENDED else "lift"]
        if customer and not limits.are_temporary(customer, at=clock.now()):
            idle.append("end_limits")
        actions = super().get_actions_detail(request, object_id)
        return [action for action in actions if not any(action.action_name.endswith(name) for name in idle)]

    @console.action(
        description="Limits until", url_path="limits", permission="applications.give_limits", icon="more_time"
    )
    def give_limits(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask for limits, a day and a reason; put them in force until that day is over."""
        customer: Customer = self.find(request, object_id)
        now = clock.now()
        form = forms.LimitsForm(console.answers(request), today=now.date())
        if not form.is_valid():
            facts = {"Customer": customer, **_limits(customer, now)}
            return self.ask(request, customer, form=form, title="Limits until a day", button="Give", facts=facts)
        data = form.cleaned_data
        before, until = limits.in_force(customer, at=now), form.until
        with transaction.atomic():
            limits.give(customer, concurrent_calls=data["concurrent_calls"], cps=data["cps"], until=until)
            after = limits.in_force(customer, at=now)
            said = f"limits until {until:%Y-%m-%d %H:%M} UTC from {_words(before)} to {_words(after)}"
            self.log_change(request, customer, f"{said}. Reason: {data['reason']}")
        messages.success(request, f"{customer} has {_words(after)} until {until:%Y-%m-%d %H:%M} UTC.")
        return self.back_to(customer)

    @console.action(
        description="End limits", url_path="end-limits", permission="applications.give_limits", icon="timer_off"
    )
    def end_limits(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask for a reason; put a customer's own limits in force before the day is over."""
        customer: Customer = self.find(request, object_id)
        form = console.ReasonForm(console.answers(request))
        if not form.is_valid():
            facts = {"Customer": customer, **_limits(customer, clock.now())}
            return self.ask(request, customer, form=form, title="End these limits", button="End", facts=facts)
        with transaction.atomic():
            if limits.end(customer):
                self.log_change(request, customer, f"limits ended. Reason: {form.cleaned_data['reason']}")
        messages.success(request, f"{customer} has its own limits again.")
        return self.back_to(customer)

    @console.action(description="Suspend", url_path="suspend", permission="applications.suspend_customer", icon="block")
    def suspend(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask for a reason; have the API refuse the customer, and hang up its calls if that is wanted."""
        customer: Customer = self.find(request, object_id)
        form = forms.SuspendForm(console.answers(request))
        if not form.is_valid():
            facts = {"Customer": customer, "Calls up": suspension.live_calls(customer).count()}
            return self.ask(request, customer, form=form, title="Suspend this customer", button="Suspend", facts=facts)
        reason, hang_up = form.cleaned_data["reason"], form.cleaned_data["hang_up"]
        with transaction.atomic():
            if suspension.suspend(customer, now=clock.now()):
                self.log_change(request, customer, f"status from active to suspended. Reason: {reason}")
        ended = suspension.hang_up_all(customer, now=clock.now()) if hang_up else 0
        if ended:
            self.log_change(request, customer, f"{ended} live calls hung up. Reason: {reason}")
        messages.success(request, f"{customer} is suspended. Calls being hung up: {ended}.")
        return self.back_to(customer)

    @console.action(
        description="Lift suspension", url_path="lift", permission="applications.suspend_customer", icon="lock_open"
    )
    def lift(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask for a reason; let the customer in again."""
        customer: Customer = self.find(request, object_id)
        form = console.ReasonForm(console.answers(request))
        if not form.is_valid():
            facts = {"Customer": customer, "Status": customer.status}
            return self.ask(request, customer, form=form, title="Lift the suspension", button="Lift", facts=facts)
        with transaction.atomic():
            if customers.lift(customer):
                why = form.cleaned_data["reason"]
                self.log_change(request, customer, f"status from suspended to active. Reason: {why}")
        messages.success(request, f"{customer} is active.")
        return self.back_to(customer)


def _limits(customer: Customer, now: datetime) -> dict[str, str]:
    own = f"{customer.max_concurrent_calls} calls up, {customer.max_cps} a second"
    if not limits.are_temporary(customer, at=now):
        return {"Limits": own}
    return {
        "Limits": _words(limits.in_force(customer, at=now)),
        "Until": console.moment(customer.temporary_until),
        "Its own": own,
    }


def _words(these: limits.Limits) -> str:
    return f"{these.concurrent_calls} calls up, {these.cps} a second"
