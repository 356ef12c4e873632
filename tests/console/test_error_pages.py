"""What staff read where the console has nothing for them."""

from collections.abc import Callable

import pytest
from django.test import Client, RequestFactory

from applications.models import Customer
from minivoice import error_pages, logs
from tests.conftest import refusal
from tests.console.conftest import Cast
from tests.console.pages import address


def test_says_in_the_consoles_frame_that_a_page_is_not_for_a_role(staff: Callable[..., Client], cast: Cast) -> None:
    answer = staff("applications.view_customer").get(address(Customer, "adjust", cast.customer.pk))
    assert answer.status_code == 403
    page = answer.content.decode()
    assert "Your role may not open this page or do this." in page
    assert address(Customer, "changelist") in page


@pytest.mark.parametrize("url", ["/admin/nowhere/", "/admin/billing/ratedeck/1/import-rates/no-such-job/"])
def test_says_in_the_consoles_frame_that_there_is_no_such_page(root: Client, url: str) -> None:
    answer = root.get(url)
    assert answer.status_code == 404
    assert "There is no such page or row" in answer.content.decode()


def test_the_api_answers_in_its_own_way(client: Client) -> None:
    assert refusal(client.get("/v1/nowhere")) == (404, "not_found")


def test_a_form_from_elsewhere_changes_nothing_and_is_told_so(cast: Cast, root: Client) -> None:
    browser = Client(enforce_csrf_checks=True)
    browser.cookies = root.cookies
    answer = browser.post(address(Customer, "suspend", cast.customer.pk), {"reason": "x"})
    assert answer.status_code == 403
    assert "This form is out of date" in answer.content.decode()
    cast.customer.refresh_from_db()
    assert cast.customer.status == Customer.Status.ACTIVE


@pytest.mark.parametrize("url", ["/admin/", "/v1/calls"])
def test_a_failure_is_told_with_its_request_id_and_without_the_database(url: str) -> None:
    request = RequestFactory().get(url)
    logs.request_id.set("0123456789abcdef")
    answer = error_pages.failed(request)  # a test without the database fixture may not ask it
    assert answer.status_code == 500
    assert "0123456789abcdef" in answer.content.decode()
    assert answer["Content-Type"].startswith("text/html" if url == "/admin/" else "application/json")
