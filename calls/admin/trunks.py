"""Console: how a trunk fares, and a call to try it."""

from typing import Any
from uuid import uuid4

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from applications.models import Application
from calls import capacity, trial
from calls.models import Call
from minivoice import clock, console, errors, inputs
from telephony.admin import TrunkAdmin
from telephony.models import Number, Trunk

admin.site.unregister(Trunk)


class PhoneField(forms.CharField):
    """An E.164 number."""

    widget = UnfoldAdminTextInputWidget

    def clean(self, value: Any) -> str:
        """Refuse what is no E.164 number."""
        number: str = super().clean(value)
        if not inputs.is_e164(number):
            raise ValidationError("must be an E.164 number such as +15551230001")
        return number


class TestCallForm(console.ReasonForm):
    """Whom to call, and who pays: of a customer's trunk one of its applications, of the platform's anyone's."""

    token = forms.UUIDField(widget=forms.HiddenInput)
    to_number = PhoneField(label="Number to call")
    from_number = PhoneField(label="Number to show")
    application = forms.ModelChoiceField(
        Application.objects.filter(is_active=True).select_related("customer"),
        to_field_name="public_id",
        error_messages={"invalid_choice": "there is no such active application"},
    )

    def __init__(self, trunk: Trunk, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        field: Any = self.fields["application"]
        if trunk.customer_id is None:
            field.widget = UnfoldAdminTextInputWidget()
            field.label, field.help_text = "Application id", "such as app_…; its customer pays"
        else:
            field.widget = UnfoldAdminSelectWidget()
            field.queryset = field.queryset.filter(customer=trunk.customer_id)
            field.help_text = f"{trunk.customer} pays"


@admin.register(Trunk)
class CallingTrunkAdmin(TrunkAdmin):
    """Trunks with what became of their calls, and the way to try one."""

    actions_detail = [*TrunkAdmin.actions_detail, "test_call"]
    change_form_outer_before_template = "console/trunk_health.html"

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show a trunk's health above its settings."""
        trunk = self.get_object(request, object_id)
        about = _health(trunk) if trunk and self.has_view_permission(request, trunk) else {}
        page: HttpResponse = super().change_view(request, object_id, form_url, {**(extra_context or {}), **about})
        return page

    @console.action(description="Test call", url_path="test-call", permission="calls.add_call", icon="call")
    def test_call(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask whom to call and who pays; place the call and show its page."""
        trunk: Trunk = self.find(request, object_id)
        own_numbers = Number.objects.filter(customer=trunk.customer_id, is_active=True).order_by("id")
        initial = {"token": uuid4(), "from_number": own_numbers.values_list("number_e164", flat=True).first() or ""}
        form = TestCallForm(trunk, console.answers(request), initial=initial)
        if form.is_valid() and (call := self._placed(request, trunk, form)):
            messages.success(request, "The test call is placed. This page shows how it goes: load it again.")
            return self.back_to(call)
        facts = {
            "Trunk": trunk,
            "Customer": trunk.customer or "the platform",
            "State": f"{trunk.state} {trunk.state_reason}",
            "The call": "over this trunk alone; it speaks a sentence, hangs up, and costs what any call costs",
        }
        return self.ask(request, trunk, form=form, title="Test call", button="Call", facts=facts)

    def _placed(self, request: HttpRequest, trunk: Trunk, form: TestCallForm) -> Call | None:
        data = form.cleaned_data
        try:
            call = trial.place(
                trunk=trunk,
                application=data["application"],
                from_number=data["from_number"],
                to_number=data["to_number"],
                token=str(data["token"]),
                now=clock.now(),
            )
        except errors.ApiError as refusal:
            form.add_error(None, f"{refusal.message} ({refusal.code})")
            return None
        said = f"test call {call.public_id} to {call.to_number}. Reason: {data['reason']}"
        for row in (trunk, call):
            self.log_change(request, row, said)
        return call


def _health(trunk: Trunk) -> dict[str, Any]:
    """Return what the trunk's page shows of its calls."""
    hour = capacity.last_hour(trunk_id=trunk.pk, now=clock.now())
    most = f" of {trunk.max_channels}" if trunk.max_channels else ""
    rate = f"{hour.answered / hour.attempts:.0%} of {hour.attempts}" if hour.attempts else console.NOTHING
    failures = ", ".join(f"{code or 'no SIP code'}: {count}" for code, count in hour.failures)
    return {
        "facts": [
            ("State", trunk.state),
            ("Why", trunk.state_reason or console.NOTHING),
            ("Since", console.moment(trunk.state_at)),
            ("Calls up", f"{hour.calls_up}{most}"),
            ("Answered, last hour", rate),
            ("Failures, by SIP code", failures or console.NOTHING),
        ]
    }
