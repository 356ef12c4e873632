"""Every change of what staff and customers own is in its history: who, when, from what to what."""

from collections.abc import Callable

from django.db import connection
from django.test import Client

from applications import customers
from applications.models import Application, Customer
from billing.models import Balance
from telephony.models import Number, Trunk
from tests.conftest import Actor
from tests.console.conftest import Cast
from tests.console.pages import address

TRACKED = [Customer, Application, Trunk, Number, Balance]


def lines(browser: Client, row: Application | Customer) -> str:
    """The text of a row's history."""
    return browser.get(address(type(row), "history", row.pk)).content.decode()


def test_a_change_by_api_is_told_with_what_it_was(root: Client, acme: Actor) -> None:
    acme.client().patch(
        f"/v1/applications/{acme.application.public_id}",
        {"answer_url": "https://new.example/answer"},
        format="json",
    )
    page = lines(root, acme.application)

    assert "answer URL from" in page
    assert "to https://new.example/answer" in page
    assert "the customer&#x27;s API, or the platform" in page


def test_a_change_in_the_console_is_told_with_who_made_it_and_why(root: Client, cast: Cast) -> None:
    root.post(address(Customer, "suspend", cast.customer.pk), {"reason": "did not pay"})
    page = lines(root, cast.customer)

    assert "status from active to suspended. Reason: did not pay" in page
    assert "status from active to suspended" in page.split("whoever changed it")[1]
    assert "root" in page.split("whoever changed it")[1]


def test_a_change_by_command_is_told_too(root: Client, cast: Cast) -> None:
    customers.suspend(cast.customer)
    assert "status from active to suspended" in lines(root, cast.customer)


def test_no_history_keeps_a_secret(root: Client, cast: Cast) -> None:
    cast.application.webhook_secret = cast.trunk.password = "another-secret"
    cast.application.save()
    cast.trunk.save()
    with connection.cursor() as cursor:
        for model in TRACKED:
            cursor.execute(f"SELECT * FROM {model.history.model._meta.db_table}")
            columns = {column.name for column in cursor.description}
            assert not columns & {"webhook_secret", "previous_webhook_secret", "password"}
            assert cursor.fetchall()


def test_calls_and_their_money_write_no_history(acme: Actor, call_body: dict[str, str], nobody_dials: None) -> None:
    before = [model.history.count() for model in TRACKED]
    answer = acme.client().post("/v1/calls", call_body, format="json")

    assert answer.status_code == 201, answer.content
    assert [model.history.count() for model in TRACKED] == before


def test_numbers_in_a_history_are_masked_for_who_need_not_see_them(
    root: Client, staff: Callable[..., Client], cast: Cast
) -> None:
    cast.customer.verified_caller_ids = ["+15551239876"]
    cast.customer.save()
    root.post(address(Customer, "suspend", cast.customer.pk), {"reason": "called from +15551239876"})
    everything = root.get(address(Customer, "history", cast.customer.pk)).content.decode()
    assert everything.count("+15551239876") >= 2

    masked = staff("applications.view_customer").get(address(Customer, "history", cast.customer.pk)).content.decode()
    assert "+15551239876" not in masked
    assert "verified caller ids from" in masked
    assert "Reason: called from +1555" in masked
