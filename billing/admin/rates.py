"""Price lists: written as drafts, published for good."""

from typing import Any

from django.contrib import admin, messages
from django.db import transaction
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from unfold.paginator import InfinitePaginator

from billing import versions
from billing.models import DeckVersion, Rate, RateDeck
from minivoice import clock, console


class VersionInline(console.ReadOnlyInline):
    """A deck's versions."""

    model = DeckVersion
    fields = ["effective_from", "state", "created_at"]
    ordering = ["-effective_from"]
    show_change_link = True
    hide_title = True


@admin.register(RateDeck)
class RateDeckAdmin(console.Admin):
    """Price lists."""

    list_display = ["name", "currency", "created_at"]
    search_fields = ["name"]
    readonly_fields = ["created_at"]
    fixed_fields = ["currency"]
    inlines = [VersionInline]


@admin.register(DeckVersion)
class DeckVersionAdmin(console.Admin):
    """Versions of price lists: written as drafts, then published for good."""

    list_display = ["deck", "effective_from", "state", "rates"]
    list_filter = ["state", "deck"]
    list_select_related = ["deck"]
    ordering = ["-effective_from", "-id"]
    readonly_fields = ["state", "rates", "created_at"]
    fixed_fields = ["deck"]
    actions_detail = ["publish"]

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """A published version stays as it is."""
        return super().has_change_permission(request, obj) and _may_change(obj)

    def get_fields(self, request: HttpRequest, obj: Model | None = None) -> list[str]:
        """Ask for deck and date of a new one."""
        return ["deck", "effective_from", *(self.readonly_fields if obj else ())]

    @admin.display
    def rates(self, version: DeckVersion) -> str:
        """The version's prices."""
        return console.link(f"{reverse('admin:billing_rate_changelist')}?version={version.pk}", "show rates")

    @console.action(description="Publish", url_path="publish", permission="billing.change_deckversion", icon="publish")
    def publish(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask for a reason; make a draft live from its date on."""
        version: DeckVersion = self.find(request, object_id)
        form = console.ReasonForm(console.answers(request))
        if not form.is_valid():
            count = version.rates.count()
            facts = {"Deck": version.deck, "In force from": version.effective_from, "Rates": count}
            title, button = "Publish these prices for good", "Publish"
            return self.ask(request, version, form=form, title=title, button=button, facts=facts)
        try:
            with transaction.atomic():
                published = versions.publish(version, now=clock.now())
                if published:
                    why = form.cleaned_data["reason"]
                    self.log_change(request, version, f"state from draft to live. Reason: {why}")
        except versions.NotPossible as error:
            messages.error(request, f"Not published: {error}.")
            return self.back_to(version)
        messages.success(request, "Published." if published else "It was published before.")
        return self.back_to(version)


class VersionFilter(admin.SimpleListFilter):
    """Rates by version."""

    title = "version"
    parameter_name = "version"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return all versions, newest first."""
        versions = DeckVersion.objects.select_related("deck").order_by("-effective_from")
        return [(str(version.pk), f"{version} ({version.state})") for version in versions]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Rate]) -> QuerySet[Rate]:
        """Return the rates of the version asked for."""
        value = self.value() or ""
        return queryset.filter(version_id=int(value)) if value.isdecimal() else queryset


@admin.register(Rate)
class RateAdmin(console.Admin):
    """Prices; edited only while their version is a draft."""

    list_display = ["prefix", "description", "price_per_minute", "increments", "connection_fee", "blocked", "version"]
    list_filter = [VersionFilter, "blocked"]
    list_select_related = ["version__deck"]
    search_fields = ["prefix"]
    search_help_text = "First digits, or words of the description"
    ordering = ["version", "prefix"]
    paginator = InfinitePaginator
    fixed_fields = ["version"]

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Only a draft's rates are edited."""
        return super().has_change_permission(request, obj) and _may_change(obj)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Only a draft's rates are taken out."""
        may = request.user.has_perm("billing.delete_rate")
        return may and obj is not None and _may_change(obj)

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **options: Any) -> Any:
        """Offer drafts to add rates to."""
        if db_field.name == "version":
            drafts = DeckVersion.objects.filter(state=DeckVersion.State.DRAFT)
            options["queryset"] = drafts.select_related("deck")
        return super().formfield_for_foreignkey(db_field, request, **options)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Rate], search_term: str
    ) -> tuple[QuerySet[Rate], bool]:
        """Find by first digits, or by words of the description."""
        term = search_term.strip().removeprefix("+")
        if not term:
            return queryset, False
        found = {"prefix__startswith": term} if term.isdecimal() else {"description__icontains": term}
        return queryset.filter(**found), False

    @admin.display
    def increments(self, rate: Rate) -> str:
        """Initial and subsequent seconds, as written in the trade."""
        return f"{rate.initial_increment}/{rate.subsequent_increment}"


def _may_change(row: Model | None) -> bool:
    """Whether a version, or a rate by its version, is still a draft; without a row, whether any could be."""
    version = row.version if isinstance(row, Rate) else row
    return not isinstance(version, DeckVersion) or version.state == DeckVersion.State.DRAFT
