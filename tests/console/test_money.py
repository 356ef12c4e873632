"""Money at the console: adjusting a balance, terms of an account, prices."""

import re
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from uuid import uuid4

import pytest
from django.contrib.admin.models import LogEntry
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse

from applications.models import Customer
from billing.models import Approval, Balance, DeckVersion, Entry, Rate
from minivoice import clock
from tests.console.conftest import Cast
from tests.console.pages import address
from tests.factories import DeckFactory, RateFactory, VersionFactory, top_up

ADJUSTMENT = {"kind": "adjustment", "amount": "-2.50", "reason": "goodwill, ticket 17", "reference": ""}


def adjust_url(cast: Cast) -> str:
    return reverse("admin:applications_customer_adjust", args=[cast.customer.pk])


def opened_form(browser: Client, cast: Cast) -> dict[str, str]:
    """What a person who opened the form sends with it."""
    token = re.search(r'name="token" value="([0-9a-f-]{36})"', browser.get(adjust_url(cast)).content.decode())
    assert token
    return {"token": token[1]}


def posted(cast: Cast) -> Decimal:
    return Balance.objects.get(customer=cast.customer).posted


def test_an_adjustment_is_one_entry_and_one_line_of_history(root: Client, cast: Cast) -> None:
    answer = root.post(adjust_url(cast), {**ADJUSTMENT, **opened_form(root, cast)}, follow=True)
    entry = Entry.objects.latest("id")
    assert (entry.amount, entry.posted_after, posted(cast)) == (Decimal("-2.5"), Decimal("7.5"), Decimal("7.5"))
    assert (entry.kind, entry.note, entry.staff.username) == ("adjustment", "goodwill, ticket 17", "root")
    line = LogEntry.objects.get()
    assert line.user == entry.staff
    assert line.object_id == str(cast.customer.pk)
    assert line.change_message == "Adjustment of -2.50, balance from 10.00 to 7.50, reason: goodwill, ticket 17"
    assert "balance from 10.00 to 7.50" in answer.content.decode()


def test_a_form_that_is_sent_twice_posts_once(root: Client, cast: Cast) -> None:
    form = {**ADJUSTMENT, **opened_form(root, cast)}
    root.post(adjust_url(cast), form)
    again = root.post(adjust_url(cast), form, follow=True)
    assert "Sent twice, posted once" in again.content.decode()
    assert Entry.objects.filter(kind="adjustment").count() == 1
    assert posted(cast) == Decimal("7.5")
    assert LogEntry.objects.count() == 1


def test_a_form_opened_twice_posts_twice(root: Client, cast: Cast) -> None:
    for _ in range(2):
        root.post(adjust_url(cast), {**ADJUSTMENT, **opened_form(root, cast)})
    assert posted(cast) == Decimal(5)


def test_a_reference_is_posted_once(root: Client, cast: Cast) -> None:
    form = {"kind": "top_up", "amount": "20", "reason": "wire", "reference": "BANK-1"}
    assert root.post(adjust_url(cast), {**form, **opened_form(root, cast)}).status_code == 302
    again = root.post(adjust_url(cast), {**form, **opened_form(root, cast)})
    assert "an entry with this reference is already posted" in again.content.decode()
    assert posted(cast) == Decimal(30)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"reason": ""}, "This field is required"),
        ({"reason": "   "}, "This field is required"),
        ({"amount": "0"}, "must be more than 0"),
        ({"kind": "refund"}, "must be more than 0"),
        ({"kind": "charge", "amount": "1"}, "is not one of the available choices"),
        ({"amount": "NaN"}, "Enter a number"),
        ({"amount": "0.0000001"}, "no more than 6 decimal places"),
        ({"reference": "BANK-1"}, "belongs to a top-up"),
        ({"token": "guessed"}, "valid UUID"),
    ],
)
def test_refuses_what_it_cannot_post(root: Client, cast: Cast, wrong: dict[str, str], said: str) -> None:
    answer = root.post(adjust_url(cast), {**ADJUSTMENT, "token": str(uuid4()), **wrong})
    assert said in answer.content.decode()
    assert posted(cast) == Decimal(10)
    assert Entry.objects.count() == 1


def test_only_staff_who_may_add_entries_adjust(staff: Callable[..., Client], cast: Cast) -> None:
    support = staff("applications.view_customer", "applications.change_customer", "billing.view_balance")
    page = support.get(address(Customer, "change", cast.customer.pk)).content.decode()
    assert "10.00 USD" in page
    assert "Adjust balance" not in page
    assert support.post(adjust_url(cast), {**ADJUSTMENT, "token": str(uuid4())}).status_code == 403
    assert posted(cast) == Decimal(10)
    finance = staff("applications.view_customer", "billing.add_entry")
    assert finance.post(adjust_url(cast), {**ADJUSTMENT, **opened_form(finance, cast)}).status_code == 302
    assert posted(cast) == Decimal("7.5")


def customer_form(deck: object, **more: str) -> dict[str, str]:
    return {
        "name": "globex",
        "status": "active",
        "max_concurrent_calls": "5",
        "max_cps": "2",
        "caller_id_policy": "own",
        "verified_caller_ids": "",
        "balance-TOTAL_FORMS": "1",
        "balance-INITIAL_FORMS": "0",
        "balance-0-deck": str(deck),
        "balance-0-day_cap": "100",
        **more,
    }


def test_a_new_customer_has_an_account_in_its_decks_currency(root: Client, cast: Cast) -> None:
    euros = DeckFactory(name="euros", currency="EUR")
    answer = root.post(address(Customer, "add"), customer_form(euros.pk))
    assert answer.status_code == 302
    balance = Balance.objects.get(customer__name="globex")
    assert (balance.currency, balance.posted, balance.held, balance.day_cap) == ("EUR", 0, 0, 100)


def test_refuses_a_customer_without_an_account(root: Client, cast: Cast) -> None:
    without = customer_form("", **{"balance-TOTAL_FORMS": "0"})
    assert root.post(address(Customer, "add"), without).status_code == 200
    assert root.post(address(Customer, "add"), customer_form("")).status_code == 200
    assert Customer.objects.count() == 1


def changed_terms(cast: Cast, **more: str) -> dict[str, str]:
    return customer_form(
        cast.deck.pk,
        **{
            "balance-INITIAL_FORMS": "1",
            "balance-0-customer": str(cast.customer.pk),
            "name": "acme",
            "reason": "as agreed",
            **more,
        },
    )


def test_terms_change_with_their_history_and_leave_money_alone(root: Client, cast: Cast) -> None:
    money = {"balance-0-posted": "1000", "balance-0-held": "7", "balance-0-credit_limit": "8"}
    form = changed_terms(cast, **{"balance-0-day_cap": "25", **money})
    assert root.post(address(Customer, "change", cast.customer.pk), form).status_code == 302
    balance = Balance.objects.get(customer=cast.customer)
    assert (balance.day_cap, balance.posted, balance.held, balance.credit_limit) == (25, 10, 0, 0)
    said = LogEntry.objects.get().change_message
    assert "max concurrent calls from 100 to 5" in said
    assert "day cap from nothing to 25.00" in said


def test_saving_terms_never_writes_a_balance_that_moved_meanwhile(
    root: Client, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    save = Balance.save

    def save_after_a_top_up(balance: Balance, **options: object) -> None:
        top_up(cast.customer, "5")
        save(balance, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Balance, "save", save_after_a_top_up)
    form = changed_terms(cast, **{"balance-0-day_cap": "25"})
    assert root.post(address(Customer, "change", cast.customer.pk), form).status_code == 302
    balance = Balance.objects.get(customer=cast.customer)
    assert (balance.day_cap, balance.posted) == (25, 15)


def test_an_account_keeps_its_currency(root: Client, cast: Cast) -> None:
    euros = DeckFactory(name="euros", currency="EUR")
    form = changed_terms(cast, **{"balance-0-deck": str(euros.pk)})
    answer = root.post(address(Customer, "change", cast.customer.pk), form)
    assert "the account is in USD, this deck in EUR" in answer.content.decode()


def rate_form(version: DeckVersion, price: str) -> dict[str, str]:
    return {
        "version": str(version.pk),
        "prefix": "1555",
        "description": "",
        "price_per_minute": price,
        "connection_fee": "0",
        "initial_increment": "1",
        "subsequent_increment": "1",
        "minimum_charge": "0",
        "reason": "a slip",
    }


def test_a_rate_is_edited_only_in_a_draft(root: Client, cast: Cast) -> None:
    live, draft = cast.live.rates.get(), cast.draft.rates.get()
    assert root.post(address(Rate, "change", live.pk), rate_form(cast.live, "9")).status_code == 403
    assert root.post(address(Rate, "delete", live.pk), {"post": "yes"}).status_code == 403
    assert root.post(address(Rate, "change", draft.pk), rate_form(cast.draft, "9")).status_code == 302
    live.refresh_from_db()
    draft.refresh_from_db()
    assert (live.price_per_minute, draft.price_per_minute) == (Decimal("0.6"), 9)


def test_a_rate_cannot_be_added_to_a_live_version(root: Client, cast: Cast) -> None:
    form = {**rate_form(cast.live, "9"), "prefix": "44"}
    assert root.post(address(Rate, "add"), form).status_code == 200
    assert root.post(address(Rate, "add"), {**form, "version": str(cast.draft.pk)}).status_code == 302
    assert [rate.version for rate in Rate.objects.filter(prefix="44")] == [cast.draft]


def test_a_draft_is_published_once_and_then_stays(root: Client, cast: Cast) -> None:
    url = reverse("admin:billing_deckversion_publish", args=[cast.draft.pk])
    assert root.get(url).status_code == 200
    cast.draft.refresh_from_db()
    assert cast.draft.state == "draft"
    assert "Published." in root.post(url, {"reason": "new prices"}, follow=True).content.decode()
    cast.draft.refresh_from_db()
    assert cast.draft.state == "live"
    assert root.post(address(DeckVersion, "change", cast.draft.pk), {}).status_code == 403
    assert LogEntry.objects.get().change_message == "state from draft to live. Reason: new prices"


def test_refuses_a_second_version_from_the_same_moment(root: Client, cast: Cast) -> None:
    tomorrow = clock.now() + timedelta(days=1)
    VersionFactory(deck=cast.deck, effective_from=tomorrow)
    twin = VersionFactory(deck=cast.deck, effective_from=tomorrow, state="draft")
    url = reverse("admin:billing_deckversion_publish", args=[twin.pk])
    assert "live from the same moment" in root.post(url, {"reason": "oops"}, follow=True).content.decode()
    twin.refresh_from_db()
    assert twin.state == "draft"


def test_finds_rates_by_first_digits_and_version(root: Client, cast: Cast) -> None:
    RateFactory(version=cast.draft, prefix="4420", description="London")
    rates, draft = address(Rate, "changelist"), {"version": cast.draft.pk}
    for found in ("+44", "4420", "lond"):
        assert "London" in root.get(rates, {**draft, "q": found}).content.decode()
    for missed in ("1555", "44201", "٤٤"):
        assert "London" not in root.get(rates, {**draft, "q": missed}).content.decode()
    assert "London" not in root.get(rates, {"version": cast.live.pk}).content.decode()


def test_a_version_is_one_row_however_many_rates_it_has(root: Client, cast: Cast) -> None:
    RateFactory(version=cast.draft, prefix="4420")
    for place in range(4):
        listed = root.get(address(DeckVersion, "changelist"), {"o": place}).context["cl"].result_list
        assert {version.pk for version in listed} == {cast.live.pk, cast.draft.pk}
        assert len(listed) == 2


def test_the_list_of_rates_is_of_one_version_to_begin_with_the_one_that_came_into_force_last(
    root: Client, cast: Cast
) -> None:
    begun = clock.now() - timedelta(seconds=1)
    for version, name in (
        (VersionFactory(deck=cast.deck, effective_from=begun), "London"),
        (VersionFactory(deck=cast.deck, effective_from=begun + timedelta(days=1)), "Leeds"),
    ):
        RateFactory(version=version, prefix="4420", description=name)
    page = root.get(address(Rate, "changelist"))
    assert [rate.description for rate in page.context["cl"].result_list] == ["London"]
    choices = list(page.context["cl"].filter_specs[0].choices(page.context["cl"]))
    assert [choice["display"].startswith(str(cast.deck)) for choice in choices] == [True] * 4
    assert [choice["display"] for choice in choices if choice["selected"]] == [
        f"{cast.deck} from {begun:%Y-%m-%d %H:%M} UTC (live)"
    ]

    assert not root.get(address(Rate, "changelist"), {"version": "no number"}).context["cl"].result_list
    DeckVersion.objects.all().delete()
    assert "No rates yet" in root.get(address(Rate, "changelist")).content.decode()


LARGE = {**ADJUSTMENT, "amount": "-600"}


def asked(browser: Client, cast: Cast, **more: str) -> Approval:
    browser.post(adjust_url(cast), {**LARGE, **opened_form(browser, cast), **more})
    return Approval.objects.latest("id")


def decide(browser: Client, approval: Approval, action: str, reason: str = "ticket 17 says so") -> HttpResponse:
    url = reverse(f"admin:billing_approval_{action}", args=[approval.pk])
    return browser.post(url, {"reason": reason}, follow=True)  # type: ignore[return-value]


def test_above_the_threshold_an_adjustment_waits_for_a_second_person(
    root: Client, staff: Callable[..., Client], cast: Cast
) -> None:
    form = {**LARGE, **opened_form(root, cast)}
    answer = root.post(adjust_url(cast), form, follow=True).content.decode()
    assert "Not posted yet: Adjustment of -600.00 waits for a second person&#x27;s approval" in answer
    assert "Sent twice" in root.post(adjust_url(cast), form, follow=True).content.decode()
    assert posted(cast) == Decimal(10)
    approval = Approval.objects.get()
    own_page = root.get(address(Approval, "change", approval.pk)).content.decode()
    assert reverse("admin:billing_approval_approve", args=[approval.pk]) not in own_page
    assert "who asked for it cannot approve it" in decide(root, approval, "approve").content.decode()
    manager = staff("billing.view_approval", "billing.approve_adjustment", "billing.view_entry")
    question = manager.get(reverse("admin:billing_approval_approve", args=[approval.pk])).content.decode()
    assert "-590.00 USD" in question
    assert decide(manager, approval, "approve", reason="").context["form"].errors
    assert posted(cast) == Decimal(10)
    assert "Posted: Adjustment of -600.00" in decide(manager, approval, "approve").content.decode()
    assert "decided before" in decide(manager, approval, "approve").content.decode()
    assert posted(cast) == Decimal(-590)
    entry = Entry.objects.latest("id")
    assert "staff-" in manager.get(address(Entry, "change", entry.pk)).content.decode()
    said = [line.change_message for line in LogEntry.objects.filter(object_id=str(cast.customer.pk)).order_by("id")]
    assert said[0].startswith("Adjustment of -600.00 waits for a second person's approval, reason: goodwill")
    assert said[-1].endswith("Approved because: ticket 17 says so")


def test_the_form_says_what_one_person_may_still_move_alone(root: Client, cast: Cast) -> None:
    unused = root.get(adjust_url(cast)).content.decode()
    assert "more than 500.00 USD by one person in 24 hours" in unused
    assert "you have moved" not in unused
    for _ in range(2):
        root.post(adjust_url(cast), {**ADJUSTMENT, "amount": "-300", **opened_form(root, cast)})
    assert posted(cast) == -290
    assert Approval.objects.get().amount == -300
    assert "in 24 hours; you have moved 300.00 USD of that" in root.get(adjust_url(cast)).content.decode()


def limit_url(cast: Cast) -> str:
    return reverse("admin:applications_customer_set_credit_limit", args=[cast.customer.pk])


def set_limit(browser: Client, cast: Cast, limit: str, token: str = "") -> str:
    form = {"credit_limit": limit, "reason": "a contract", "token": token or str(uuid4())}
    return browser.post(limit_url(cast), form, follow=True).content.decode()


def test_a_credit_limit_is_set_with_a_reason_up_to_the_threshold(root: Client, cast: Cast) -> None:
    page = root.get(limit_url(cast)).content.decode()
    assert "a raise to more than 500.00 USD" in page
    assert "credit limit from 0.00 USD to 500.00 USD, reason: a contract" in set_limit(root, cast, "500")
    assert 'name="credit_limit" value="500"' in root.get(limit_url(cast)).content.decode()
    assert "credit limit from 500.00 USD to 20.00 USD" in set_limit(root, cast, "20")
    assert Balance.objects.get(customer=cast.customer).credit_limit == 20
    assert "reason: a contract" in LogEntry.objects.latest("id").change_message
    for wrong in ("-1", "", "NaN"):
        assert Balance.objects.get(customer=cast.customer).credit_limit == 20, set_limit(root, cast, wrong)


def test_a_raise_of_the_credit_limit_above_the_threshold_waits_for_a_second_person(
    root: Client, staff: Callable[..., Client], cast: Cast
) -> None:
    set_limit(root, cast, "400")
    token = str(uuid4())
    waits = "credit limit raise of 200.00 waits for a second person&#x27;s approval"
    assert waits in set_limit(root, cast, "600", token)
    assert "Sent twice" in set_limit(root, cast, "600", token)
    assert Balance.objects.get(customer=cast.customer).credit_limit == 400
    approval = Approval.objects.get()
    assert "who asked for it cannot approve it" in decide(root, approval, "approve").content.decode()
    manager = staff("billing.view_approval", "billing.approve_adjustment")
    question = manager.get(reverse("admin:billing_approval_approve", args=[approval.pk])).content.decode()
    assert "Credit limit then" in question
    assert "600.00 USD" in question
    assert "Raised: credit limit raise of 200.00 was approved" in decide(manager, approval, "approve").content.decode()
    assert "decided before" in decide(manager, approval, "approve").content.decode()
    balance = Balance.objects.get(customer=cast.customer)
    assert (balance.credit_limit, balance.posted) == (600, 10)
    assert [version.credit_limit for version in balance.history.order_by("history_id")] == [0, 400, 600]
    said = LogEntry.objects.filter(object_id=str(cast.customer.pk)).latest("id").change_message
    assert said.endswith("Approved because: ticket 17 says so")


def test_a_credit_limit_counts_from_what_it_was_a_day_ago(root: Client, cast: Cast) -> None:
    set_limit(root, cast, "500")
    set_limit(root, cast, "501")
    assert Balance.objects.get(customer=cast.customer).credit_limit == 500
    cast.customer.balance.history.update(history_date=clock.now() - timedelta(hours=24))
    set_limit(root, cast, "1000")
    set_limit(root, cast, "1000.01")
    assert Balance.objects.get(customer=cast.customer).credit_limit == 1000
    assert Approval.objects.count() == 2


def test_what_is_rejected_is_never_posted(root: Client, staff: Callable[..., Client], cast: Cast) -> None:
    approval = asked(root, cast)
    manager = staff("billing.view_approval", "billing.approve_adjustment")
    assert "Rejected: nothing was changed." in decide(manager, approval, "reject").content.decode()
    assert "decided before" in decide(manager, approval, "approve").content.decode()
    assert posted(cast) == Decimal(10)
    assert "rejected" in manager.get(address(Approval, "changelist")).content.decode().lower()


def test_only_those_who_may_approve_decide(root: Client, staff: Callable[..., Client], cast: Cast) -> None:
    approval = asked(root, cast)
    finance = staff("billing.view_approval", "billing.add_entry", "billing.view_entry", "billing.change_approval")
    page = finance.get(address(Approval, "change", approval.pk)).content.decode()
    assert "goodwill, ticket 17" in page
    for action in ("approve", "reject"):
        assert reverse(f"admin:billing_approval_{action}", args=[approval.pk]) not in page
        assert decide(finance, approval, action).status_code == 403
    assert posted(cast) == Decimal(10)
