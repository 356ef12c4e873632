"""One search box: whatever a person has leads to the page it belongs to, or to all that it may be."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from applications.models import Application, Customer
from billing.models import Entry
from calls.models import Call, Recording
from minivoice import console
from telephony.models import Number
from tests.console.conftest import NOW, Cast, make_call
from tests.factories import ApplicationFactory, CustomerFactory
from webhooks.models import WebhookEvent


def search(browser: Client, term: str) -> Any:
    return browser.get("/admin/search", {"q": term})


def found(browser: Client, term: str) -> dict[str, list[str]]:
    """The titles of the groups that are shown, with the names in each."""
    return {group.title: [hit.name for hit in group.hits] for group in search(browser, term).context["groups"]}


def test_the_box_is_on_every_page_and_leads_to_the_search(root: Client, cast: Cast) -> None:
    page = root.get("/admin/").content.decode()
    assert 'action="/admin/search"' in page
    assert 'role="search"' in page
    assert "Type what you have" in root.get("/admin/search").content.decode()


def test_the_only_hit_is_shown_at_once(root: Client, cast: Cast) -> None:
    call, number = make_call(cast, 1), Number.objects.get()
    event, entry = WebhookEvent.objects.get(), Entry.objects.get()
    recording = Recording.objects.create(
        public_id=f"rec_{call.public_id}",
        call=call,
        number=1,
        kind="call",
        storage_type="local",
        created_at=NOW,
        updated_at=NOW,
    )
    leads: dict[str, Any] = {
        call.public_id: call,
        f"  {call.provider_call_id} ": call,
        str(call.provider_call_id).upper().replace("-", ""): call,
        "+1 (555) 999-0001": call,
        event.public_id: event,
        event.delivery_id: event,
        entry.public_id: entry,
        recording.public_id: call,
        cast.customer.public_id: cast.customer,
        cast.application.public_id: cast.application,
        cast.trunk.public_id: cast.trunk,
        number.public_id: number,
    }
    for term, row in leads.items():
        assert search(root, term).headers.get("Location") == console.url_of(row), term


def test_a_name_or_e_mail_is_found_by_a_part_in_any_case(root: Client, cast: Cast) -> None:
    customer = CustomerFactory(name="Müller & Söhne", contact_email="office@mueller.example")
    for term in ("müller", "SÖHNE", "OFFICE@mueller", "ller & S", "Mü", "office@mueller.example"):
        assert search(root, term).headers.get("Location") == console.url_of(customer), term
    ApplicationFactory(customer=customer, name="Müller's desk")
    assert found(root, "müller") == {"Customers": ["Müller & Söhne"], "Applications": ["Müller's desk"]}
    assert found(root, "%") == {}
    assert found(root, "öhn_") == {}


def test_several_hits_are_grouped_newest_call_first_and_no_more_than_ten(root: Client, cast: Cast) -> None:
    calls = [make_call(cast, number) for number in range(12)]
    groups = search(root, "+1 555 123-0001").context["groups"]
    shown = {group.title: group for group in groups}
    assert [hit.name for hit in shown["Calls"].hits] == [call.public_id for call in reversed(calls[2:])]
    assert [hit.name for hit in shown["Numbers"].hits] == [str(Number.objects.get())]
    assert shown["Numbers"].more_url == ""
    listed = root.get(shown["Calls"].more_url)
    assert len(listed.context["cl"].result_list) == 12


@pytest.mark.parametrize(
    "term", ["nobody", "call_1", "evt_0", "whd_x", "\0", "a\0b", "+", "0" * 300, "' OR 1=1 --", "👻"]
)
def test_what_nobody_has_is_said_not_to_be_there(root: Client, cast: Cast, term: str) -> None:
    answer = search(root, term)
    assert answer.status_code == 200
    assert answer.context["groups"] == []


def test_what_is_typed_is_shown_as_text(root: Client, cast: Cast) -> None:
    page = search(root, "<script>alert(1)</script>").content.decode()
    assert "&lt;script&gt;" in page
    assert "<script>alert" not in page


def test_shows_no_more_than_its_user_may_see(staff: Callable[..., Client], cast: Cast) -> None:
    make_call(cast, 1)
    finance = staff("applications.view_customer")
    assert found(finance, "+15559990001") == {}
    assert search(finance, cast.customer.name).headers["Location"] == console.url_of(cast.customer)
    assert found(staff("calls.view_call"), cast.customer.name) == {}
    assert Client().get("/admin/search", {"q": "acme"}).status_code == 302


def test_costs_the_same_queries_however_much_there_is_and_reads_no_table_through(root: Client, cast: Cast) -> None:
    def queries(term: str) -> list[str]:
        with CaptureQueriesContext(connection) as asked:
            search(root, term)
        return [query["sql"] for query in asked.captured_queries]

    make_call(cast, 1)
    few = {term: len(queries(term)) for term in ("+15551230001", "acme")}
    for number in range(2, 9):
        make_call(cast, number)
        CustomerFactory(name=f"acme {number}")
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        for term, count in few.items():
            asked = queries(term)
            assert abs(len(asked) - count) <= 2  # one hit leads on at once, several are shown
            for table in (Call, Customer, Application, Number):
                for sql in (sql for sql in asked if f'FROM "{table._meta.db_table}"' in sql):
                    cursor.execute(f"EXPLAIN {sql}")
                    plan = "\n".join(line for (line,) in cursor.fetchall())
                    assert f"Seq Scan on {table._meta.db_table}" not in plan, plan
