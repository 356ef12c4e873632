"""What holds on the pages of the console, as a browser shows them: each fits its window and is for everybody to use.

The walk takes its pages from the console's own addresses, so that a page made tomorrow is on it, and axe judges each
twice: at a desk and on a telephone, one of them in light and one in dark, which change places from page to page. Most
pages share their parts, so that all four ways are seen of each part, for half the time that four looks would take.
"""

from collections.abc import Callable, Iterable, Iterator

import pytest
from django.contrib.auth.models import User
from django.db.models import Model
from django.urls import reverse
from playwright.sync_api import expect

from applications.models import Application, Customer, Job, Notice
from billing.models import Approval
from calls.models import Call, Conference, Reconciliation
from minivoice import clock
from tests.browser.conftest import PHONE, Desk
from tests.browser.looking import faults
from tests.console.pages import address, named_pages
from tests.journeys.receiver import Receiver
from tests.journeys.stage import Integrator, until

NO_PAGES = {
    "search",  # the theme's: not offered
    "login",  # by a stranger, below
    "logout",
    "jsi18n",
    "autocomplete",
    "view_on_site",
    "app_list",
    "applications_job_progress",
    "applications_job_download",
    "billing_ratedeck_columns",  # in test_by_keyboard_alone
    "calls_call_live",
    "calls_call_part",
    "calls_call_audio",
    None,
}


@pytest.mark.timeout(900)
def test_each_fits_its_window_and_is_for_everybody_to_use(
    desk: Desk, hire: Callable[..., Integrator], receiver: Receiver
) -> None:
    page, acme = desk.seat("administrator"), hire("Acme")
    live = _set_the_scene(acme, receiver, User.objects.latest("pk"))
    seen: set[str] = set()
    found: list[str] = []
    page.goto("/admin/")
    found += faults(page, crossed=True)
    for url in addresses():
        answer = page.goto(url)
        if answer and answer.status == 200 and page.url not in seen:
            seen.add(page.url)
            found += faults(page, crossed=len(seen) % 2 == 0)
    acme.request("POST", f"/v1/calls/{live}/hangup")
    assert found == []
    assert len(seen) > 90


def test_what_staff_are_told_where_they_may_not_go_is_for_everybody_to_read(
    desk: Desk, hire: Callable[..., Integrator]
) -> None:
    customer = hire("Acme").customer
    page = desk.seat("support")
    found = []
    for url, status in [(address(Customer, "adjust", customer.pk), 403), ("/admin/nowhere/", 404)]:
        answer = page.goto(url)
        assert answer
        assert answer.status == status
        found += faults(page)
    page.get_by_role("link", name="Go to the first page").click()
    page.wait_for_url("/admin/")
    assert found == []


def test_what_follows_a_form_is_for_everybody_to_use(desk: Desk, hire: Callable[..., Integrator]) -> None:
    acme = hire("Acme")
    page = desk.seat("administrator")
    page.goto(address(Customer, "adjust", acme.customer.pk))
    page.get_by_role("button", name="Post").click()
    expect(page.get_by_text("This field is required").first).to_be_visible()
    found = [*faults(page)]
    page.goto(address(Customer, "add"))
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("This field is required").first).to_be_visible()
    found += faults(page, crossed=True)
    page.goto(address(Application, "issue_key", acme.application.pk))
    page.get_by_label("Reason").fill("a new server")
    page.get_by_role("button", name="Issue key").click()
    expect(page.get_by_text("mv_live_").first).to_be_visible()
    found += faults(page)
    page.goto(address(Call, "changelist"))
    page.set_viewport_size(PHONE)
    page.get_by_text("Filters").first.click()
    found += faults(page, crossed=True)
    assert found == []


def test_the_sign_in_is_for_everybody_to_use(desk: Desk, hire: Callable[..., Integrator]) -> None:
    page = desk.page()
    page.goto("/admin/login/")
    found = [*faults(page), *faults(page, crossed=True)]
    for _ in range(5):
        page.get_by_label("Username").fill("nobody of this name")
        page.get_by_label("Password").fill("a wrong one")
        page.get_by_role("button", name="Log in").click()
        found += faults(page)
    expect(page.get_by_text("Too many wrong passwords")).to_be_visible()
    assert found == []


def addresses() -> Iterator[str]:
    """Every page, of its newest row; and those that look another way when something else is asked of them."""
    for _, url in named_pages(but=NO_PAGES, order="-pk"):
        yield url
    yield reverse("second_factor")
    yield reverse("admin:app_list", args=["calls"])
    yield from (f"{reverse('search')}?q={words}" for words in ("acme", "nobody"))
    yield f"{address(Application, 'changelist')}?q=nobody"
    yield from (address(model, "change", row.pk) for model in (Call, Job) for row in _newest(model))


def _newest(model: type[Model]) -> Iterable[Model]:
    """Rows of each state: those that the scene has made, among what other tests have."""
    return model._default_manager.order_by("-pk")[:5]


def _set_the_scene(acme: Integrator, receiver: Receiver, user: User) -> str:
    """Have something of everything, also of what `user` asked for. Return the id of a call that is up."""
    receiver.answers["/answer"] = {"actions": [{"say": {"text": "Hello"}}, {"pause": {"seconds": 0.2}}, {"hangup": {}}]}
    acme.ended(acme.create("+15550000486").json()["id"])
    assert acme.create("+3545551234").json()["error"]["code"] == "rate_not_found"
    acme.ended(acme.create("+15551230742", record=True).json()["id"])
    receiver.answers["/answer"] = {"actions": [{"conference": {"room": "meeting"}}]}
    live: str = acme.create("+15551230742").json()["id"]
    until(Conference.objects.exists, seconds=10, what="the call is in its conference")
    _write_down(acme.customer, user)
    return live


def _write_down(customer: Customer, user: User) -> None:
    now, asker = clock.now(), User.objects.create_user("somebody else")
    about = {"customer": customer, "created_at": now}
    Approval.objects.create(kind="refund", amount=5, key="k", asked_by=asker, **about)
    Notice.objects.create(kind="low", day=now.date(), subject="Little money is left", text="10 USD", **about)
    Reconciliation.objects.create(ran_at=now, differences_found=0)
    for state in (Job.State.FAILED, Job.State.PREPARED, Job.State.DONE):
        file_name = "calls.csv" if state == Job.State.DONE else ""
        job = {"title": f"Calls of {state}", "line": "12 rows", "percent": 40, "file_name": file_name}
        Job.objects.create(kind="export", state=state, asked_by=user, created_at=now, expires_at=now, **job)
