"""`manage.py create_customer` and `top_up`: what an operator needs without the console."""

from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from rest_framework.test import APIClient

from applications import keys
from applications.models import Application, Customer
from billing.models import Balance, Entry
from tests import factories

pytestmark = pytest.mark.django_db


def run(*command: str, **options: Any) -> str:
    out = StringIO()
    call_command(*command, stdout=out, **options)
    return out.getvalue()


@pytest.fixture
def customer() -> Customer:
    customer: Customer = factories.CustomerFactory()
    factories.open_account(customer, funds="10")
    return customer


def test_a_new_customer_can_sign_in_at_once() -> None:
    factories.DeckFactory(currency="EUR")

    said = dict(line.split(maxsplit=1) for line in run("create_customer", "Bäckerei ☎").splitlines() if "  " in line)

    customer = Customer.objects.get(public_id=said["customer"])
    assert customer.name == "Bäckerei ☎"
    assert Application.objects.get(public_id=said["application"]).customer == customer
    key = said["API"].removeprefix("key").strip()
    caller = keys.recognise(key)
    assert caller is not None
    assert (caller.application.public_id, sorted(caller.scopes)) == (said["application"], ["calls", "manage"])
    balance = APIClient(headers={"Authorization": f"Bearer {key}"}).get("/v1/balance").json()
    assert (balance["available"], balance["currency"]) == ("0.00", "EUR")


@pytest.mark.parametrize(
    ("options", "deck"),
    [
        (["--deck", "Retail"], "Retail"),
        (["--currency", "eur"], "Euro"),
        (["--deck", "Euro", "--currency", "EUR"], "Euro"),
    ],
)
def test_the_deck_is_told_by_name_or_currency(options: list[str], deck: str) -> None:
    for name, currency in (("Retail", "USD"), ("Wholesale", "USD"), ("Euro", "EUR")):
        factories.DeckFactory(name=name, currency=currency)

    run("create_customer", "acme", *options, "--email", "ops@acme.example")

    balance = Balance.objects.select_related("deck", "customer").get()
    assert (balance.deck.name, balance.currency) == (deck, balance.deck.currency)
    assert balance.customer.contact_email == "ops@acme.example"


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["acme"], "say which rate deck: Retail (USD), Wholesale (USD)"),
        (["acme", "--deck", "Euro"], "there is no such rate deck; there are: Retail (USD), Wholesale (USD)"),
        (["acme", "--currency", "EUR"], "there is no such rate deck"),
        (["", "--deck", "Retail"], "name: "),
        (["n" * 101, "--deck", "Retail"], "name: "),
        (["acme", "--deck", "Retail", "--email", "nobody"], "contact_email: "),
    ],
)
def test_bad_input_gets_one_line_and_makes_nothing(command: list[str], said: str) -> None:
    for name in ("Retail", "Wholesale"):
        factories.DeckFactory(name=name)

    with pytest.raises(CommandError) as refused:
        run("create_customer", *command)

    assert refused.value.returncode == 1
    assert str(refused.value).startswith(said)
    assert "\n" not in str(refused.value)
    assert not Customer.objects.exists()


def test_without_any_deck_it_says_what_to_do() -> None:
    with pytest.raises(CommandError, match="make one in the console"):
        run("create_customer", "acme")


def test_a_top_up_is_posted_once_for_its_reference(customer: Customer) -> None:
    first = run("top_up", customer.public_id, "50", "--reference", "bank-1")
    again = run("top_up", customer.public_id, "50.00", "--reference", "bank-1")
    run("top_up", customer.public_id, "0.5", reference="bank-2")

    entry = Entry.objects.get(reference="bank-1")
    assert first.startswith(f"posted 50.00 USD as {entry.public_id}")
    assert again.startswith(f"posted before, and only once: 50.00 USD as {entry.public_id}")
    assert Balance.objects.get(customer=customer).posted == Decimal("60.5")
    assert (entry.kind, entry.amount) == ("top_up", 50)


def test_the_reference_of_another_amount_is_refused(customer: Customer) -> None:
    run("top_up", customer.public_id, "50", "--reference", "bank-1")

    with pytest.raises(CommandError, match="was posted before"):
        run("top_up", customer.public_id, "51", "--reference", "bank-1")

    assert Balance.objects.get(customer=customer).posted == 60


def test_two_customers_may_have_the_same_reference(customer: Customer) -> None:
    globex = factories.CustomerFactory(name="globex")
    factories.open_account(globex)

    for each in (customer, globex):
        run("top_up", each.public_id, "5", "--reference", "bank-1")

    assert sorted(Balance.objects.values_list("posted", flat=True)) == [5, 15]


@pytest.mark.parametrize("amount", ["0", "-5", "x", "NaN", "Infinity", "1e15", "0.0000001", "", "5,00"])
def test_refuses_an_amount_that_is_none(customer: Customer, amount: str) -> None:
    with pytest.raises(CommandError, match=r"^amount: "):
        run("top_up", customer.public_id, "--reference=r", "--", amount)

    assert Balance.objects.get(customer=customer).posted == 10


def test_refuses_a_reference_that_is_none_or_too_long(customer: Customer) -> None:
    for reference in (" ", "r" * 101):
        with pytest.raises(CommandError, match=r"^reference: "):
            run("top_up", customer.public_id, "5", f"--reference={reference}")


def test_refuses_a_customer_there_is_not() -> None:
    with pytest.raises(CommandError, match="there is no customer cust_x with an account"):
        run("top_up", "cust_x", "5", "--reference", "r")


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("audited")
def test_the_same_top_up_ten_times_at_once_is_posted_once(customer: Customer) -> None:
    def once(_: int) -> str:
        try:
            return run("top_up", customer.public_id, "50", "--reference", "bank-1")
        finally:
            connection.close()

    with ThreadPoolExecutor(10) as pool:
        said = list(pool.map(once, range(10)))

    assert sum(line.startswith("posted 50.00") for line in said) == 1
    assert Balance.objects.get(customer=customer).posted == 60
