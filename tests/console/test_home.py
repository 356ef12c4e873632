"""The console's first page: how things stand, and what was charged, for who may see it."""

import html
import json
import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group, User
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from billing.models import Balance, SpendDay
from calls.admin import charts
from calls.models import Call, Reason, Status
from minivoice import clock
from telephony.models import Engine
from tests.console.conftest import Cast, make_call
from tests.console.pages import address


@pytest.fixture(autouse=True)
def nothing_kept() -> None:
    """What an earlier test's page had asked is forgotten."""
    cache.clear()


@pytest.fixture
def busy(cast: Cast) -> Cast:
    """Within the last minutes: three calls answered, one busy, one up; money was charged today."""
    now = clock.now()
    for number in range(3):
        at = now - timedelta(minutes=5)
        ended = {"status": Status.COMPLETED, "end_reason": Reason.HANGUP, "answered_at": at, "sip_code": None}
        make_call(cast, number, accepted_at=at, **ended)
    make_call(cast, 3, accepted_at=now - timedelta(minutes=2))
    up = {"ended_at": None, "end_reason": "", "cost_amount": None, "sip_code": None}
    make_call(cast, 4, accepted_at=now, answered_at=now, status=Status.IN_PROGRESS, **up)
    SpendDay.objects.create(customer=cast.customer, day=now.date(), charged="1.25")
    return cast


def figure(page: str, name: str) -> str:
    """The text of a figure on the page."""
    return page.split(f'data-figure="{name}">')[1].split("<", maxsplit=1)[0]


def asked(page: str) -> str:
    """The address that an open page asks for its figures."""
    return page.split('data-figures="')[1].split('"', maxsplit=1)[0]


def test_tells_how_things_stand_and_links_each_figure_to_its_rows(root: Client, busy: Cast) -> None:
    page = root.get("/admin/").content.decode()

    assert figure(page, "calls_up") == "1"
    assert figure(page, "answer_rate") == "75%"
    assert figure(page, "failures") == "1"
    assert "busy 1" in page
    assert figure(page, "webhooks") == "5"
    assert figure(page, "charged_today") == figure(page, "charged_this_month") == "1.25 USD"
    rows = root.get(behind(page, "calls_up")).content.decode()
    assert "+15559990004" in rows
    assert "+15559990003" not in rows


def test_behind_each_figure_are_the_rows_that_it_counts_and_no_older_ones(root: Client, busy: Cast) -> None:
    now = clock.now()
    for number, age in enumerate((timedelta(hours=2), timedelta(days=40)), start=10):
        make_call(busy, number, accepted_at=now - age, status=Status.FAILED, end_reason=Reason.BUSY)
        make_call(busy, number + 10, accepted_at=now - age, status=Status.COMPLETED, end_reason=Reason.HANGUP)
    make_call(busy, 30, accepted_at=now - timedelta(minutes=3), end_reason=Reason.NO_ANSWER)
    days = {now.date().replace(day=1), now.date()}
    for day in days | {now.date() - timedelta(days=40)}:
        SpendDay.objects.get_or_create(customer=busy.customer, day=day)
    page = root.get("/admin/").content.decode()

    counted = {"calls_up": 1, "calls_per_second": 1, "answer_rate": 5, "failures": 2}
    charged = {"charged_today": 1, "charged_this_month": len(days)}
    assert figure(page, "failures") == "2"
    assert "of 5 ended" in page
    for name, count in {**counted, **charged, "webhooks": 10, "engine": 1, "trunks": 1}.items():
        assert (name, rows_at(root, behind(page, name))) == (name, count)
    reasons = {text: url for url, text in re.findall(r'href="([^"]*)">([a-z ]+ \d+)</a>', page)}
    assert {text: rows_at(root, html.unescape(url)) for text, url in reasons.items()} == {"busy 1": 1, "no answer 1": 1}


def behind(page: str, name: str) -> str:
    """The address of the rows behind a figure."""
    card = page.split(f'data-figure="{name}">', maxsplit=1)[0].rsplit('href="', maxsplit=1)[1]
    return html.unescape(card.split('"', maxsplit=1)[0])


def rows_at(browser: Client, url: str) -> int:
    """How many rows a list shows."""
    return len(browser.get(url).context["cl"].result_list)


def test_charts_have_every_hour_and_day_and_a_table_beside_them(root: Client, busy: Cast) -> None:
    context = root.get("/admin/").context
    hours, charges = json.loads(context["hours"]["data"]), json.loads(context["charges"]["data"])

    assert len(hours["labels"]) == 24
    assert [(line["label"], sum(line["data"])) for line in hours["datasets"]] == [("answered", 4), ("not answered", 1)]
    assert len(charges["labels"]) == 30
    assert [(line["label"], line["data"][-1]) for line in charges["datasets"]] == [("USD", 1.25)]
    assert context["hours"]["rows"]


def test_an_empty_platform_says_so(root: Client) -> None:
    page = root.get("/admin/").content.decode()

    assert "Nothing in this time." in page
    assert "nothing yet" in page
    assert figure(page, "answer_rate") == "–"
    assert figure(page, "engine") == "away"


def test_customers_about_to_run_dry_are_told(root: Client, busy: Cast) -> None:
    assert "No active customer is under its mark" in root.get("/admin/").content.decode()
    Balance.objects.update(low_mark="50")
    page = root.get("/admin/").content.decode()
    assert f'href="/admin/applications/customer/{busy.customer.pk}/change/"' in page


def test_an_open_page_asks_with_at_most_two_queries(root: Client, busy: Cast) -> None:
    url = asked(root.get("/admin/").content.decode())
    with CaptureQueriesContext(connection) as queries:
        told = Client().get(url).json()

    assert len(queries) == 2
    assert told["calls_up"]["text"] == "1"
    assert told["charged_today"]["text"] == "1.25 USD"


def test_an_open_page_is_told_what_goes_with_its_figures(root: Client, busy: Cast) -> None:
    Engine.objects.update(seen_at=clock.now())
    page = root.get("/admin/").content.decode()
    assert (figure(page, "engine"), "calls can be placed" in page) == ("up", True)

    Engine.objects.update(seen_at=clock.now() - timedelta(minutes=1))
    make_call(busy, 5, accepted_at=clock.now(), end_reason=Reason.NO_ANSWER)
    told = Client().get(asked(page)).json()
    assert told["engine"]["text"] == "away"
    assert told["engine"]["note"] == [["new calls are refused until it is heard again", ""]]
    assert told["answer_rate"]["note"] == [["of 5 ended, of the last hour's", ""]]
    assert {text for text, _ in told["failures"]["note"]} == {"busy 1", "no answer 1"}
    assert {rows_at(root, url) for _, url in told["failures"]["note"]} == {1}
    assert rows_at(root, told["failures"]["url"]) == 2


def test_who_is_no_staff_any_more_is_told_nothing(root: Client, busy: Cast) -> None:
    url = asked(root.get("/admin/").content.decode())
    busy_user = root.session["_auth_user_id"]
    with connection.cursor() as cursor:
        cursor.execute("UPDATE auth_user SET is_active = false WHERE id = %s", [busy_user])

    assert Client().get(url).status_code == 403
    assert Client().get(reverse("figures", args=["forged"])).status_code == 403


def test_what_an_open_page_is_told_ends_with_its_readers_role(cast: Cast) -> None:
    reader = User.objects.create_user("ada", is_staff=True)
    reader.groups.add(Group.objects.get(name="finance"))
    browser = Client()
    browser.force_login(reader)
    url = asked(browser.get("/admin/").content.decode())
    assert {"charged_today", "calls_up"} <= set(Client().get(url).json())

    reader.groups.set([Group.objects.get(name="support")])
    told = Client().get(url).json()
    assert "calls_up" in told
    assert "charged_today" not in told
    reader.groups.clear()
    assert Client().get(url).status_code == 403


def test_shows_what_its_reader_may_see(staff: Callable[..., Client], busy: Cast) -> None:
    support = staff("calls.view_call").get("/admin/").content.decode()
    assert "Calls up" in support
    assert "Charged today" not in support
    assert "charged_today" not in Client().get(asked(support)).json()

    finance = staff("billing.view_entry").get("/admin/").content.decode()
    assert "Charged today" in finance
    assert "Calls up" not in finance
    assert "calls_up" not in Client().get(asked(finance)).json()


def test_costs_the_same_queries_for_many_calls_as_for_few(root: Client, cast: Cast) -> None:
    def queries() -> int:
        cache.clear()
        with CaptureQueriesContext(connection) as found:
            root.get("/admin/")
        return len(found)

    make_call(cast, 0)
    few = queries()
    for number in range(1, 20):
        make_call(cast, number)
    assert queries() == few <= 9


def test_the_menu_leads_to_every_page_that_its_reader_may_open_and_to_no_other(
    root: Client, staff: Callable[..., Client]
) -> None:
    everything = root.get("/admin/").content.decode()
    for model in admin.site._registry:
        assert f'href="{address(model, "changelist")}"' in everything

    little = staff("calls.view_call").get("/admin/").content.decode()
    assert f'href="{address(Call, "changelist")}"' in little
    assert "Money" not in little.split("</nav>")[0]
    assert not [model for model in admin.site._registry if model is not Call and address(model, "changelist") in little]


def test_bars_stand_on_one_another_and_lines_do_not() -> None:
    bars = charts.chart(["a", "b"], {"answered": [1, 2], "not answered": [3, 0]})
    lines = charts.chart(["a"], {"EUR": [1.5], "USD": [2.5]}, is_line=True)
    for drawn, is_stacked in ((bars, True), (lines, False)):
        options = json.loads(drawn["options"])
        assert {axis["stacked"] for axis in options["scales"].values()} == {is_stacked}
        assert options["plugins"]["legend"]["display"]
    assert not json.loads(charts.chart(["a"], {"calls": [1]})["options"])["plugins"]["legend"]["display"]
