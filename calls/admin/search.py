"""One search box for the whole console: what a person has (an id, a number, a name, an e-mail), and where it leads.

Each question is answered by an index, and by a few rows at most. A text is asked of those models only that could
have it: ids by how they begin, numbers where it is one, names where it is neither.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.contrib import admin
from django.db.models import Model, Q
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse

from applications.models import Application, Customer
from billing.models import Entry
from calls.admin.spelling import spellings
from calls.models import Call, Recording
from minivoice import console
from telephony.models import Number, Trunk
from webhooks.models import WebhookEvent

MOST = 10  # rows of one kind that are shown

_MOST_CHARACTERS = 200
_TRIGRAM = 3  # characters from which on an index finds the middle of a word


@dataclass(frozen=True, slots=True)
class Hit:
    """One row that was found: its page, what it is called, and what tells it from others."""

    url: str
    name: str
    details: str


@dataclass(frozen=True, slots=True)
class Group:
    """The rows of one kind; `more_url` is their list, narrowed down, where there are more of them."""

    title: str
    hits: Sequence[Hit]
    more_url: str


def page(request: HttpRequest) -> HttpResponse:
    """Show what was found, or the only thing that was."""
    term = request.GET.get("q", "").replace("\0", "").strip()[:_MOST_CHARACTERS]
    groups = [group for group in _groups(request, term) if group.hits] if term else []
    hits = [hit for group in groups for hit in group.hits]
    if len(hits) == 1:
        return HttpResponseRedirect(hits[0].url)
    title = f"Search: {term}" if term else "Search"
    frame = {**admin.site.each_context(request), "title": title, "term": term, "groups": groups}
    request.current_app = admin.site.name
    return TemplateResponse(request, "console/search.html", frame)


def _groups(request: HttpRequest, term: str) -> Iterator[Group]:
    """Yield what was found among all that this request's user may see."""
    for model, find in _KINDS:
        if not admin.site.get_model_admin(_shown_with(model)).has_view_permission(request):
            continue
        found = list(find(term))
        listing = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist") if found[MOST:] else ""  # noqa: SLF001
        more_url = f"{listing}?{urlencode({'q': term})}" if listing else ""
        title = str(model._meta.verbose_name_plural).capitalize()  # noqa: SLF001
        yield Group(title, [_hit(row) for row in found[:MOST]], more_url)


def _shown_with(model: type[Model]) -> type[Model]:
    """Return the model whose page shows a row: a recording is shown with its call."""
    return Call if model is Recording else model


def _hit(row: Any) -> Hit:
    page = row.call if isinstance(row, Recording) else row
    return Hit(console.url_of(page), console.numbers(str(row)), console.numbers(_DETAILS[type(row)](row)))


def _calls(term: str) -> Iterable[Call]:
    rows = Call.objects.select_related("customer")
    if term.startswith("call_"):
        return rows.filter(public_id=term)
    if name := _uuid(term):
        return rows.filter(provider_call_id=name)
    # One column and one number each, so that each is read from its index, newest first, and not sorted.
    newest = (
        rows.filter(**{column: number}).order_by("-id")[: MOST + 1]
        for number in sorted(spellings(term))
        for column in ("to_number", "from_number")
    )
    found = {call.pk: call for call in chain.from_iterable(newest)}
    return sorted(found.values(), key=lambda call: -call.pk)[: MOST + 1]


def _customers(term: str) -> Iterable[Customer]:
    if term.startswith("cust_"):
        return Customer.objects.filter(public_id=term)
    named = _named(term, "name") | _named(term, "contact_email")
    return Customer.objects.filter(named).order_by("name")[: MOST + 1]


def _applications(term: str) -> Iterable[Application]:
    rows = Application.objects.select_related("customer")
    if term.startswith("app_"):
        return rows.filter(public_id=term)
    return rows.filter(_named(term, "name")).order_by("name")[: MOST + 1]


def _numbers(term: str) -> Iterable[Number]:
    rows = Number.objects.select_related("customer")
    if term.startswith("did_"):
        return rows.filter(public_id=term)
    return rows.filter(number_e164__in=spellings(term))[: MOST + 1]


def _trunks(term: str) -> Iterable[Trunk]:
    return Trunk.objects.filter(public_id=term) if term.startswith("trunk_") else []


def _events(term: str) -> Iterable[WebhookEvent]:
    rows = WebhookEvent.objects.select_related("application").defer("body")
    if term.startswith("whd_"):
        return rows.filter(delivery_id=term)
    return rows.filter(public_id=term) if term.startswith("evt_") else []


def _entries(term: str) -> Iterable[Entry]:
    return Entry.objects.select_related("customer").filter(public_id=term) if term.startswith("le_") else []


def _recordings(term: str) -> Iterable[Recording]:
    return Recording.objects.select_related("call").filter(public_id=term) if term.startswith("rec_") else []


def _named(term: str, column: str) -> Q:
    """Return who has `term` in a name, by a trigram index; one or two characters are looked for at its beginning."""
    return Q(**{f"{column}__{'icontains' if len(term) >= _TRIGRAM else 'istartswith'}": term})


def _uuid(term: str) -> UUID | None:
    """Return the telephone engine's name of a call, if this is one."""
    try:
        return UUID(term)
    except ValueError:
        return None


_KINDS: Sequence[tuple[type[Model], Callable[[str], Iterable[Any]]]] = (
    (Call, _calls),
    (Customer, _customers),
    (Application, _applications),
    (Number, _numbers),
    (Trunk, _trunks),
    (WebhookEvent, _events),
    (Entry, _entries),
    (Recording, _recordings),
)
_DETAILS: dict[type[Model], Callable[[Any], str]] = {
    Call: lambda call: f"{call.from_number} → {call.to_number}, {call.get_status_display()}, {call.customer}",
    Customer: lambda customer: ", ".join(
        filter(None, (customer.public_id, customer.get_status_display(), customer.contact_email))
    ),
    Application: lambda application: f"{application.public_id} of {application.customer}",
    Number: lambda number: f"{number.number_e164} of {number.customer}",
    Trunk: lambda trunk: trunk.public_id,
    WebhookEvent: lambda event: f"{event.type} of {event.application}",
    Entry: lambda entry: f"{entry.get_kind_display()} of {entry.customer}",
    Recording: lambda recording: f"of {recording.call}",
}
