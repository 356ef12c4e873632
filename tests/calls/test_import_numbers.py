"""`manage.py import_numbers`: a file of numbers is assigned whole, or not at all."""

from decimal import Decimal
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from telephony.models import Number
from tests import factories
from tests.conftest import Actor

HEAD = "customer,number,application,route_mode,routing_target,provider,price_per_minute,connection_fee,increments"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "numbers.csv"


def run(file: Path, *lines: str, head: str = HEAD, dry: bool = False) -> str:
    file.write_text("\n".join([head, *lines]))
    said = StringIO()
    call_command("import_numbers", file, dry_run=dry, stdout=said)
    return said.getvalue()


def test_assigns_new_numbers_and_changes_the_customers_own(acme: Actor, file: Path) -> None:
    customer, application = acme.customer.public_id, acme.application.public_id

    said = run(
        file,
        f"{customer},+15551230050,{application},,,Wholesale,0.0045,0.01,30/6",
        f"{customer},+15551230001,,reject,,,,,",
    )

    assert "1 assigned, 1 changed" in said
    new = Number.objects.get(number_e164="+15551230050")
    assert (new.customer, new.application, new.route_mode) == (acme.customer, acme.application, "webhook")
    assert (new.inbound_price_per_minute, new.inbound_connection_fee) == (Decimal("0.0045"), Decimal("0.01"))
    assert (new.inbound_initial_increment, new.inbound_subsequent_increment) == (30, 6)
    old = Number.objects.get(number_e164="+15551230001")
    assert (old.route_mode, old.application, old.inbound_price_per_minute) == ("reject", acme.application, 0)


def test_a_dry_run_changes_nothing(acme: Actor, file: Path) -> None:
    said = run(file, f"{acme.customer.public_id},+15551230050,{acme.application.public_id},,,,,,", dry=True)

    assert "1 would be assigned" in said
    assert Number.objects.count() == 1


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("{acme},15551230050,{app},,,,,,", "not an E.164 number"),
        ("nobody,+15551230050,{app},,,,,,", "there is no customer 'nobody'"),
        ("{globex},+15551230001,,reject,,,,,", "is another customer's"),
        ("{globex},+15551230050,{app},,,,,,", "is no active one of"),
        ("{acme},+15551230050,,,,,,,", "application is needed"),
        ("{acme},+15551230050,{app},dance,,,,,", "is none of webhook, reject, sip"),
        ("{acme},+15551230050,{app},sip,sip:x@elsewhere.example,,,,", "must be an E.164 number or sip:"),
        ("{acme},+15551230050,{app},reject,+15551230002,,,,", "must be empty"),
        ("{acme},+15551230050,{app},,,,-1,,", "is not an amount"),
        ("{acme},+15551230050,{app},,,,,,60", "are not seconds such as 60/60"),
        ("{acme},+15551230050,{app},,,,,,0/60", "are not seconds such as 60/60"),
        ("{acme},+15551230051,{app},,,,,,", "is on line 2 already"),
    ],
)
def test_one_wrong_line_changes_nothing_at_all(acme: Actor, globex: Actor, file: Path, line: str, problem: str) -> None:
    names = {
        "acme": acme.customer.public_id,
        "globex": globex.customer.public_id,
        "app": acme.application.public_id,
    }
    right = "{acme},+15551230051,{app},,,,,,"

    with pytest.raises(CommandError) as refusal:
        run(file, right.format(**names), line.format(**names))

    assert "line 3: " in str(refusal.value)
    assert problem in str(refusal.value)
    assert list(Number.objects.values_list("number_e164", flat=True)) == ["+15551230001"]


@pytest.mark.parametrize("head", ["customer,application", "customer,number,colour"])
def test_a_file_of_other_columns_is_refused(acme: Actor, file: Path, head: str) -> None:
    with pytest.raises(CommandError, match="column"):
        run(file, head=head)


def test_a_target_at_a_host_of_the_customers_own_trunk_is_taken(acme: Actor, file: Path) -> None:
    factories.TrunkFactory(customer=acme.customer, proxy="pbx.example")

    run(file, f"{acme.customer.public_id},+15551230050,{acme.application.public_id},sip,sip:desk@pbx.example,,,,")

    assert Number.objects.get(number_e164="+15551230050").routing_target == "sip:desk@pbx.example"
