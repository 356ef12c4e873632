"""What the console's pages share: lists that stay fast, facts that nobody edits, secrets that are never shown,
a history that says from what to what, and questions before an act."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, ClassVar, TypeVar

from django import forms
from django.contrib import admin
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
from unfold import admin as unfold
from unfold import decorators as unfold_decorators
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm
from unfold.paginator import InfinitePaginator
from unfold.widgets import UnfoldAdminPasswordWidget, UnfoldAdminTextareaWidget

from minivoice import money

NOTHING = "–"  # noqa: RUF001  a dash, as in print
View = TypeVar("View", bound=Callable[..., HttpResponse])


class Admin(unfold.ModelAdmin):  # type: ignore[misc]
    """A page of the console. Nothing is deleted in it unless a page says otherwise."""

    checks_class = ModelAdminChecks  # the theme's own ask the database, which has no tables before `migrate`
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    list_per_page = 50
    actions = None
    empty_value_display = NOTHING
    readonly_fields: Sequence[str] = ()
    fixed_fields: ClassVar[Sequence[str]] = ()  # chosen when the row is made, and never again
    secret_fields: ClassVar[Sequence[str]] = ()  # written here, shown nowhere: see SecretsForm

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Nobody deletes."""
        return False

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> Sequence[str]:
        """Add the fixed fields once the row is there."""
        return [*self.readonly_fields, *(self.fixed_fields if obj else ())]

    def get_exclude(self, request: HttpRequest, obj: Model | None = None) -> Sequence[str] | None:
        """Leave secrets out where fields are only shown: there they would be plain text."""
        may_write = self.has_change_permission(request, obj) if obj else self.has_add_permission(request)
        return () if may_write else self.secret_fields

    def get_fieldsets(self, request: HttpRequest, obj: Model | None = None) -> Any:
        """Leave out what `get_exclude` says."""
        hidden = self.get_exclude(request, obj) or ()
        return [
            (title, {**options, "fields": [name for name in options["fields"] if name not in hidden]})
            for title, options in super().get_fieldsets(request, obj)
        ]

    def construct_change_message(self, request: HttpRequest, form: Any, formsets: Any, add: bool = False) -> Any:
        """Return what the history says: for a change, every field from what to what."""
        if add:
            return super().construct_change_message(request, form, formsets, add)
        every_form = [form, *(inner for formset in formsets or () for inner in formset.forms)]
        changes = [change for each in every_form for change in _changes(each, self.secret_fields)]
        return "; ".join(changes) or "saved unchanged"

    def find(self, request: HttpRequest, object_id: str) -> Any:
        """Return the row of an action's page. Raises Http404, and PermissionDenied when it may not be seen."""
        row = self.get_object(request, object_id)
        if row is None:
            raise Http404
        if not self.has_view_permission(request, row):
            raise PermissionDenied
        return row

    def page(self, request: HttpRequest, template: str, row: Model, **context: Any) -> TemplateResponse:
        """Return a page of its own about `row`, in the console's frame."""
        frame = {**self.admin_site.each_context(request), "opts": self.opts, "original": row}
        request.current_app = self.admin_site.name
        return TemplateResponse(request, template, {**frame, "back_url": url_of(row), **context})

    def ask(
        self,
        request: HttpRequest,
        row: Model,
        *,
        form: forms.Form,
        title: str,
        button: str,
        facts: Mapping[str, Any],
    ) -> TemplateResponse:
        """Return the page that asks before an act on `row`: `facts` to decide by, the form, one button."""
        return self.page(request, "console/ask.html", row, form=form, title=title, button=button, facts=facts.items())

    def back_to(self, row: Model) -> HttpResponseRedirect:
        """Return the way back to the page of `row`."""
        return HttpResponseRedirect(url_of(row))


class ReadOnlyAdmin(Admin):
    """Facts: seen by those who may, edited by nobody. Its lists never count the table."""

    paginator = InfinitePaginator

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
        """Put back what is stored where nothing was entered."""
        cleaned = super().clean() or self.cleaned_data
        for name in self.secrets:
            if name in cleaned and not cleaned[name]:
                cleaned[name] = getattr(self.instance, name)
        return cleaned


class ReasonForm(forms.Form):
    """The question before an act: why?"""

    reason = forms.CharField(max_length=500, widget=UnfoldAdminTextareaWidget({"rows": 3}))


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


def call_link(public_id: str) -> str:
    """Return the link to a call's page, by the public id that is all the lower rooms know of it."""
    return link(reverse("admin:calls_call_change", args=[public_id]), public_id) if public_id else NOTHING


def moment(at: datetime | None) -> str:
    """Return a time (UTC) to the second."""
    return f"{at:%Y-%m-%d %H:%M:%S}" if at else NOTHING


def amount(value: Decimal | None, currency: str = "") -> str:
    """Return an amount of money as people read it."""
    return NOTHING if value is None else f"{money.text(value)} {currency}".rstrip()


def _changes(form: Any, secrets: Sequence[str]) -> list[str]:
    changes = []
    for name in form.changed_data if form.is_valid() else ():
        field = form.fields[name]
        before, after = _shown(field, form.initial.get(name)), _shown(field, form.cleaned_data.get(name))
        label = str(field.label or name).lower()
        if name in secrets:
            changes.append(f"{label} replaced")
        elif before != after:
            changes.append(f"{label} from {before} to {after}")
    return changes


def _shown(field: forms.Field, value: Any) -> str:
    if value is None or value in ("", []):
        return "nothing"
    if isinstance(value, Decimal):
        return money.text(value)
    if isinstance(field, forms.ModelMultipleChoiceField):
        return ", ".join(sorted(map(str, value))) or "nothing"
    if isinstance(field, forms.ModelChoiceField) and not isinstance(value, Model):
        return str(field.to_python(value))
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


admin.site.unregister([User, Group])


@admin.register(User)
class StaffAdmin(UserAdmin, unfold.ModelAdmin):  # type: ignore[type-arg, misc]
    """Staff accounts. Deactivated, not deleted: their history stays."""

    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    show_full_result_count = False
    actions = None

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Nobody deletes."""
        return False


@admin.register(Group)
class RoleAdmin(GroupAdmin, unfold.ModelAdmin):  # type: ignore[misc]
    """What a group of staff may do."""

    show_full_result_count = False
    actions = None
