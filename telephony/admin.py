"""Console: the engine, trunks and numbers."""

import re
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Model
from django.http import HttpRequest, HttpResponse
from unfold.widgets import UnfoldAdminTextInputWidget

from applications.models import Customer
from minivoice import clock, console, errors, inputs
from telephony import numbers, sip, trunks
from telephony.models import Engine, Number, Trunk

_NO_NEW_CALLS = "new calls take another trunk, those that are up go on; its customer cannot enable it"


class ApprovalForm(console.ReasonForm):
    """Why calls may come from the address that was shown."""

    inbound_ip = forms.GenericIPAddressField(
        widget=forms.HiddenInput, error_messages={"required": "the trunk has no inbound IP"}
    )


class TrunkForm(console.SecretsForm):
    """A trunk; its prefixes are digits, and nothing in it can break out of what is written to the engine."""

    secrets = ["password"]

    class Meta:
        model = Trunk
        fields = "__all__"
        widgets = {"allowed_prefixes": UnfoldAdminTextInputWidget, "codecs": UnfoldAdminTextInputWidget}
        help_texts = {
            "allowed_prefixes": "first digits, with commas between them; empty: every number",
            "codecs": "best first, with commas between them: ulaw, alaw, g722, gsm; empty: ulaw, alaw",
        }

    def clean_allowed_prefixes(self) -> list[str]:
        """Refuse what is not digits."""
        prefixes: list[str] = [prefix.strip() for prefix in self.cleaned_data["allowed_prefixes"]]
        if not all(prefix.isascii() and prefix.isdecimal() for prefix in prefixes):
            raise ValidationError("prefixes are digits, without the +")
        return prefixes

    def clean_proxy(self) -> str:
        """Refuse what is no host or host:port; staff may name any."""
        proxy: str = self.cleaned_data["proxy"]
        try:
            sip.place(proxy)
        except ValueError as error:
            raise ValidationError("must be host or host:port") from error
        return proxy

    def clean(self) -> dict[str, Any]:
        """Refuse texts that SIP could misread and what the customer has already; a new inbound address waits."""
        cleaned = super().clean()
        for name, pattern in sip.PATTERNS.items():
            if cleaned.get(name) and not re.fullmatch(pattern, cleaned[name]):
                self.add_error(name, "has characters that are not allowed here")
        if cleaned.get("srtp") and cleaned.get("transport") != Trunk.Transport.TLS:
            self.add_error("srtp", "needs the transport TLS")
        if cleaned.get("registers") and not cleaned.get("username"):
            self.add_error("registers", "needs a user name")
        customer = cleaned.get("customer") or self.instance.customer
        others = Trunk.objects.filter(customer=customer, deleted_at=None).exclude(pk=self.instance.pk)
        for name in ("gateway_name", "inbound_ip"):
            if cleaned.get(name) and others.filter(**{name: cleaned[name]}).exists():
                self.add_error(name, "another trunk of the same customer has it")
        if "inbound_ip" in self.changed_data:
            self.instance.inbound_ip_approved_at = None
        return cleaned


@admin.register(Trunk)
class TrunkAdmin(console.Admin):
    """Ways out to carriers: deactivated rather than deleted."""

    form = TrunkForm
    empty_text = "No trunks yet. Add the way to a carrier: without one no call leaves."
    list_display = ["name", "customer", "direction", "endpoint", "proxy", "priority", "is_active", "state"]
    list_filter = ["is_active", "state", "direction", ("inbound_ip_approved_at", admin.EmptyFieldListFilter)]
    list_select_related = ["customer"]
    search_fields = ["name", "=public_id", "gateway_name", "proxy"]
    search_help_text = "Name, trunk id, gateway or proxy"
    ordering = ["priority", "id"]
    autocomplete_fields = ["customer"]
    readonly_fields = [
        *("public_id", "endpoint", "inbound_ip_approved_at", "disabled_at", "deleted_at", "created_at", "updated_at"),
        *("state", "state_reason", "state_at", "address", "provisioned_at"),
    ]
    fixed_fields = ["customer"]
    secret_fields = ["password"]
    actions_detail = ["disable", "enable", "approve_inbound_ip"]
    fieldsets = [
        (
            None,
            {
                "fields": [
                    *("customer", "name", "is_active", "disabled_at", "public_id"),
                    *("created_at", "updated_at", "deleted_at"),
                ]
            },
        ),
        (
            "Carrier",
            {
                "fields": [
                    "direction",
                    "gateway_name",
                    "endpoint",
                    "proxy",
                    "username",
                    "password",
                    "realm",
                    "from_domain",
                    "transport",
                    "srtp",
                    "codecs",
                    "registers",
                ]
            },
        ),
        ("On the engine", {"fields": ["state", "state_reason", "state_at", "address", "provisioned_at"]}),
        ("Calls in", {"fields": ["inbound_ip", "inbound_ip_approved_at"]}),
        ("Routing", {"fields": ["priority", "allowed_prefixes", "max_channels", "max_cps"]}),
    ]

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> list[str]:
        """Keep a platform trunk's name, which is its name on the engine; what is disabled is enabled by *Enable*."""
        is_platforms = isinstance(obj, Trunk) and obj.customer_id is None
        kept = ["gateway_name"] if is_platforms else []
        kept += ["is_active"] if isinstance(obj, Trunk) and obj.disabled_at else []
        return [*super().get_readonly_fields(request, obj), *kept]

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """What its customer has deleted stays as it was."""
        return not getattr(obj, "deleted_at", None) and super().has_change_permission(request, obj)

    def get_actions_detail(self, request: HttpRequest, object_id: str) -> list[Any]:
        """Offer what can be done as the trunk now is."""
        trunk = self.get_object(request, object_id)
        idle = {"enable"} if not trunk or trunk.deleted_at or trunk.is_active else set()
        idle |= {"disable"} if not trunk or trunk.deleted_at or trunk.disabled_at else set()
        actions = super().get_actions_detail(request, object_id)
        return [action for action in actions if action.path.rpartition("/")[2] not in idle]

    @console.action(description="Disable", url_path="disable", permission="telephony.switch_trunk", icon="block")
    def disable(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask why; have the trunk carry no new calls, whatever its customer wants."""
        return self._switched(request, object_id, is_active=False)

    @console.action(description="Enable", url_path="enable", permission="telephony.switch_trunk", icon="check_circle")
    def enable(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask why; have the trunk carry calls again."""
        return self._switched(request, object_id, is_active=True)

    def _switched(self, request: HttpRequest, object_id: str, *, is_active: bool) -> HttpResponse:
        trunk, word = self.find(request, object_id), "Enable" if is_active else "Disable"
        form = console.ReasonForm(console.answers(request))
        if not form.is_valid():
            told = "new calls may take it" if is_active else _NO_NEW_CALLS
            facts = {"Trunk": trunk, "Customer": trunk.customer or "the platform", "Then": told}
            return self.ask(request, trunk, form=form, title=f"{word} this trunk", button=word, facts=facts)
        with transaction.atomic():
            if trunks.switch(trunk=trunk, is_active=is_active, now=clock.now()):
                self.log_change(request, trunk, f"{word.lower()}d. Reason: {form.cleaned_data['reason']}")
        messages.success(request, f"{trunk} is {word.lower()}d.")
        return self.back_to(trunk)

    @console.action(
        description="Approve inbound IP",
        url_path="approve-inbound-ip",
        permission="telephony.change_trunk",
        icon="verified_user",
    )
    def approve_inbound_ip(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask why; then let calls in from the address that was shown, unless another trunk has it."""
        trunk = self.find(request, object_id)
        form = ApprovalForm(console.answers(request), initial={"inbound_ip": trunk.inbound_ip})
        if form.is_valid() and self._approved(request, trunk, form):
            return self.back_to(trunk)
        facts = {"Trunk": trunk, "Customer": trunk.customer or "the platform", "Inbound IP": trunk.inbound_ip or "none"}
        return self.ask(request, trunk, form=form, title="Approve inbound IP", button="Approve", facts=facts)

    def _approved(self, request: HttpRequest, trunk: Trunk, form: ApprovalForm) -> bool:
        data = form.cleaned_data
        said = f"inbound IP {data['inbound_ip']} approved, reason: {data['reason']}"
        try:
            with transaction.atomic():
                is_approved = trunks.approve_inbound_ip(trunk=trunk, inbound_ip=data["inbound_ip"], now=clock.now())
                if is_approved:
                    self.log_change(request, trunk, said)
        except errors.InboundIpExists as error:
            form.add_error(None, error.message)
            return False
        if not is_approved:
            form.add_error(None, "the trunk has no such inbound IP any more; open this page again")
        return is_approved


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
        """Refuse a stranger's application, and a target that the customer could not choose itself."""
        cleaned = super().clean() or self.cleaned_data
        application = cleaned.get("application")
        customer = cleaned.get("customer") or (self.instance.customer if self.instance.pk else None)
        if application and customer and application.customer_id != customer.pk:
            self.add_error("application", "belongs to another customer")
        if not application and cleaned.get("is_active") and cleaned.get("route_mode") != Number.RouteMode.REJECT:
            self.add_error("application", "is needed, unless calls are to be rejected: they are an application's")
        if cleaned.get("route_mode") != Number.RouteMode.SIP:
            cleaned["routing_target"] = ""
        elif customer:
            self._check_target(cleaned, customer)
        return cleaned

    def _check_target(self, cleaned: dict[str, Any], customer: Customer) -> None:
        number = cleaned.get("number_e164") or self.instance.number_e164
        try:
            numbers.check_target(cleaned.get("routing_target", ""), number=number, customer_id=customer.pk)
        except ValueError as error:
            self.add_error("routing_target", str(error))


@admin.register(Number)
class NumberAdmin(console.Admin):
    """Customers' numbers: deactivated rather than deleted."""

    form = NumberForm
    empty_text = "No numbers yet. Add one to let a customer be called, and show it as its caller id."
    list_display = ["number", "customer", "application", "route_mode", "provider", "is_active"]
    list_filter = ["is_active", "route_mode"]
    list_select_related = ["customer", "application"]
    search_fields = ["number_e164", "=public_id", "customer__name"]
    search_help_text = "Number, its id or customer"
    ordering = ["-id"]
    autocomplete_fields = ["customer", "application"]
    readonly_fields = ["number", "public_id", "created_at", "updated_at"]
    fixed_fields = ["customer", "number_e164"]
    number_fields = ["number_e164", "routing_target"]
    fields = [
        *("number_e164", "customer", "application", "route_mode", "routing_target", "provider", "is_active"),
        *("inbound_price_per_minute", "inbound_connection_fee"),
        *("inbound_initial_increment", "inbound_subsequent_increment"),
        *("public_id", "created_at", "updated_at"),
    ]

    def get_fields(self, request: HttpRequest, obj: Model | None = None) -> list[str]:
        """Show the number masked to those who may not see it."""
        hidden = self.get_exclude(request, obj) or ()
        return [*(["number"] if hidden else []), *(name for name in self.fields if name not in hidden)]

    @admin.display(ordering="number_e164")
    def number(self, number: Number) -> str:
        """The number, as the reader may see it."""
        return console.numbers(number.number_e164)


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
    empty_text = "No engine yet. Add the address of an Asterisk: without one no call is placed."
    fields = ["name", "url", "user", "password", "seen_at"]
    readonly_fields = ["seen_at"]
    secret_fields = ["password"]
