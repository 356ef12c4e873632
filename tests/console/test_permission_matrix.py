"""Each role, each page, each act: who gets what of the console by its address, whatever buttons are shown."""

from collections.abc import Iterator

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group, User
from django.test import Client
from django.urls import reverse

from applications.models import Job, Notice
from billing.models import Approval, SpendDay
from calls.models import Conference, Reason, Reconciliation, Recording, Refusal, Status
from tests.console.conftest import NOW, Cast, make_call
from tests.console.pages import address, named_pages

LETTERS = {"S": "support", "F": "finance", "M": "manager", "A": "administrator"}
TO_ALL = {"index", "logout", "password_change", "password_change_done", "jsi18n", "search"}
ELSEWHERE = {
    "login",
    "autocomplete",  # asked for a model and a field: below
    "view_on_site",
    "app_list",  # the lists of an app, those that are open
    "calls_call_live",  # by a token: test_call_page
    "applications_job_progress",  # each sees their own: test_jobs
    "applications_job_download",
    "applications_job_change",
    "applications_job_history",
    "calls_call_audio",  # of a recording that is kept: test_call_page
    "billing_ratedeck_columns",  # of their own job: test_importing
    None,
}


# Lists, and the histories of their rows
SEEN = {
    "A": """
        auth_user auth_group
    """,
    "SMA": """
        applications_notice webhooks_webhookevent telephony_number telephony_engine calls_conference
        calls_refusal telephony_trunk
    """,
    "SFMA": """
        applications_application calls_call applications_customer
    """,
    "FMA": """
        billing_entry billing_hold billing_spendday billing_approval billing_ratedeck billing_deckversion
        billing_rate calls_reconciliation
    """,
}
# Forms that are taken
FORMS = {
    "A": """
        auth_user_password_change auth_user_add auth_user_change auth_group_add auth_group_change
        telephony_engine_add telephony_engine_change telephony_trunk_add telephony_trunk_change
    """,
    "MA": """
        applications_application_add applications_application_change telephony_number_add
        telephony_number_change applications_customer_add applications_customer_change
    """,
    "FMA": """
        billing_ratedeck_add billing_ratedeck_change billing_deckversion_add billing_rate_add
    """,
}
# Questions before an act, and what else a page fetches
ACTS = {
    "SFMA": """
        calls_call_part applications_job_changelist
    """,
    "A": """
        auth_user_reset_second_factor telephony_trunk_approve_inbound_ip
    """,
    "SMA": """
        webhooks_webhookevent_replay applications_application_revoke applications_application_replay_events
        calls_call_hang_up calls_call_add_note calls_call_replay_webhooks applications_customer_give_limits
        applications_customer_end_limits applications_customer_suspend applications_customer_lift
        telephony_trunk_disable telephony_trunk_enable
    """,
    "MA": """
        applications_application_issue_key applications_application_enable_endpoint billing_approval_approve
        billing_approval_reject telephony_trunk_test_call applications_customer_set_credit_limit
    """,
    "FMA": """
        billing_ratedeck_import_rates billing_deckversion_publish billing_deckversion_preview_again
        billing_deckversion_undo calls_reconciliation_reconcile calls_call_refund applications_job_export
        applications_customer_adjust applications_customer_statement applications_customer_export
    """,
}


@pytest.fixture
def shop(cast: Cast) -> Cast:
    """One row at least for every page of the console; the first call has a recording, the first approval waits."""
    ended = {"status": Status.COMPLETED, "end_reason": Reason.HANGUP, "answered_at": NOW, "cost_amount": "0.012"}
    call, customer = make_call(cast, 1, **ended), cast.customer
    asker = User.objects.create_user("somebody else", is_staff=True)
    Recording.objects.create(public_id=f"rec_{call.public_id}", call=call, number=1, created_at=NOW, updated_at=NOW)
    Approval.objects.create(customer=customer, kind="refund", amount=5, key="k", asked_by=asker, created_at=NOW)
    Notice.objects.create(customer=customer, kind="low", day=NOW.date(), created_at=NOW)
    SpendDay.objects.create(customer=customer, day=NOW.date())
    Job.objects.create(kind="export", title="a job", asked_by=asker, created_at=NOW, expires_at=NOW)
    Conference.objects.create(customer=customer, room="meeting", began_at=NOW)
    Refusal.objects.create(customer=customer, code="rate_not_found", minute=NOW, last_number="+15551230002")
    Reconciliation.objects.create(ran_at=NOW, differences_found=0)
    return cast


def browser(role: str = "") -> Client:
    """The browser of a member of staff in the role's group, or in none."""
    user = User.objects.create_user(f"{role or 'nobody'} at work", is_staff=True)
    user.groups.set(Group.objects.filter(name=role))
    client = Client()
    client.force_login(user)
    return client


def pages() -> Iterator[tuple[str, str]]:
    """The name and address of every page of the console, with the first row of its table where it is about one."""
    return named_pages(but=ELSEWHERE)


def opens(client: Client, name: str, url: str) -> bool:
    """Whether a page opens: for a form to change or delete a row, whether it takes what is sent."""
    is_form = name.endswith(("_change", "_delete", "_add"))
    answer = client.post(url, {"nonsense": "1"}) if is_form else client.get(url)
    assert answer.status_code in {200, 302, 403, 404, 405}, f"{name} answered {answer.status_code}"
    return answer.status_code in {200, 302}


def role_letters(table: dict[str, str]) -> dict[str, str]:
    """By the name of a page, the letters of the roles that it opens to."""
    return {name: letters for letters, names in table.items() for name in names.split()}


def test_each_role_gets_what_is_its_and_nothing_else(shop: Cast) -> None:
    clients = {letter: browser(role) for letter, role in LETTERS.items()}
    seen = role_letters(SEEN)
    lists = {f"{model}_{page}": letters for model, letters in seen.items() for page in ("changelist", "history")}
    expected = {**lists, **role_letters(FORMS), **role_letters(ACTS), **dict.fromkeys(TO_ALL - {"logout"}, "SFMA")}

    found = {name: "".join(letter for letter in LETTERS if opens(clients[letter], name, url)) for name, url in pages()}

    assert {name: letters for name, letters in found.items() if letters} == expected


def test_staff_of_no_role_get_nothing(shop: Cast) -> None:
    nobody = browser()
    assert {name for name, url in pages() if opens(nobody, name, url)} == TO_ALL - {"logout"}


def test_strangers_get_nothing(shop: Cast) -> None:
    stranger = Client()
    for name, url in pages():
        answer = stranger.post(url) if name == "logout" else stranger.get(url)
        assert answer.status_code == 302 or name == "jsi18n", name
        assert name in {"logout", "jsi18n"} or answer.url.startswith("/admin/login/"), name


@pytest.mark.parametrize("role", LETTERS.values())
def test_no_role_deletes_rows_in_bulk(shop: Cast, role: str) -> None:
    client = browser(role)
    for model in admin.site._registry:
        before = model._default_manager.count()
        row = model._default_manager.order_by("pk").values_list("pk", flat=True).first()
        form = {"action": "delete_selected", "_selected_action": row, "post": "yes"}
        client.post(address(model, "changelist"), form)
        assert model._default_manager.count() == before, model


@pytest.mark.parametrize(("role", "status"), [("", 403), ("support", 200), ("finance", 200)])
def test_autocomplete_names_customers_to_who_may_see_them(shop: Cast, role: str, status: int) -> None:
    asked = {"app_label": "telephony", "model_name": "number", "field_name": "customer", "term": "a"}
    answer = browser(role).get(reverse("admin:autocomplete"), asked)
    assert answer.status_code == status
