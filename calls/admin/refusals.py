"""Console: calls that were refused, a line per customer, code and minute."""

from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.db.models import Count, Max, QuerySet, Sum
from django.http import HttpRequest, HttpResponse

from calls.models import Refusal
from minivoice import clock, console, errors

CODES = sorted(
    refusal.code
    for refusal in (
        errors.AccountSuspended,
        errors.CallerIdNotAllowed,
        errors.ConcurrentCallLimitReached,
        errors.CpsLimitReached,
        errors.DestinationBlocked,
        errors.InsufficientBalance,
        errors.NoActiveTrunk,
        errors.NotFound,
        errors.RateNotFound,
        errors.SpendControlExceeded,
        errors.Unavailable,
    )
)


class CodeFilter(admin.SimpleListFilter):
    """What the calls were refused for."""

    title = "code"
    parameter_name = "code"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return what can be chosen: reading the codes from the table would read all of it."""
        return [(code, code) for code in CODES]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Refusal]) -> QuerySet[Refusal]:
        """Return the lines chosen."""
        return queryset.filter(code=self.value()) if self.value() else queryset


@admin.register(Refusal)
class RefusalAdmin(console.ReadOnlyAdmin):
    """Refused calls, newest first, and above them those of the last day by code."""

    list_display = ["at", "customer", "code", "calls", "to", "message"]
    list_filter = [CodeFilter]
    empty_text = "No call was refused."
    list_select_related = ["customer"]
    ordering = ["-minute", "-id"]
    fields = ["customer", "code", "at", "calls", "to", "message"]
    readonly_fields = ["at", "calls", "to", "message"]
    list_before_template = "calls/refusals_by_code.html"

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Show the last day's refusals by code above the list."""
        since = clock.now() - timedelta(days=1)
        recent = Refusal.objects.filter(minute__gte=since).values("code")
        by_code = recent.annotate(calls=Sum("count"), customers=Count("customer", distinct=True), last_at=Max("minute"))
        about = {"by_code": by_code.order_by("-calls", "code")}
        page: HttpResponse = super().changelist_view(request, {**(extra_context or {}), **about})
        return page

    @admin.display(description="minute")
    def at(self, refusal: Refusal) -> str:
        """When."""
        return console.moment(refusal.minute)

    @admin.display(description="calls")
    def calls(self, refusal: Refusal) -> int:
        """How many there were in that minute."""
        return refusal.count

    @admin.display(description="last to")
    def to(self, refusal: Refusal) -> str:
        """The number that the last of them was to."""
        return console.numbers(refusal.last_number)

    @admin.display(description="last message")
    def message(self, refusal: Refusal) -> str:
        """What the last of them was answered."""
        return console.numbers(refusal.last_message)
