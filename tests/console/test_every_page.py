"""What holds on each page of the console."""

import re
from collections.abc import Callable

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from billing.models import Entry, Hold, Notice, SpendDay
from calls.models import Call
from telephony.models import Engine, Trunk
from tests.console.conftest import NOW, Cast, make_call
from tests.console.pages import OWN_MODELS, address, every_page
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
    }
    assert root.post(url, form).status_code == 302
    cast.trunk.refresh_from_db()
    assert (cast.trunk.name, cast.trunk.password) == ("carrier two", "the-trunk-password")
    assert root.post(url, {**form, "password": "another-password"}).status_code == 302
    cast.trunk.refresh_from_db()
    assert cast.trunk.password == "another-password"
    history = [line.get_change_message() for line in LogEntry.objects.order_by("id")]
    assert history == [
        "name from Carrier to carrier two; allowed prefixes from nothing to 1555, 44",
        "password replaced",
    ]


def _queries(browser: Client, url: str) -> int:
    with CaptureQueriesContext(connection) as queries:
        assert browser.get(url).status_code == 200
    return len(queries)


def _grow(cast: Cast, start: int, end: int) -> None:
    for number in range(start, end):
        make_call(cast, number)
        customer = CustomerFactory(name=f"customer {number}")
        open_account(customer, funds="1")
        SpendDay.objects.create(customer=customer, day=NOW.date())
        Notice.objects.create(customer=customer, kind="low", day=NOW.date(), created_at=NOW)
        ApplicationFactory(customer=customer)
        TrunkFactory(customer=customer)
        NumberFactory(customer=customer, number_e164=f"+1555200{number:04}")
        EngineFactory(name=f"engine {number}")
        deck = DeckFactory(name=f"deck {number}")
        RateFactory(version=VersionFactory(deck=deck))
