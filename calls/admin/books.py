"""Console: how the books compared, night by night, and now."""

from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest, HttpResponse

from applications.admin.jobs import ask
from calls import books
from calls.models import Reconciliation
from minivoice import console


@admin.register(Reconciliation)
class ReconciliationAdmin(console.ReadOnlyAdmin):
    """Comparisons of the books, newest first; one can be asked for."""

    list_display = ["ran", "outcome"]
    ordering = ["-id"]
    empty_text = "The books were not compared yet. It happens each night at 03:00 UTC, or now: Reconcile now."
    fields: tuple[str, ...] = ()
    actions_list = ["reconcile"]
    change_form_template = "calls/reconciliation.html"

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show what differed."""
        about = {"unsaid": 0}
        if (found := self.get_object(request, object_id)) is not None:
            about = {"unsaid": found.differences_found - len(found.differences)}
        page: HttpResponse = super().change_view(request, object_id, form_url, {**(extra_context or {}), **about})
        return page

    @console.action(
        description="Reconcile now", url_path="reconcile", permission="calls.add_reconciliation", icon="balance"
    )
    def reconcile(self, request: HttpRequest) -> HttpResponse:
        """Ask; have the books compared."""
        form = forms.Form(console.answers(request))
        if not form.is_valid():
            facts = {
                "Compared": "balances with entries and holds, calls with their charges, days with their calls",
                "Repaired": "nothing: differences are listed, and corrected by people",
            }
            return self.ask(request, None, form=form, title="Compare the books", button="Reconcile", facts=facts)
        return ask(request, kind=books.JOB, title="Reconciliation of the books", params={})

    @admin.display(description="ran at")
    def ran(self, run: Reconciliation) -> str:
        """When."""
        return console.moment(run.ran_at)

    @admin.display
    def outcome(self, run: Reconciliation) -> str:
        """Whether the books agreed."""
        return f"{run.differences_found:,} differences" if run.differences_found else "The books agree"
