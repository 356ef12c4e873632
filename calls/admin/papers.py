"""Console: what people take away, as jobs: exports of a customer or of all, and a customer's statements."""

from datetime import date, datetime, timedelta
from typing import Any

from django import forms
from django.contrib import admin
from django.core.validators import MaxValueValidator, MinValueValidator
from django.http import HttpRequest, HttpResponse
from unfold.widgets import UnfoldAdminRadioSelectWidget, UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from applications.admin.jobs import JobAdmin, ask
from applications.models import Customer, Job
from calls import exports, papers, statements
from minivoice import clock, console

_MONTHS_BACK = 24
_DAYS = [MinValueValidator(date(2000, 1, 1)), MaxValueValidator(date(2999, 12, 31))]
_FORMATS = [("csv", "CSV"), ("xlsx", "XLSX, for spreadsheets")]


class ExportForm(forms.Form):
    """What is exported, and of which days."""

    what = forms.ChoiceField(
        label="Rows",
        choices=[("calls", "Calls"), ("ledger", "Ledger"), ("usage", "Usage by day")],
        widget=UnfoldAdminRadioSelectWidget,
    )
    first = forms.DateField(
        label="First day (UTC)", validators=_DAYS, widget=UnfoldAdminTextInputWidget({"type": "date"})
    )
    last = forms.DateField(
        label="Last day (UTC)", validators=_DAYS, widget=UnfoldAdminTextInputWidget({"type": "date"})
    )
    form = forms.ChoiceField(label="Format", choices=_FORMATS, widget=UnfoldAdminRadioSelectWidget)

    def clean(self) -> dict[str, Any]:
        """Refuse a period that ends before it begins."""
        cleaned = super().clean() or self.cleaned_data
        if "first" in cleaned and "last" in cleaned and cleaned["last"] < cleaned["first"]:
            self.add_error("last", "is before the first day")
        return cleaned


class StatementForm(forms.Form):
    """Which month, and what kind of file."""

    month = forms.ChoiceField(label="Month (UTC)", widget=UnfoldAdminSelectWidget)
    form = forms.ChoiceField(
        label="Format",
        choices=[("pdf", "PDF"), ("csv", "CSV")],
        initial="pdf",
        widget=UnfoldAdminRadioSelectWidget,
    )

    def __init__(self, now: datetime, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        months = [now.date().replace(day=1)]
        while len(months) <= _MONTHS_BACK:
            months.append(_last_month(months[-1])[0])
        so_far = {month: ", provisional" if statements.is_provisional(month, now=now) else "" for month in months}
        choices = [(month.isoformat(), f"{month:%B %Y}{so_far[month]}") for month in months]
        field: Any = self.fields["month"]
        field.choices, field.initial = choices, choices[1][0]


class Papers(console.Admin):
    """What the page of a customer has for taking away."""

    @console.action(description="Statement", url_path="statement", permission=papers.PERMISSION, icon="receipt_long")
    def statement(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask for a month; have a customer's statement made."""
        customer: Customer = self.find(request, object_id)
        form = StatementForm(clock.now(), console.answers(request))
        if not form.is_valid():
            facts = {"Customer": customer, "Result": "a file, kept for a day"}
            return self.ask(request, customer, form=form, title="Statement", button="Make", facts=facts)
        title = f"Statement of {customer}, {form.cleaned_data['month'][:7]}"
        self.log_change(request, customer, f"asked for: {title}")
        return ask(request, kind=papers.JOB, title=title, params={**form.cleaned_data, "customer": customer.pk})

    @console.action(description="Export", url_path="export", permission=exports.PERMISSION, icon="download")
    def export(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask what; have a customer's rows exported."""
        customer: Customer = self.find(request, object_id)
        return _exported(self, request, customer)


admin.site.unregister(Job)


@admin.register(Job)
class PaperJobAdmin(JobAdmin):
    """Jobs, and the way to an export of all customers."""

    actions_list = ["export"]

    @console.action(
        description="Export of all customers", url_path="export", permission=exports.PERMISSION, icon="download"
    )
    def export(self, request: HttpRequest) -> HttpResponse:
        """Ask what; have everybody's rows exported."""
        return _exported(self, request, None)


def _exported(page: console.Admin, request: HttpRequest, customer: Customer | None) -> HttpResponse:
    first, last = _last_month(clock.now().date())
    form = ExportForm(console.answers(request), initial={"what": "calls", "first": first, "last": last, "form": "csv"})
    if not form.is_valid():
        facts = {"Customer": customer or "all customers", "Result": "a file, kept for a day"}
        return page.ask(request, customer, form=form, title="Export", button="Export", facts=facts)
    data = form.cleaned_data
    title = exports.title(what=data["what"], customer=customer, first=data["first"], last=data["last"])
    params = {
        **data,
        "first": data["first"].isoformat(),
        "last": data["last"].isoformat(),
        "customer": customer and customer.pk,
    }
    if customer:
        page.log_change(request, customer, f"export asked for: {title}")
    return ask(request, kind=exports.JOB, title=title, params=params)


def _last_month(today: date) -> tuple[date, date]:
    last = today.replace(day=1) - timedelta(days=1)
    return last.replace(day=1), last
