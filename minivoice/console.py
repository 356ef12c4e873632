"""What the console's pages share: lists that stay fast, facts that nobody edits, secrets that are never shown,
a history that says from what to what, and questions before an act."""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, ClassVar, TypeVar

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.contrib.admin.checks import ModelAdminChecks
from django.contrib.admin.utils import quote
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, User
from django.core.exceptions import PermissionDenied
from django.db.models import Model
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from django_otp.plugins.otp_totp.models import TOTPDevice
from unfold import admin as unfold
from unfold import decorators as unfold_decorators
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm
from unfold.widgets import UnfoldAdminPasswordWidget, UnfoldAdminTextareaWidget

from minivoice import history, lists, masking, moments, money, sign_in

NOTHING, moment = moments.NOTHING, moments.moment
_LINKED = ("customer__id__exact", "application__id__exact", "customer", "application", "pk", "id", "pk__in", "id__in")
_ASKED = ("", "exact", "id__exact", "isnull", "isempty", "gte", "lt")  # by Django's filters of the fields named
View = TypeVar("View", bound=Callable[..., HttpResponse])


class Admin(unfold.ModelAdmin):  # type: ignore[misc]
    """A page of the console. Nothing is deleted in it unless a page says otherwise."""

    checks_class = ModelAdminChecks  # the theme's own ask the database, which has no tables before `migrate`
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    list_per_page = 50
    actions = None
    empty_value_display = NOTHING
    empty_text: ClassVar[str] = ""  # what a list without rows says: what to do about it
    readonly_fields: Sequence[str] = ()
    object_history_template = "console/history.html"
    fixed_fields: ClassVar[Sequence[str]] = ()  # chosen when the row is made, and never again
    secret_fields: ClassVar[Sequence[str]] = ()  # written here, shown nowhere: see SecretsForm
    number_fields: ClassVar[Sequence[str]] = ()  # telephone numbers: for those who may see them

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        """Take what links and filters ask by. A pattern would read whole tables, and guess what is hidden."""
        field, _, kind = lookup.partition("__")
        is_filter = field in {_filtered(each) for each in self.get_list_filter(request)} and kind in _ASKED
        return lookup in _LINKED or is_filter

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Nobody deletes."""
        return False

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> Sequence[str]:
        """Add the fixed fields once the row is there."""
        return [*self.readonly_fields, *(self.fixed_fields if obj else ())]

    def get_exclude(self, request: HttpRequest, obj: Model | None = None) -> Sequence[str] | None:
        """Leave out numbers for those who may not see them, and secrets where fields are only shown as plain text."""
        may_write = self.has_change_permission(request, obj) if obj else self.has_add_permission(request)
        hidden = () if masking.may_see(request.user) else self.number_fields
        return [*hidden, *(() if may_write else self.secret_fields)]

    def get_form(self, request: HttpRequest, obj: Model | None = None, change: bool = False, **options: Any) -> Any:
        """Ask why, with every change of what is there."""
        if self._asks_why(request, obj):
            form: Any = options.get("form", self.form)
            options["form"] = type(form.__name__, (form, ReasonForm), {})
        return super().get_form(request, obj, change=change, **options)

    def get_fieldsets(self, request: HttpRequest, obj: Model | None = None) -> Any:
        """Leave out what `get_exclude` says; put the reason last."""
        hidden = [*(self.get_exclude(request, obj) or ()), "reason"]
        fieldsets = [
            (title, {**options, "fields": [name for name in options["fields"] if name not in hidden]})
            for title, options in super().get_fieldsets(request, obj)
        ]
        return [*fieldsets, *([("Why", {"fields": ["reason"]})] if self._asks_why(request, obj) else [])]

    def _asks_why(self, request: HttpRequest, obj: Model | None) -> bool:
        return obj is not None and self.has_change_permission(request, obj)

    def construct_change_message(self, request: HttpRequest, form: Any, formsets: Any, add: bool = False) -> Any:
        """Return what the history says: for a change, every field from what to what, and why."""
        if add:
            return super().construct_change_message(request, form, formsets, add)
        every_form = [form, *(inner for formset in formsets or () for inner in formset.forms)]
        changes = [change for each in every_form for change in _changes(each, self.secret_fields)]
        return f"{'; '.join(changes) or 'saved unchanged'}. Reason: {form.cleaned_data['reason']}"

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show what staff did and why, and every change of the row itself, whoever made it."""
        row = self.find(request, object_id)
        changes = history.changes(row, hidden=self.secret_fields) if hasattr(row, "history") else []
        page: TemplateResponse = super().history_view(request, object_id, {**(extra_context or {}), "changes": changes})
        if not masking.may_see():
            for line in (page.context_data or {})["action_list"]:
                line.change_message = masking.mask(line.change_message)
        return page

    def find(self, request: HttpRequest, object_id: str) -> Any:
        """Return the row of an action's page. Raises Http404, and PermissionDenied when it may not be seen."""
        row = self.get_object(request, object_id)
        if row is None:
            raise Http404
        if not self.has_view_permission(request, row):
            raise PermissionDenied
        return row

    def page(self, request: HttpRequest, template: str, row: Model | None, **context: Any) -> TemplateResponse:
        """Return a page of its own about `row`, or about none, in the console's frame."""
        frame = {**self.admin_site.each_context(request), "opts": self.opts, "original": row}
        request.current_app = self.admin_site.name
        return TemplateResponse(
            request, template, {**frame, "back_url": url_of(row) if row else self.list_url(), **context}
        )

    def ask(
        self,
        request: HttpRequest,
        row: Model | None,
        *,
        form: forms.Form,
        title: str,
        button: str,
        facts: Mapping[str, Any],
    ) -> TemplateResponse:
        """Return the page that asks before an act, on `row` if on one: `facts` to decide by, the form, one button."""
        return self.page(request, "console/ask.html", row, form=form, title=title, button=button, facts=facts.items())

    def list_url(self) -> str:
        """Return the address of the list."""
        return reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_changelist")

    def back_to(self, row: Model) -> HttpResponseRedirect:
        """Return the way back to the page of `row`."""
        return HttpResponseRedirect(url_of(row))


class ReadOnlyAdmin(Admin):
    """Facts: seen by those who may, edited by nobody. Its lists never count the table, nor sort it anew."""

    paginator = lists.Pages
    sortable_by: ClassVar[Sequence[str]] = ()

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Nobody adds."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Nobody changes."""
        return False


class ReadOnlyInline(unfold.TabularInline):  # type: ignore[misc]
    """Rows shown on the page of what they belong to."""

    extra = 0
    can_delete = False

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> Sequence[str]:
        """Show every field; some have no form at all."""
        return list(self.fields)

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Nobody adds."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Nobody changes."""
        return False


class SecretsForm(forms.ModelForm):  # type: ignore[type-arg]
    """A form whose `secrets` are written and never shown; an empty one keeps what is stored."""

    secrets: ClassVar[Sequence[str]] = ()

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        for name in self.secrets:
            if name not in self.fields:
                continue
            field, stored = self.fields[name], bool(self.initial.pop(name, ""))
            field.widget = UnfoldAdminPasswordWidget({"autocomplete": "new-password"})
            field.required = field.required and not stored
            field.help_text = "A value is set; leave empty to keep it." if stored else "No value is set."

    def clean(self) -> dict[str, Any]:
        """Leave what is stored, readable or not, where nothing was entered."""
        cleaned = super().clean() or self.cleaned_data
        for name in self.secrets:
            if not cleaned.get(name):
                cleaned.pop(name, None)
        return cleaned

    def _get_validation_exclusions(self) -> set[str]:
        """Django would read what is stored, to judge it again."""
        entered = {name for name in self.secrets if self.cleaned_data.get(name)}
        return super()._get_validation_exclusions() | (set(self.secrets) - entered)  # type: ignore[misc, no-any-return]


class ReasonField(forms.CharField):
    """Why something is done or changed. It is itself no change: a row has no such column."""

    def has_changed(self, initial: Any, data: Any) -> bool:
        """Say no."""
        return False


class ReasonForm(forms.Form):
    """The question before an act: why?"""

    reason = ReasonField(max_length=500, widget=UnfoldAdminTextareaWidget({"rows": 3}))


def action(*, description: str, url_path: str, permission: str, icon: str) -> Callable[[View], View]:
    """Make a method a button and a page of its own under the row's address, for those with `permission`."""
    decorator: Callable[[View], View] = unfold_decorators.action(
        description=description, url_path=url_path, permissions=[permission], icon=icon
    )
    return decorator


def answers(request: HttpRequest) -> QueryDict | None:
    """Return what was sent with a POST; None when the question is only being opened."""
    return request.POST if request.method == "POST" else None


def url_of(row: Model) -> str:
    """Return the address of a row's page."""
    meta = row._meta  # noqa: SLF001  public in all but name
    return reverse(f"admin:{meta.app_label}_{meta.model_name}_change", args=[quote(row.pk)])


def link(url: str, text: object, *, label: str = "") -> str:
    """Return a link that looks like one; `label` is for those who hear it, where the text alone says too little."""
    look = "text-primary-600 dark:text-primary-500"
    return format_html('<a class="{}" href="{}" aria-label="{}">{}</a>', look, url, label or text, text)


def call_link(public_id: str, *, is_kept: bool = True) -> str:
    """Return the link to a call's page, by the public id that is all the lower rooms know of it.

    Of a call that is not kept any more, only that it is deleted.
    """
    if public_id and not is_kept:
        return f"{public_id} (deleted: calls are kept for {settings.CALL_DAYS} days)"
    return link(reverse("admin:calls_call_change", args=[public_id]), public_id) if public_id else NOTHING


def numbers(text: str, *, user: Any = None) -> str:
    """Return `text` with its telephone numbers as the reader may see them: in full, or `+1555•••0742`.

    The reader is whoever's request is being answered; `user` where there is none, as in a job or a streamed export.
    """
    if masking.may_see(user):
        return text
    masked = masking.mask(text)
    return mark_safe(masked) if isinstance(text, SafeString) else masked  # noqa: S308  a mask adds no markup


def amount(value: Decimal | None, currency: str = "") -> str:
    """Return an amount of money as people read it, thousands apart."""
    return NOTHING if value is None else f"{Decimal(money.text(value)):,f} {currency}".rstrip()


def _filtered(each: Any) -> str:
    """Return the field of a list's filter, or the name that it has of its own."""
    name = each[0] if isinstance(each, tuple) else each
    return name if isinstance(name, str) else str(getattr(name, "parameter_name", ""))


def _changes(form: Any, secrets: Sequence[str]) -> list[str]:
    changes = []
    for name in form.changed_data if form.is_valid() else ():
        if name not in form.fields:  # a password, as Django's form calls its two fields
            changes.append(f"{name} replaced")
            continue
        field = form.fields[name]
        before, after = _shown(field, form.initial.get(name)), _shown(field, form.cleaned_data.get(name))
        label = str(field.label or name).lower()
        if name in secrets:
            changes.append(f"{label} replaced")
        elif before != after:
            changes.append(f"{label} from {before} to {after}")
    return changes


def _shown(field: forms.Field, value: Any) -> str:
    if isinstance(field, forms.ModelMultipleChoiceField):
        return history.text(sorted(map(str, value or ())))
    if isinstance(field, forms.ModelChoiceField) and not isinstance(value, Model):
        value = field.to_python(value)
    return history.text(value)


admin.site.unregister([User, Group, TOTPDevice])  # the key of a second factor is nobody's to see


class ColleaguesPasswordForm(AdminPasswordChangeForm, ReasonForm):  # type: ignore[misc]
    """A colleague's new password, and why they need one. For their own they are asked for the old one instead."""


@admin.register(User)
class StaffAdmin(Admin, UserAdmin):  # type: ignore[misc, type-arg]
    """Staff accounts. Deactivated, not deleted: their history stays."""

    form = UserChangeForm
    add_form = UserCreationForm
    add_fieldsets = UserAdmin.add_fieldsets  # the theme's are none
    change_password_form = ColleaguesPasswordForm
    change_user_password_template = "console/password.html"  # noqa: S105  a page
    actions_detail = ["reset_second_factor"]

    @action(
        description="Reset second factor",
        url_path="reset-second-factor",
        permission="auth.change_user",
        icon="phonelink_erase",
    )
    def reset_second_factor(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask for a reason; have a colleague whose phone is lost set up another."""
        user: User = self.find(request, object_id)
        form = ReasonForm(answers(request))
        if not form.is_valid():
            facts = {"User": user, "Name": user.get_full_name() or NOTHING}
            return self.ask(request, user, form=form, title="Reset the second factor", button="Reset", facts=facts)
        if sign_in.reset(user):
            self.log_change(request, user, f"second factor reset. Reason: {form.cleaned_data['reason']}")
        messages.success(request, f"{user} sets up a second factor at the next sign-in.")
        return self.back_to(user)


@admin.register(Group)
class RoleAdmin(Admin, GroupAdmin):  # type: ignore[misc]
    """What a group of staff may do. Emptied, not deleted: its history stays."""
