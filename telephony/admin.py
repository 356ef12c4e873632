"""Console: the engine, trunks and numbers."""

from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from unfold.widgets import UnfoldAdminTextInputWidget

from minivoice import console, inputs
from telephony.models import Engine, Number, Trunk


class TrunkForm(console.SecretsForm):
    """A trunk; its prefixes are digits."""

    secrets = ["password"]

    class Meta:
        model = Trunk
        fields = "__all__"
        widgets = {"allowed_prefixes": UnfoldAdminTextInputWidget}
        help_texts = {"allowed_prefixes": "first digits, with commas between them; empty: every number"}

    def clean_allowed_prefixes(self) -> list[str]:
        """Refuse what is not digits."""
        prefixes: list[str] = [prefix.strip() for prefix in self.cleaned_data["allowed_prefixes"]]
        if not all(prefix.isascii() and prefix.isdecimal() for prefix in prefixes):
            raise ValidationError("prefixes are digits, without the +")
        return prefixes


@admin.register(Trunk)
class TrunkAdmin(console.Admin):
    """Ways out to carriers: deactivated rather than deleted."""

    form = TrunkForm
    list_display = ["name", "customer", "direction", "gateway_name", "proxy", "priority", "is_active"]
    list_filter = ["is_active", "direction"]
    list_select_related = ["customer"]
    search_fields = ["name", "=public_id", "gateway_name", "proxy"]
    search_help_text = "Name, trunk id, gateway or proxy"
    ordering = ["priority", "id"]
    autocomplete_fields = ["customer"]
    readonly_fields = ["public_id", "created_at", "updated_at"]
    fixed_fields = ["customer"]
    secret_fields = ["password"]
    fieldsets = [
        (None, {"fields": ["customer", "name", "is_active", "public_id", "created_at", "updated_at"]}),
        ("Carrier", {"fields": ["direction", "gateway_name", "proxy", "username", "password"]}),
        ("Routing", {"fields": ["priority", "allowed_prefixes"]}),
    ]


class NumberForm(forms.ModelForm):  # type: ignore[type-arg]
    """A number and the application it rings at, both the same customer's."""

    class Meta:
        model = Number
        fields = "__all__"  # noqa: DJ007  the admin's fields choose

    def clean_number_e164(self) -> str:
        """Refuse what is no E.164 number."""
        number: str = self.cleaned_data["number_e164"]
        if not inputs.is_e164(number):
            raise ValidationError("must be an E.164 number such as +15551230001")
        return number

    def clean(self) -> dict[str, Any]:
        """Refuse a stranger's application."""
        cleaned = super().clean() or self.cleaned_data
        application = cleaned.get("application")
        customer = cleaned.get("customer") or (self.instance.customer if self.instance.pk else None)
        if application and customer and application.customer_id != customer.pk:
            self.add_error("application", "belongs to another customer")
        return cleaned


@admin.register(Number)
class NumberAdmin(console.Admin):
    """Customers' numbers: deactivated rather than deleted."""

    form = NumberForm
    list_display = ["number_e164", "customer", "application", "provider", "is_active"]
    list_filter = ["is_active"]
    list_select_related = ["customer", "application"]
    search_fields = ["number_e164", "=public_id", "customer__name"]
    search_help_text = "Number, its id or customer"
    ordering = ["-id"]
    autocomplete_fields = ["customer", "application"]
    readonly_fields = ["public_id", "created_at", "updated_at"]
    fixed_fields = ["customer", "number_e164"]
    fields = [
        *("number_e164", "customer", "application", "provider", "is_active"),
        *("public_id", "created_at", "updated_at"),
    ]


class EngineForm(console.SecretsForm):
    """How to command an engine."""

    secrets = ["password"]

    class Meta:
        model = Engine
        fields = ["name", "url", "user", "password"]


@admin.register(Engine)
class EngineAdmin(console.Admin):
    """The telephone engine."""

    form = EngineForm
    list_display = ["name", "url", "seen_at"]
    fields = ["name", "url", "user", "password", "seen_at"]
    readonly_fields = ["seen_at"]
    secret_fields = ["password"]
