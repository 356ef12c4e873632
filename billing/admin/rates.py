"""Price lists: written as drafts, published for good."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db import transaction
from django.db.models import Model, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from unfold.paginator import InfinitePaginator

from applications import jobs
from applications.admin.jobs import ask, asker, to_page
from applications.models import Job
from billing import importing, versions
from billing.admin.sheets import ColumnsForm, SheetForm
from billing.models import DeckVersion, Rate, RateDeck
from minivoice import clock, console

_MOST_DIGITS = 15  # of a prefix


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
    empty_text = "No rate decks yet. Add a price list first: customers, and their calls, need one."
    search_fields = ["name"]
    readonly_fields = ["created_at"]
    fixed_fields = ["currency"]
    inlines = [VersionInline]
    actions_detail = ["import_rates"]

    def get_urls(self) -> list[URLPattern]:
        """Add the page that asks which column is what."""
        columns = path(
            "<int:object_id>/import-rates/<str:job_id>/",
            self.admin_site.admin_view(self.choose_columns),
            name="billing_ratedeck_columns",
        )
        return [columns, *super().get_urls()]

    @console.action(
        description="Import rates", url_path="import-rates", permission="billing.add_deckversion", icon="upload_file"
    )
    def import_rates(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask for a rate sheet and its date; go on to its columns."""
        deck: RateDeck = self.find(request, object_id)
        form = SheetForm(console.answers(request), request.FILES if request.method == "POST" else None)
        if not form.is_valid():
            facts = {"Deck": deck, "Result": "a draft and a preview; nothing is live before it is published"}
            return self.ask(request, deck, form=form, title="Import rates", button="Upload", facts=facts)
        file, effective_from = form.cleaned_data["file"], form.cleaned_data["effective_from"]
        job = jobs.prepare(
            kind=importing.JOB,
            title=f"Import of {file.name} into {deck}",
            params={
                "deck": deck.pk,
                "file": file.name,
                "effective_from": effective_from and clock.text(effective_from),
                "columns": form.columns,
                "sample": form.sample,
            },
            asked_by=asker(request, importing.JOB),
            source=file,
            now=clock.now(),
        )
        return HttpResponseRedirect(reverse("admin:billing_ratedeck_columns", args=[deck.pk, job.public_id]))

    def choose_columns(self, request: HttpRequest, object_id: int, job_id: str) -> HttpResponse:
        """Ask which column is what; have the file imported."""
        deck: RateDeck = self.find(request, str(object_id))
        own = Job.objects.filter(kind=importing.JOB, asked_by=asker(request, importing.JOB), params__deck=deck.pk)
        job = own.filter(public_id=job_id).first()
        if job is None:
            raise Http404
        found, sample = job.params["columns"], job.params["sample"]
        form = ColumnsForm(console.answers(request), columns_found=found, sample=sample)
        if not form.is_valid():
            facts = {"Deck": deck, "File": job.params["file"]}
            return self.ask(request, deck, form=form, title="Which column is what?", button="Import", facts=facts)
        if jobs.release(job, params={"chosen": form.cleaned_data}):
            self.log_change(request, deck, f"rates of {job.params['file']} to be imported into a draft")
        return to_page(job)


class DraftAdmin(console.Admin):
    """What is edited while a version is a draft, and never while it is being published."""

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Say so when the version was published between the form and its answer."""
        try:
            page: HttpResponse = super().changeform_view(request, object_id, form_url, extra_context)
        except versions.NotPossible as error:
            return self._refused(request, "saved", error)
        return page

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Say so when the version was published between the question and its answer."""
        try:
            page: HttpResponse = super().delete_view(request, object_id, extra_context)
        except versions.NotPossible as error:
            return self._refused(request, "deleted", error)
        return page

    def _refused(self, request: HttpRequest, act: str, error: versions.NotPossible) -> HttpResponse:
        messages.error(request, f"Not {act}: {error}.")
        return HttpResponseRedirect(self.list_url())


@admin.register(DeckVersion)
class DeckVersionAdmin(DraftAdmin):
    """Versions of price lists: written as drafts, then published for good."""

    list_display = ["deck", "effective_from", "state", "prices"]
    list_filter = ["state", "deck"]
    list_select_related = ["deck"]
    ordering = ["-effective_from", "-id"]
    empty_text = "No versions yet. Import rates, on the page of a rate deck, makes one."
    readonly_fields = ["state", "prices", "created_at"]
    fixed_fields = ["deck"]
    actions_detail = ["publish", "preview_again", "undo"]
    change_form_outer_before_template = "billing/preview.html"

    def get_actions_detail(self, request: HttpRequest, object_id: str) -> list[Any]:
        """Offer to publish, and to look at, what is not live."""
        version = self.get_object(request, object_id)
        actions: list[Any] = super().get_actions_detail(request, object_id)
        if version and _may_change(version):
            return actions
        return [action for action in actions if action.action_name.endswith("undo")]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show what a version would change, or has changed, above its settings."""
        version = self.get_object(request, object_id)
        about = {**(extra_context or {}), **(_previewed(version) if version else {})}
        page: HttpResponse = super().change_view(request, object_id, form_url, about)
        return page

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """A published version stays as it is."""
        return super().has_change_permission(request, obj) and _may_change(obj)

    def get_fields(self, request: HttpRequest, obj: Model | None = None) -> list[str]:
        """Ask for deck and date of a new one."""
        return ["deck", "effective_from", *(self.readonly_fields if obj else ())]

    def save_model(self, request: HttpRequest, obj: DeckVersion, form: Any, change: bool) -> None:
        """Save a draft; of one that was there, only what was changed: its state is of when the form was read."""
        if not change:
            super().save_model(request, obj, form, change)
            return
        versions.edit(obj.pk, now=clock.now())
        obj.save(update_fields=form.changed_data)

    @admin.display(description="rates")  # as no relation is called: a list could be sorted by that, row by row of it
    def prices(self, version: DeckVersion) -> str:
        """The version's prices."""
        return console.link(f"{reverse('admin:billing_rate_changelist')}?version={version.pk}", "show rates")

    @console.action(description="Publish", url_path="publish", permission="billing.change_deckversion", icon="publish")
    def publish(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask for a reason; make a draft live from its date on."""
        version: DeckVersion = self.find(request, object_id)
        form = console.ReasonForm(console.answers(request))
        if not form.is_valid():
            facts = {
                "Deck": version.deck,
                "In force from": console.moment(max(version.effective_from, clock.now())),
                "Rates": f"{version.rates.count():,}",
                **_in_short(version),
            }
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

    @console.action(
        description="Preview again",
        url_path="preview",
        permission="billing.change_deckversion",
        icon="preview",
    )
    def preview_again(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask, and have a job look once more at what a draft would change."""
        version: DeckVersion = self.find(request, object_id)
        form = forms.Form(console.answers(request))
        if not form.is_valid():
            facts, title = {"Version": version}, "Look again at what this draft would change"
            return self.ask(request, version, form=form, title=title, button="Preview", facts=facts)
        params = {"version": version.pk}
        return ask(request, kind=versions.PREVIEW_JOB, title=f"Preview of {version}", params=params)

    @console.action(description="Undo", url_path="undo", permission="billing.delete_deckversion", icon="undo")
    def undo(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask for a reason; delete a version, so that the one before it is in force again."""
        version: DeckVersion = self.find(request, object_id)
        form = console.ReasonForm(console.answers(request))
        if not form.is_valid():
            before = versions.in_force(version.deck, at=clock.now(), but=version)
            facts = {
                "Version": version,
                "State": version.get_state_display(),
                "In force without it": before or "none: it cannot be undone while it is in force",
            }
            title = "Delete this version and its rates"
            return self.ask(request, version, form=form, title=title, button="Delete", facts=facts)
        deck, said = version.deck, f"{version.get_state_display()} version {version} deleted"
        try:
            with transaction.atomic():
                versions.undo(version, now=clock.now())
                self.log_change(request, deck, f"{said}. Reason: {form.cleaned_data['reason']}")
        except versions.NotPossible as error:
            messages.error(request, f"Not undone: {error}.")
            return self.back_to(version)
        messages.success(request, f"Undone: the {said}.")
        return self.back_to(deck)


class VersionFilter(admin.SimpleListFilter):
    """Rates of one version: there is no list of them all, for what is searched there would be read from every deck.

    Unless another is chosen, it is the version that has come into force last.
    """

    title = "version"
    parameter_name = "version"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return all versions, newest first."""
        found = list(DeckVersion.objects.select_related("deck").order_by("-effective_from"))
        now = clock.now()
        live = [each for each in found if each.state == DeckVersion.State.LIVE and each.effective_from <= now]
        self.default = str((live or found)[0].pk) if found else None
        return [(str(version.pk), f"{version} ({version.state})") for version in found]

    def value(self) -> str | None:
        """Return the version that was chosen, or the one to begin with."""
        return super().value() or self.default

    def choices(self, changelist: Any) -> Iterator[Any]:
        """Return the versions, without a choice of all."""
        _, *versions = super().choices(changelist)
        return iter(versions)

    def queryset(self, request: HttpRequest, queryset: QuerySet[Rate]) -> QuerySet[Rate]:
        """Return the rates of the version chosen."""
        value = self.value() or ""
        return queryset.filter(version_id=int(value)) if value.isdecimal() else queryset.none()


@admin.register(Rate)
class RateAdmin(DraftAdmin):
    """Prices; edited only while their version is a draft."""

    list_display = ["prefix", "description", "price_per_minute", "increments", "connection_fee", "barred", "version"]
    list_filter = [VersionFilter, "blocked"]
    list_select_related = ["version__deck"]
    search_fields = ["prefix"]
    search_help_text = "First digits, or words of the description, among the rates of the version that is chosen"
    ordering = ["version", "prefix"]
    empty_text = "No rates yet. Import rates, on the page of a rate deck, or add one to a draft."
    paginator = InfinitePaginator
    fixed_fields = ["version"]

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Only a draft's rates are edited."""
        return super().has_change_permission(request, obj) and _may_change(obj)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Only a draft's rates are taken out."""
        may = request.user.has_perm("billing.delete_rate")
        return may and obj is not None and _may_change(obj)

    def save_model(self, request: HttpRequest, obj: Rate, form: Any, change: bool) -> None:
        """Save a rate of a draft."""
        versions.edit(obj.version_id, now=clock.now())
        super().save_model(request, obj, form, change)

    def delete_model(self, request: HttpRequest, obj: Rate) -> None:
        """Take a rate out of a draft."""
        versions.edit(obj.version_id, now=clock.now())
        super().delete_model(request, obj)

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **options: Any) -> Any:
        """Offer drafts to add rates to."""
        if db_field.name == "version":
            drafts = DeckVersion.objects.filter(state=DeckVersion.State.DRAFT)
            options["queryset"] = drafts.select_related("deck")
        return super().formfield_for_foreignkey(db_field, request, **options)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Rate], search_term: str
    ) -> tuple[QuerySet[Rate], bool]:
        """Find by first digits, as a range of the index of the version's prefixes, or by words of the description."""
        term = search_term.strip().removeprefix("+")
        if not term:
            return queryset, False
        if term.isascii() and term.isdecimal():
            return queryset.filter(prefix__range=(term, term.ljust(_MOST_DIGITS, "9"))), False
        return queryset.filter(description__icontains=term), False

    @admin.display(description="blocked")
    def barred(self, rate: Rate) -> str:
        """Whether calls to it are refused."""
        return "blocked" if rate.blocked else console.NOTHING

    @admin.display
    def increments(self, rate: Rate) -> str:
        """Initial and subsequent seconds, as written in the trade."""
        return f"{rate.initial_increment}/{rate.subsequent_increment}"


def _previewed(version: DeckVersion) -> dict[str, Any]:
    """Return what a version's page shows of its preview."""
    preview = version.preview
    if not preview:
        return {}
    seen_at = datetime.fromisoformat(preview["at"])
    counts = [{**change, "count": f"{change['count']:,}"} for change in preview["changes"]]
    return {
        "changes": counts,
        "preview": preview,
        "seen_at": seen_at,
        "is_stale": version.edited_at is not None and version.edited_at > seen_at,
        "currency": version.deck.currency,
        "unsaid": preview.get("invalid", 0) - len(preview.get("invalid_lines", ())),
    }


def _in_short(version: DeckVersion) -> dict[str, Any]:
    """Return the facts of a preview to decide by."""
    if not version.preview:
        return {"Preview": "none was made: nobody has looked at what these prices would change"}
    impact, currency = version.preview["impact"], version.deck.currency
    counts = ", ".join(f"{change['count']:,} {change['kind']}" for change in version.preview["changes"])
    return {
        "Changes": counts or "none",
        "Last 30 days": f"{impact['cost']} {currency} would have been {impact['would_be']} {currency}",
        "Calls refused instead": f"{impact['refused_calls']:,}",
    }


def _may_change(row: Model | None) -> bool:
    """Whether a version, or a rate by its version, is still a draft; without a row, whether any could be."""
    version = row.version if isinstance(row, Rate) else row
    return not isinstance(version, DeckVersion) or version.state == DeckVersion.State.DRAFT
