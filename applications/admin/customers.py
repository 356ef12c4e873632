"""Console: applications and their keys. Customers are here too, but registered by `billing`, with their money."""

import re
from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget, UnfoldAdminTextInputWidget

from applications import destinations, events, keys, secret
from applications.models import ApiKey, Application, Customer, Notice
from minivoice import addresses, clock, console, inputs


class CustomerForm(forms.ModelForm):  # type: ignore[type-arg]
    """A customer; verified caller ids are E.164 numbers."""

    class Meta:
        model = Customer
        fields = "__all__"  # noqa: DJ007  the admin's fieldsets choose
        lists = ("verified_caller_ids", "allowed_countries", "blocked_prefixes")
        widgets = dict.fromkeys(lists, UnfoldAdminTextInputWidget)
        help_texts = {
            "verified_caller_ids": "E.164 numbers, with commas between them",
            "allowed_countries": "two letters each (ISO 3166), with commas between them; empty: all countries",
            "blocked_prefixes": "first digits of numbers, with commas between them",
        }

    def clean_verified_caller_ids(self) -> list[str]:
        """Refuse what is no E.164 number."""
        numbers: list[str] = [number.strip() for number in self.cleaned_data["verified_caller_ids"]]
        for number in numbers:
            if not inputs.is_e164(number):
                raise ValidationError(f"{number} is not an E.164 number such as +15551230001")
        return numbers

    def clean_allowed_countries(self) -> list[str]:
        """Refuse what is no country with numbers of its own."""
        countries = sorted({country.strip().upper() for country in self.cleaned_data["allowed_countries"]})
        for country in countries:
            if country not in destinations.COUNTRIES:
                raise ValidationError(f"{country} is not a country's two letters such as DE")
        return countries

    def clean_blocked_prefixes(self) -> list[str]:
        """Refuse what no number can begin with."""
        prefixes = sorted({prefix.strip().removeprefix("+") for prefix in self.cleaned_data["blocked_prefixes"]})
        for prefix in prefixes:
            if not re.fullmatch(r"[1-9][0-9]*", prefix):
                raise ValidationError(f"{prefix} is not the first digits of a number, such as 881")
        return prefixes


class CustomerAdmin(console.Admin):
    """What `applications` knows of a customer. `billing` registers it, with what it knows."""

    form = CustomerForm
    list_display = ["name", "status"]
    list_filter: ClassVar[list[Any]] = ["status"]
    search_fields = ["name", "=public_id", "contact_email"]
    search_help_text = "Name, customer id or e-mail"
    ordering = ["-id"]
    empty_text = "No customers yet. Add one: its account comes with it, its first key by its application."
    readonly_fields = ["public_id", "created_at"]
    number_fields = ["verified_caller_ids"]
    fieldsets = [
        (None, {"fields": ["name", "contact_email", "status", "public_id", "created_at"]}),
        ("Limits", {"fields": ["max_concurrent_calls", "max_cps", "funds_warning"]}),
        ("Personal data", {"fields": ["recording_days"]}),
        ("Destinations", {"fields": ["allowed_countries", "blocked_prefixes", "premium_rate_allowed"]}),
        ("Caller ids", {"fields": ["caller_id_policy", "verified_caller_ids"]}),
    ]

    def save_model(self, request: HttpRequest, obj: Customer, form: Any, change: bool) -> None:
        """Save what was changed, and nothing that others may have written meanwhile: a suspension, limits."""
        obj.save(update_fields=form.changed_data) if change else obj.save()


class ApplicationForm(console.SecretsForm):
    """An application; its URLs obey the rule the API has."""

    secrets = ["webhook_secret"]

    class Meta:
        model = Application
        fields = "__all__"
        widgets = {"webhook_events": UnfoldAdminTextInputWidget}
        help_texts = {"webhook_events": "further events it wants, with commas between them, such as call.ringing"}

    def clean_answer_url(self) -> str:
        """Refuse a URL that leads inside."""
        return _checked_url(self.cleaned_data["answer_url"])

    def clean_fallback_url(self) -> str:
        """Refuse a URL that leads inside."""
        return _checked_url(self.cleaned_data["fallback_url"])

    def clean_webhook_url(self) -> str:
        """Refuse a URL that leads inside."""
        return _checked_url(self.cleaned_data["webhook_url"])

    def clean_webhook_events(self) -> list[str]:
        """Refuse what is never sent."""
        wanted: list[str] = [event.strip() for event in self.cleaned_data["webhook_events"]]
        for event in wanted:
            if event not in events.DOCUMENTED | events.CHOSEN:
                raise ValidationError(f"there is no event {event}")
        return wanted


class EndpointFilter(admin.SimpleListFilter):
    """Applications whose webhook URL is in trouble."""

    title = "webhook endpoint"
    parameter_name = "endpoint"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return what can be chosen."""
        return [("failing", "Failing"), ("disabled", "Disabled")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Application]) -> QuerySet[Application]:
        """Return the applications chosen."""
        if self.value() is None:
            return queryset
        failing = queryset.filter(webhook_failing_since__isnull=False)
        return failing.filter(webhook_disabled_at__isnull=self.value() == "failing")


class KeyForm(console.ReasonForm):
    """What a new key may do, and what it is for."""

    scopes = forms.MultipleChoiceField(
        choices=ApiKey.Scope.choices, initial=[ApiKey.Scope.CALLS], widget=UnfoldAdminCheckboxSelectMultipleWidget
    )

    field_order = ("scopes", "reason")


class KeyInline(console.ReadOnlyInline):
    """An application's keys, as far as they can be shown."""

    model = ApiKey
    verbose_name_plural = "API keys"
    fields = ["shown", "name", "scopes", "created_at", "last_used_at", "revoked_at", "revoke"]
    ordering = ["-id"]
    hide_title = True

    @admin.display(description="key")
    def shown(self, key: ApiKey) -> str:
        """Prefix and last four."""
        return str(key)

    @admin.display(description="")
    def revoke(self, key: ApiKey) -> str:
        """The way to revoke a key that works."""
        if key.revoked_at:
            return "revoked"
        url = reverse("admin:applications_application_revoke", args=[key.application_id, key.pk])
        return console.link(url, "Revoke", label=f"Revoke {key}")


@admin.register(Application)
class ApplicationAdmin(console.Admin):
    """Applications: deactivated rather than deleted."""

    form = ApplicationForm
    list_display = ["name", "customer", "public_id", "is_active", "trouble", "created_at"]
    list_filter = ["is_active", EndpointFilter]
    list_select_related = ["customer"]
    search_fields = ["name", "=public_id", "customer__name"]
    search_help_text = "Name, application id or customer"
    ordering = ["-id"]
    empty_text = "No applications yet. Add one to a customer, and issue its key."
    autocomplete_fields = ["customer"]
    readonly_fields = ["public_id", "created_at", "endpoint"]
    fixed_fields = ["customer"]
    secret_fields = ["webhook_secret"]
    fieldsets = [
        (None, {"fields": ["customer", "name", "is_active", "public_id", "created_at"]}),
        ("Instructions", {"fields": ["answer_url", "answer_method", "fallback_url"]}),
        ("Webhooks", {"fields": ["webhook_url", "endpoint", "webhook_secret", "webhook_events"]}),
    ]
    inlines = [KeyInline]
    actions_detail = ["issue_key", "enable_endpoint"]

    def get_urls(self) -> list[URLPattern]:
        """Add the page that revokes a key."""
        revoke = path(
            "<int:object_id>/keys/<int:key_id>/revoke/",
            self.admin_site.admin_view(self.revoke_key),
            name="applications_application_revoke",
        )
        return [revoke, *super().get_urls()]

    def get_actions_detail(self, request: HttpRequest, object_id: str) -> list[Any]:
        """Offer to enable an endpoint that is disabled."""
        application = self.get_object(request, object_id)
        actions: list[Any] = super().get_actions_detail(request, object_id)
        if application and application.webhook_disabled_at:
            return actions
        return [action for action in actions if not action.action_name.endswith("enable_endpoint")]

    def save_model(self, request: HttpRequest, obj: Application, form: Any, change: bool) -> None:
        """Save what was changed, and nothing that the pump may have written meanwhile.

        A new URL is enabled; beside a new secret the old one signs on for a while.
        """
        if not change:
            obj.save()
            return
        renewed = obj.renew_endpoint(clock.now()) if "webhook_url" in form.changed_data else []
        obj.save(update_fields=[*(name for name in form.changed_data if name != "webhook_secret"), *renewed])
        if "webhook_secret" in form.changed_data:
            secret.replace(obj, secret=obj.webhook_secret, now=clock.now())

    @admin.display(description="webhook endpoint")
    def endpoint(self, application: Application) -> str:
        """How the webhook URL fares."""
        if application.webhook_disabled_at:
            at = console.moment(application.webhook_disabled_at)
            return format_html("Disabled at {}: {}", at, application.disabled_because())
        if application.webhook_failing_since:
            return format_html("Failing since {}", console.moment(application.webhook_failing_since))
        return "No failure since the last success" if application.webhook_url else console.NOTHING

    @admin.display(description="webhooks")
    def trouble(self, application: Application) -> str:
        """The trouble with its webhook URL, if there is any."""
        if application.webhook_disabled_at:
            return format_html("disabled since {}", console.moment(application.webhook_disabled_at))
        failing_since = application.webhook_failing_since
        return format_html("failing since {}", console.moment(failing_since)) if failing_since else console.NOTHING

    @console.action(
        description="Enable endpoint",
        url_path="enable-endpoint",
        permission="applications.change_application",
        icon="webhook",
    )
    def enable_endpoint(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask for a reason; have events sent to the webhook URL again."""
        application = self.find(request, object_id)
        form = console.ReasonForm(console.answers(request))
        if not form.is_valid():
            facts = {"Application": application, "Webhook URL": application.webhook_url}
            facts["Endpoint"] = self.endpoint(application)
            title = "Send events to this endpoint again"
            return self.ask(request, application, form=form, title=title, button="Enable", facts=facts)
        if application.webhook_disabled_at:
            with transaction.atomic():
                application.save(update_fields=application.renew_endpoint(clock.now()))
                why = form.cleaned_data["reason"]
                self.log_change(request, application, f"webhook endpoint enabled. Reason: {why}")
        messages.success(request, "The endpoint is enabled. What it has missed is sent when it is replayed.")
        return self.back_to(application)

    @console.action(description="Issue a key", url_path="issue-key", permission="applications.add_apikey", icon="key")
    def issue_key(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask for scopes and a reason; issue a key and show it, this once."""
        application = self.find(request, object_id)
        form = KeyForm(console.answers(request))
        if not form.is_valid():
            facts = {"Application": application, "Customer": application.customer}
            return self.ask(request, application, form=form, title="Issue an API key", button="Issue key", facts=facts)
        scopes, why = form.cleaned_data["scopes"], form.cleaned_data["reason"]
        with transaction.atomic():
            key, text = keys.issue(application=application, scopes=scopes)
            said = f"API key {key} issued with scopes {', '.join(scopes)}"
            self.log_change(request, application, f"{said}. Reason: {why}")
        return self.page(request, "console/key.html", application, title=f"API key {key}", key=text)

    def revoke_key(self, request: HttpRequest, object_id: int, key_id: int) -> HttpResponse:
        """Ask for a reason; revoke a key for good."""
        application = self.find(request, str(object_id))
        key = ApiKey.objects.filter(application=application, pk=key_id).first()
        if key is None:
            raise Http404
        if not request.user.has_perm("applications.change_apikey"):
            raise PermissionDenied
        form = console.ReasonForm(console.answers(request))
        if not form.is_valid():
            facts = {"Key": key, "Scopes": ", ".join(key.scopes), "Issued": key.created_at}
            return self.ask(
                request, application, form=form, title="Revoke an API key", button="Revoke key", facts=facts
            )
        with transaction.atomic():
            working = ApiKey.objects.filter(pk=key.pk, revoked_at=None)
            if working.update(revoked_at=clock.now()):
                self.log_change(request, application, f"API key {key} revoked. Reason: {form.cleaned_data['reason']}")
        messages.success(request, f"API key {key} is revoked.")
        return self.back_to(application)


@admin.register(Notice)
class NoticeAdmin(console.ReadOnlyAdmin):
    """Mail to customers, newest first."""

    list_display = ["created", "customer", "kind", "recipient", "sent", "attempts"]
    list_filter = ["kind", ("sent_at", admin.EmptyFieldListFilter)]
    list_select_related = ["customer"]
    search_fields = ["customer__name", "=recipient"]
    ordering = ["-id"]
    empty_text = (
        "Nothing was written to a customer yet. It is when a balance is low, a day cap near, or an endpoint disabled."
    )
    fields = ["customer", "kind", "recipient", "copy_to", "subject", "text", "created", "sent", "attempts"]
    readonly_fields = ["created", "sent"]

    @admin.display
    def created(self, notice: Notice) -> str:
        """When there was reason for it."""
        return console.moment(notice.created_at)

    @admin.display
    def sent(self, notice: Notice) -> str:
        """When the mail server took it."""
        return console.moment(notice.sent_at)


def _checked_url(url: str) -> str:
    try:
        if url:
            addresses.check_url(url)
    except ValueError as error:
        raise ValidationError("must be an http or https URL that is reachable from outside") from error
    return url
