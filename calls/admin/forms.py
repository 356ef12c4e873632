"""Questions before an act on a call or a customer."""

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from django import forms
from unfold.widgets import (
    UnfoldAdminDecimalFieldWidget,
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanWidget,
)

from minivoice import console

_MOST_DAYS = 92


class NoteForm(forms.Form):
    """What staff want others to know of a call."""

    note = forms.CharField(
        max_length=500,
        widget=UnfoldAdminTextareaWidget({"rows": 3}),
        help_text="for staff; the customer does not see it",
    )


class RefundForm(console.ReasonForm):
    """What is given back of a call's charge. `token` makes a form that is sent twice post once."""

    amount = forms.DecimalField(
        max_digits=15, decimal_places=6, min_value=Decimal("0.000001"), widget=UnfoldAdminDecimalFieldWidget
    )
    token = forms.UUIDField(widget=forms.HiddenInput)

    field_order = ("amount", "reason")


class LimitsForm(console.ReasonForm):
    """Limits that a customer has until a day is over; what is left empty stays as it is."""

    concurrent_calls = forms.IntegerField(
        label="calls up at one time",
        required=False,
        min_value=1,
        max_value=100_000,
        widget=UnfoldAdminIntegerFieldWidget,
    )
    cps = forms.IntegerField(
        label="calls accepted in any one second",
        required=False,
        min_value=1,
        max_value=10_000,
        widget=UnfoldAdminIntegerFieldWidget,
    )
    last_day = forms.DateField(
        label="last day (UTC)",
        widget=UnfoldAdminTextInputWidget({"type": "date"}),
        help_text=f"when it is over the customer's own limits are back; at most {_MOST_DAYS} days from now",
    )

    field_order = ("concurrent_calls", "cps", "last_day", "reason")

    def __init__(self, *args: Any, today: date, **options: Any) -> None:
        super().__init__(*args, **options)
        self.today = today

    def clean_last_day(self) -> date:
        """Refuse a day that is over, or far away."""
        day: date = self.cleaned_data["last_day"]
        if not self.today <= day <= self.today + timedelta(days=_MOST_DAYS):
            raise forms.ValidationError(f"must be today ({self.today}), or one of the {_MOST_DAYS} days after it")
        return day

    def clean(self) -> dict[str, Any]:
        """Refuse limits that limit nothing."""
        cleaned = super().clean() or self.cleaned_data
        if not self.errors and not cleaned.get("concurrent_calls") and not cleaned.get("cps"):
            raise forms.ValidationError("give one limit at least")
        return cleaned

    @property
    def until(self) -> datetime:
        """The end of the last day."""
        return datetime.combine(self.cleaned_data["last_day"] + timedelta(days=1), time(), UTC)


class SuspendForm(console.ReasonForm):
    """The question before a suspension."""

    hang_up = forms.BooleanField(
        required=False, widget=UnfoldBooleanWidget, help_text="otherwise calls that are up go on"
    )
