"""Money at the console: adjusting a balance, terms of an account, prices."""

import re
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from uuid import uuid4

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.urls import reverse

from applications.models import Customer
from billing.models import Balance, DeckVersion, Entry, Rate
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
        "balance-0-credit_limit": "0",
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
        **{"balance-INITIAL_FORMS": "1", "balance-0-customer": str(cast.customer.pk), "name": "acme", **more},
    )


def test_terms_change_with_their_history_and_leave_money_alone(root: Client, cast: Cast) -> None:
    form = changed_terms(cast, **{"balance-0-credit_limit": "25", "balance-0-posted": "1000", "balance-0-held": "7"})
    assert root.post(address(Customer, "change", cast.customer.pk), form).status_code == 302
    balance = Balance.objects.get(customer=cast.customer)
    assert (balance.credit_limit, balance.posted, balance.held) == (25, 10, 0)
    said = LogEntry.objects.get().change_message
    assert "max concurrent calls from 100 to 5" in said
    assert "credit limit from 0.00 to 25.00" in said


def test_saving_terms_never_writes_a_balance_that_moved_meanwhile(
    root: Client, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    save = Balance.save

    def save_after_a_top_up(balance: Balance, **options: object) -> None:
        top_up(cast.customer, "5")
        save(balance, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Balance, "save", save_after_a_top_up)
    form = changed_terms(cast, **{"balance-0-credit_limit": "25"})
    assert root.post(address(Customer, "change", cast.customer.pk), form).status_code == 302
    balance = Balance.objects.get(customer=cast.customer)
    assert (balance.credit_limit, balance.posted) == (25, 15)


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
    rates = address(Rate, "changelist")
    assert "London" in root.get(rates, {"q": "+44"}).content.decode()
    assert "London" in root.get(rates, {"q": "lond"}).content.decode()
    assert "London" not in root.get(rates, {"q": "1555"}).content.decode()
    assert "London" not in root.get(rates, {"version": cast.live.pk}).content.decode()
