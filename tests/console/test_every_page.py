"""What holds on each page of the console."""

import re
from collections.abc import Callable

import pytest
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.db import connection
from django.db.models import Model
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from applications.models import Job, Notice
from billing.models import Approval, Entry, Hold, SpendDay
from calls import refusals
from calls.admin import menu
from calls.models import Call, Conference, Flow, Reconciliation
from minivoice import errors
from telephony.models import Engine, Trunk
from tests.console.conftest import NOW, Cast, make_call
from tests.console.pages import OWN_MODELS, address, every_page
from tests.console.test_calls import LIVE
from tests.factories import (
    ApplicationFactory,
    CustomerFactory,
    DeckFactory,
    EngineFactory,
    NumberFactory,
    RateFactory,
    TrunkFactory,
    VersionFactory,
    open_account,
)
from webhooks.models import WebhookEvent

FACTS = [Entry, Hold, SpendDay, WebhookEvent, Call]


def test_no_page_shows_a_secret_or_loads_anything_from_outside(root: Client, cast: Cast) -> None:
    make_call(cast)
    pages = list(every_page(root))
    assert len(pages) > 40
    for url, text in pages:
        assert not [secret for secret in cast.secrets if secret in text], url
        assert re.findall(r"""(?:src|href|action|url)\s*[=(]\s*["']?(?:https?:)?//[^"'\s>)]+""", text) == [], url


def test_shows_no_secret_to_staff_who_may_only_look(staff: Callable[..., Client], cast: Cast) -> None:
    make_call(cast)
    views = [f"{model._meta.app_label}.view_{model._meta.model_name}" for model in OWN_MODELS]
    pages = list(every_page(staff(*views, "applications.view_apikey")))
    assert address(Engine, "change", cast.engine.pk) in dict(pages)
    for url, text in pages:
        assert not [secret for secret in cast.secrets if secret in text], url


def test_shows_nothing_to_staff_without_permissions(staff: Callable[..., Client], cast: Cast) -> None:
    make_call(cast)
    assert [url for url, _ in every_page(staff())] == ["/admin/"]


def test_sends_strangers_to_the_login(client: Client, cast: Cast) -> None:
    assert list(every_page(client)) == []
    assert client.get(address(Call, "changelist")).url.startswith("/admin/login/")


@pytest.mark.parametrize("model", FACTS)
def test_nobody_edits_facts_by_url(root: Client, cast: Cast, model: type[Call]) -> None:
    make_call(cast)
    SpendDay.objects.create(customer=cast.customer, day=NOW.date())
    row = model.objects.latest("pk")
    before = model.objects.values().get(pk=row.pk)
    for page, arguments in [("add", ()), ("change", (row.pk,)), ("delete", (row.pk,))]:
        assert root.post(address(model, page, *arguments), {"post": "yes", "amount": "1"}).status_code == 403
    assert model.objects.values().get(pk=row.pk) == before


def test_offers_to_delete_no_customer_application_or_trunk(root: Client, cast: Cast) -> None:
    for row in (cast.customer, cast.application, cast.trunk, cast.engine, cast.deck):
        assert root.post(address(type(row), "delete", row.pk), {"post": "yes"}).status_code == 403


def test_lists_ask_the_same_number_of_queries_for_20_rows_as_for_2(root: Client, cast: Cast) -> None:
    lists = {model: address(model, "changelist") for model in OWN_MODELS}
    _grow(cast, 1, 2)
    few = {url: _queries(root, url) for url in lists.values()}
    _grow(cast, 2, 21)
    assert min(model.objects.count() for model in lists) >= 20
    assert {url: _queries(root, url) for url in lists.values()} == few


def test_a_secret_is_kept_when_its_field_is_left_empty_and_replaced_when_it_is_not(root: Client, cast: Cast) -> None:
    url = address(Trunk, "change", cast.trunk.pk)
    form = {
        "name": "carrier two",
        "direction": "outbound",
        "gateway_name": "carrier",
        "proxy": "carrier.example",
        "transport": "udp",
        "priority": "10",
        "is_active": "on",
        "allowed_prefixes": "1555,44",
        "reason": "a new contract",
    }
    assert root.post(url, form).status_code == 302
    cast.trunk.refresh_from_db()
    assert (cast.trunk.name, cast.trunk.password) == ("carrier two", "the-trunk-password")
    assert root.post(url, {**form, "password": "another-password"}).status_code == 302
    cast.trunk.refresh_from_db()
    assert cast.trunk.password == "another-password"
    history = [line.get_change_message() for line in LogEntry.objects.order_by("id")]
    assert history == [
        "name from Carrier to carrier two; allowed prefixes from nothing to 1555, 44. Reason: a new contract",
        "password replaced. Reason: a new contract",
    ]


def _queries(browser: Client, url: str) -> int:
    with CaptureQueriesContext(connection) as queries:
        assert browser.get(url).status_code == 200
    return len(queries)


def _grow(cast: Cast, start: int, end: int) -> None:
    asker = User.objects.get(username="root")  # who looks: a job is shown to who has asked for it
    for number in range(start, end):
        make_call(cast, number)
        customer = CustomerFactory(name=f"customer {number}")
        open_account(customer, funds="1")
        SpendDay.objects.create(customer=customer, day=NOW.date())
        Notice.objects.create(customer=customer, kind="low", day=NOW.date(), created_at=NOW)
        Approval.objects.create(
            customer=customer, kind="top_up", amount=1, key=f"x{number}", asked_by=asker, created_at=NOW
        )
        Reconciliation.objects.create(ran_at=NOW, differences_found=0)
        Job.objects.create(kind="x", title="x", asked_by=asker, created_at=NOW, expires_at=NOW)
        refusals.note(customer_id=customer.pk, number="+1555", refusal=errors.RateNotFound(), now=NOW)
        room = Conference.objects.create(customer=customer, room="lobby", began_at=NOW)
        live = make_call(cast, number + 100, **LIVE)
        Flow.objects.create(call=live, conference=room, entered_at=NOW)
        ApplicationFactory(customer=customer)
        TrunkFactory(customer=customer)
        NumberFactory(customer=customer, number_e164=f"+1555200{number:04}")
        EngineFactory(name=f"engine {number}")
        deck = DeckFactory(name=f"deck {number}")
        RateFactory(version=VersionFactory(deck=deck))


def test_every_time_says_its_zone_or_is_marked_as_one(root: Client, cast: Cast) -> None:
    make_call(cast)
    known = r" UTC|[.]\d+ UTC|:\d\d|\d|</time>|\" "
    untold = re.compile(rf".{{60}}20\d\d-\d\d-\d\d \d\d:\d\d(?::\d\d)?(?!{known}).{{20}}", re.DOTALL)
    american = re.compile(r"\b[ap]\.m\.")
    for url, text in every_page(root):
        shown = re.sub(r"<(script|textarea|pre)\b.*?</\1>|value=\"[^\"]*\"", "", text, flags=re.DOTALL)
        assert untold.findall(shown) == [], url
        assert american.findall(shown) == [], url


def test_signing_in_leads_to_the_first_page(client: Client, db: None) -> None:
    User.objects.create_superuser("root", password="correct horse")
    answer = client.post("/admin/login/", {"username": "root", "password": "correct horse"})
    assert answer.headers["Location"] == "/admin/"


def test_a_list_without_rows_says_what_to_do_and_none_counts_its_rows(root: Client, db: None) -> None:
    empty = root.get(address(Call, "changelist")).content.decode()
    assert "No calls yet. One is here as soon as an application places it" in empty
    searched = root.get(address(Call, "changelist"), {"q": "call_1"}).content.decode()
    assert "Nothing fits this search and these filters." in searched
    for model in OWN_MODELS:
        assert "99999" not in root.get(address(model, "changelist")).content.decode()


@pytest.mark.parametrize(
    "asked", ["to_number__startswith=%2B4915", "metadata__icontains=x", "to_number__regex=(", "customer__name=acme"]
)
def test_a_list_takes_no_pattern_by_its_address(root: Client, cast: Cast, asked: str) -> None:
    assert root.get(f"{address(Call, 'changelist')}?{asked}").status_code == 400


@pytest.mark.parametrize("model", OWN_MODELS, ids=lambda model: model.__name__)
def test_a_list_without_rows_says_when_there_are_some(model: type[Model]) -> None:
    assert admin.site._registry[model].empty_text


def test_a_page_is_called_as_its_place_in_the_menu(root: Client) -> None:
    parts = menu.menu(root.get(reverse("admin:index")).wsgi_request)
    items = [item for part in parts if "title" in part for item in part["items"]]
    assert len(items) > 15
    for item in items:
        path = re.findall(r'tracking-tight">([^<]+)<', root.get(item["link"]).content.decode())
        assert path[-1] == item["title"]
