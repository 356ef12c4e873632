"""Customers with their money, and the ledger. Money moves through `ledger.post` alone."""

from datetime import timedelta
from typing import Any, ClassVar
from uuid import uuid4

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import F, Model, QuerySet
from django.forms.models import BaseInlineFormSet
from django.http import HttpRequest, HttpResponse
from unfold import admin as unfold
from unfold.widgets import (
    UnfoldAdminDecimalFieldWidget,
    UnfoldAdminRadioSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
)

from applications.admin import CustomerAdmin
from applications.models import Customer
from billing import approvals, ledger
from billing.admin.credit import CreditLimits
from billing.admin.sentences import rule, said
from billing.models import Approval, Balance, Entry, Hold, RateDeck, SpendDay
from minivoice import clock, console, lists

_TERMS = ("deck", "day_cap", "highest_price_per_minute", "low_mark")
_BY_HAND = (Entry.Kind.TOP_UP, Entry.Kind.ADJUSTMENT, Entry.Kind.REFUND)


class BalanceForm(forms.ModelForm):  # type: ignore[type-arg]
    """The terms of an account. Its money is the ledger's: a change writes the changed terms and nothing else."""

    class Meta:
        model = Balance
        fields = _TERMS

    def clean_deck(self) -> RateDeck:
        """An account keeps its currency."""
        deck: RateDeck = self.cleaned_data["deck"]
        if self.instance.currency and deck.currency != self.instance.currency:
            raise ValidationError(f"the account is in {self.instance.currency}, this deck in {deck.currency}")
        return deck

    def save(self, commit: bool = True) -> Balance:
        """Open the account in its deck's currency, or change the terms that were changed."""
        balance: Balance = self.instance
        if balance._state.adding:  # noqa: SLF001  as Django's documentation does
            balance.currency = balance.deck.currency
            return super().save(commit=commit)  # type: ignore[no-any-return]
        balance.save(update_fields=self.changed_data)
        return balance


class MoneyColumns:
    """What an account has, for a customer or its account."""

    @admin.display(description="posted", ordering="balance__posted")
    def posted_money(self, row: Customer | Balance) -> str:
        """What entries add up to."""
        balance = _account(row)
        return console.amount(balance.posted, balance.currency) if balance else console.NOTHING

    @admin.display(description="held", ordering="balance__held")
    def held_money(self, row: Customer | Balance) -> str:
        """What live calls have set aside."""
        balance = _account(row)
        return console.amount(balance.held, balance.currency) if balance else console.NOTHING

    @admin.display
    def available(self, row: Customer | Balance) -> str:
        """What a new call may take."""
        balance = _account(row)
        if balance is None:
            return console.NOTHING
        amount = console.amount(_available(balance), balance.currency)
        return f"{amount}, below zero" if _available(balance) < 0 else amount


class BelowZeroFilter(admin.SimpleListFilter):
    """Customers that corrections, or a cut of their credit limit, have taken below zero."""

    title = "money"
    parameter_name = "money"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return what can be chosen."""
        return [("below_zero", "Below zero")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Customer]) -> QuerySet[Customer]:
        """Return the customers chosen."""
        if self.value() is None:
            return queryset
        return queryset.filter(balance__held__gt=F("balance__posted") + F("balance__credit_limit"))


class AccountInline(MoneyColumns, unfold.StackedInline):  # type: ignore[misc]
    """A customer's account: there from the start, money read-only."""

    model = Balance
    form = BalanceForm
    formset = BaseInlineFormSet
    min_num = max_num = 1
    can_delete = False
    verbose_name_plural = "account"
    hide_title = True
    readonly_fields = ["posted_money", "held_money", "credit", "available", "spent_today"]

    def get_fields(self, request: HttpRequest, obj: Model | None = None) -> list[str]:
        """Show money once there is an account."""
        return [*self.readonly_fields, *_TERMS] if obj else list(_TERMS)

    @admin.display(description="credit limit")
    def credit(self, balance: Balance) -> str:
        """How far below nothing the account may go."""
        return console.amount(balance.credit_limit, balance.currency)

    @admin.display(description="charged and held today")
    def spent_today(self, balance: Balance) -> str:
        """What counts against the day cap."""
        days = SpendDay.objects.filter(customer=balance.customer_id, day=clock.now().date())
        charged = days.values_list("charged", flat=True).first() or 0
        return console.amount(balance.held + charged, balance.currency)

    def get_formset(self, request: HttpRequest, obj: Model | None = None, **options: Any) -> Any:
        """Ask for the account with the customer."""
        return super().get_formset(request, obj, validate_min=True, **options)


class AdjustForm(forms.Form):
    """One movement of money by hand. `token` makes a form that is sent twice post once."""

    kind = forms.ChoiceField(
        choices=[(kind.value, kind.label) for kind in _BY_HAND], widget=UnfoldAdminRadioSelectWidget
    )
    amount = forms.DecimalField(
        max_digits=15,
        decimal_places=6,
        widget=UnfoldAdminDecimalFieldWidget,
        help_text="added to the balance; only an adjustment may be negative",
    )
    reference = forms.CharField(
        max_length=100,
        required=False,
        widget=UnfoldAdminTextInputWidget,
        help_text="the bank's or card's own, for a top-up; posted once per customer",
    )
    reason = forms.CharField(max_length=500, widget=UnfoldAdminTextareaWidget({"rows": 3}))
    token = forms.UUIDField(widget=forms.HiddenInput)

    def clean(self) -> dict[str, Any]:
        """Refuse what the kind cannot be."""
        cleaned = super().clean() or self.cleaned_data
        kind, amount = cleaned.get("kind"), cleaned.get("amount")
        if amount is not None and (amount == 0 or (amount < 0 and kind != Entry.Kind.ADJUSTMENT)):
            self.add_error("amount", "must be more than 0; only an adjustment may be negative")
        if cleaned.get("reference") and kind != Entry.Kind.TOP_UP:
            self.add_error("reference", "belongs to a top-up")
        return cleaned


@admin.register(Customer)
class PrepaidCustomerAdmin(MoneyColumns, CreditLimits, CustomerAdmin):
    """Customers, and what they have. A new one gets its account with it."""

    list_display = ["name", "status", "posted_money", "held_money", "available", "max_concurrent_calls", "max_cps"]
    list_select_related = ["balance"]
    list_filter: ClassVar[list[Any]] = [*CustomerAdmin.list_filter, BelowZeroFilter]
    inlines = [AccountInline]
    actions_detail = ["adjust", "set_credit_limit"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        """A customer without an account is none."""
        return super().has_add_permission(request) and request.user.has_perm("billing.add_balance")

    def get_list_display(self, request: HttpRequest) -> list[str]:
        """Leave out money for those who may not see it."""
        may_see = request.user.has_perm("billing.view_balance") or request.user.has_perm("billing.change_balance")
        money = () if may_see else ("posted_money", "held_money", "available")
        return [name for name in super().get_list_display(request) if name not in money]

    @console.action(description="Adjust balance", url_path="adjust", permission="billing.add_entry", icon="payments")
    def adjust(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask for kind, amount and reason; post one entry, however often the form is sent."""
        customer = self.find(request, object_id)
        form = AdjustForm(console.answers(request), initial={"token": uuid4(), "kind": Entry.Kind.TOP_UP})
        if form.is_valid() and self._posted(request, customer, form):
            return self.back_to(customer)
        balance = Balance.objects.get(customer=customer)
        facts = {
            "Customer": customer,
            "Posted": console.amount(balance.posted, balance.currency),
            "Held": console.amount(balance.held, balance.currency),
            "Available": console.amount(_available(balance), balance.currency),
            "Needs approval": rule(balance, request),
        }
        return self.ask(request, customer, form=form, title="Adjust balance", button="Post", facts=facts)

    def _posted(self, request: HttpRequest, customer: Customer, form: AdjustForm) -> bool:
        """Post what the form says, or ask for approval, once; return False when its reference was used before."""
        data = form.cleaned_data
        key = f"console:{data['token']}"
        try:
            with transaction.atomic():
                row = approvals.post(
                    customer_id=customer.pk,
                    kind=Entry.Kind(data["kind"]),
                    amount=data["amount"],
                    key=key,
                    reference=data["reference"],
                    staff_id=request.user.pk or 0,
                    note=data["reason"],
                    now=clock.now(),
                )
                self.log_change(request, customer, said(row))
        except ledger.DuplicateEntry:
            earlier = approvals.earlier(customer_id=customer.pk, key=key)
            if earlier is None:
                form.add_error("reference", "an entry with this reference is already posted, or waits for approval")
                return False
            messages.warning(request, f"Sent twice, posted once: {said(earlier)}. Nothing was posted now.")
            return True
        messages.success(request, f"{'Posted' if isinstance(row, Entry) else 'Not posted yet'}: {said(row)}.")
        return True


@admin.register(Entry)
class EntryAdmin(console.ReadOnlyAdmin):
    """The ledger, newest first."""

    list_display = ["at", "customer", "kind", "moved", "balance_after", "call", "staff", "noted"]
    list_filter = ["kind", ("created_at", lists.SinceFilter)]
    list_select_related = ["customer", "staff"]
    search_fields = ["public_id"]
    search_help_text = "Entry id, call id, reference or customer"
    ordering = ["-id"]
    empty_text = "No entries yet. Adjust balance, on a customer's page, posts a top-up; a call posts its charge."
    fields = [
        *("public_id", "customer", "kind", "moved", "balance_after", "at"),
        *("call", "reference", "staff", "approved_by", "noted", "key"),
    ]
    readonly_fields = ["at", "moved", "balance_after", "call", "approved_by", "noted"]

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Entry], search_term: str
    ) -> tuple[QuerySet[Entry], bool]:
        """Find by entry id, call id, reference or customer, each by an index."""
        term = search_term.strip()
        if not term:
            return queryset, False
        if term.startswith(("le_", "call_")):
            return queryset.filter(**{"public_id" if term.startswith("le_") else "call_id": term}), False
        referred = queryset.filter(reference=term)
        return (referred if referred.exists() else queryset.filter(customer__in=_named(term))), False

    @admin.display(description="posted at")
    def at(self, entry: Entry) -> str:
        """When."""
        return console.moment(entry.created_at)

    @admin.display(description="amount")
    def moved(self, entry: Entry) -> str:
        """What it added to the balance."""
        return console.amount(entry.amount)

    @admin.display(description="note")
    def noted(self, entry: Entry) -> str:
        """Why, in the words of who moved it."""
        return console.numbers(entry.note)

    @admin.display
    def approved_by(self, entry: Entry) -> str:
        """The second person, above the threshold."""
        approval = Approval.objects.filter(entry=entry).select_related("decided_by").first()
        return console.link(console.url_of(approval), approval.decided_by) if approval else console.NOTHING

    @admin.display
    def balance_after(self, entry: Entry) -> str:
        """The balance after it."""
        return console.amount(entry.posted_after)

    @admin.display
    def call(self, entry: Entry) -> str:
        """The call that was charged."""
        kept_from = clock.now() - timedelta(days=settings.CALL_DAYS)
        return console.call_link(entry.call_id, is_kept=entry.created_at >= kept_from)


@admin.register(Hold)
class HoldAdmin(console.ReadOnlyAdmin):
    """Money set aside, newest first."""

    list_display = ["opened", "customer", "call", "money", "funded_seconds", "closed"]
    list_filter = [("closed_at", admin.EmptyFieldListFilter)]
    list_select_related = ["customer"]
    search_fields = ["key__exact"]
    search_help_text = "Call id"
    ordering = ["-id"]
    empty_text = "Nothing was held yet. Money is held for each call before it is dialed."
    fields = ["call", "customer", "money", "funded_seconds", "opened", "closed"]
    readonly_fields = ["call", "money", "opened", "closed"]

    @admin.display
    def call(self, hold: Hold) -> str:
        """The call the money is for."""
        return console.call_link(hold.key)

    @admin.display(description="amount")
    def money(self, hold: Hold) -> str:
        """What is set aside."""
        return console.amount(hold.amount)

    @admin.display
    def opened(self, hold: Hold) -> str:
        """Since when."""
        return console.moment(hold.opened_at)

    @admin.display
    def closed(self, hold: Hold) -> str:
        """Until when."""
        return console.moment(hold.closed_at)


@admin.register(SpendDay)
class SpendDayAdmin(console.ReadOnlyAdmin):
    """What customers were charged day by day."""

    list_display = ["day", "customer", "charged"]
    list_filter = ["day"]
    list_select_related = ["customer"]
    search_fields = ["customer__name"]
    ordering = ["-day", "-id"]
    empty_text = "Nothing was charged yet. Each customer has a line here for each day with charged calls."

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[SpendDay], search_term: str
    ) -> tuple[QuerySet[SpendDay], bool]:
        """Find by customer."""
        term = search_term.strip()
        return (queryset.filter(customer__in=_named(term)) if term else queryset), False


def _named(term: str) -> list[int]:
    """Return the customers that are meant, twenty at most."""
    return list(Customer.objects.filter(name__icontains=term).order_by("pk").values_list("pk", flat=True)[:20])


def _account(row: Customer | Balance) -> Balance | None:
    return row if isinstance(row, Balance) else getattr(row, "balance", None)


def _available(balance: Balance) -> Any:
    return balance.posted + balance.credit_limit - balance.held
