"""`manage.py import_payments`: checked as a whole, posted once."""

from decimal import Decimal
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from applications.models import Customer
from billing.models import Balance, Entry
from tests import factories

pytestmark = pytest.mark.django_db

HEAD = "Customer,Amount,Currency,Reference,Date"


@pytest.fixture
def customers() -> list[Customer]:
    """acme and globex, with nothing."""
    found = [factories.CustomerFactory(name=name) for name in ("acme", "globex")]
    for customer in found:
        factories.open_account(customer)
    return found


def run(folder: Path, *lines: str, head: str = HEAD, dry_run: bool = False) -> list[str]:
    path = folder / "payments.csv"
    path.write_text("\n".join([head, *lines]))
    out = StringIO()
    call_command("import_payments", path, dry_run=dry_run, stdout=out)
    return out.getvalue().splitlines()


def posted() -> list[tuple[str, Decimal, str]]:
    return list(Entry.objects.order_by("id").values_list("customer__name", "amount", "reference"))


def test_posts_each_line_once_however_often_the_file_comes(tmp_path: Path, customers: list[Customer]) -> None:
    acme, globex = (customer.public_id for customer in customers)
    lines = [f"{acme},50.00,USD,BANK-1,2026-05-29", f"{globex},7.5,usd,BANK-1,2026-05-30"]

    assert run(tmp_path, *lines)[-1] == "2 posted, 0 were posted before"
    assert run(tmp_path, *lines, f"{acme},1,USD,BANK-2,2026-05-31")[-1] == "1 posted, 2 were posted before"

    assert posted() == [
        ("acme", Decimal(50), "BANK-1"),
        ("globex", Decimal("7.5"), "BANK-1"),
        ("acme", Decimal(1), "BANK-2"),
    ]
    assert Balance.objects.get(customer=customers[0]).posted == 51
    first = Entry.objects.earliest("id")
    assert (first.kind, first.note) == ("top_up", "paid on 2026-05-29, by manage.py import_payments")


def test_a_dry_run_posts_nothing(tmp_path: Path, customers: list[Customer]) -> None:
    said = run(tmp_path, f"{customers[0].public_id},50.00,USD,BANK-1,2026-05-29", dry_run=True)

    assert said == [
        f"line 2: {customers[0].public_id} 50.00 USD top-up",
        "1 would be posted (dry run), 0 were posted before",
    ]
    assert posted() == []


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("cust_x,1,USD,B,2026-05-29", "there is no customer 'cust_x' with an account"),
        ("{acme},0,USD,B,2026-05-29", "amount '0' is not an amount above 0"),
        ("{acme},-1,USD,B,2026-05-29", "amount '-1' is not an amount above 0"),
        ("{acme},1.0000001,USD,B,2026-05-29", "is not an amount above 0"),
        ("{acme},1e3,USD,B,2026-05-29", "is not an amount above 0"),
        ("{acme},\u0661,USD,B,2026-05-29", "is not an amount above 0"),
        ("{acme},1,EUR,B,2026-05-29", "is in USD, not in 'EUR'"),
        ("{acme},1,USD,,2026-05-29", "reference '' is empty"),
        ("{acme},1,USD,B,29.05.2026", "date '29.05.2026' is not a day"),
        ("{acme},1,USD,GOOD,2026-05-29", "reference GOOD is on line 2 already"),
        ("{acme},2,USD,USED,2026-05-29", "reference USED was posted before as le_"),
        ("{acme}", "amount '' is not an amount"),
    ],
)
def test_posts_nothing_while_a_line_is_wrong(tmp_path: Path, customers: list[Customer], line: str, said: str) -> None:
    acme = customers[0].public_id
    run(tmp_path, f"{acme},1,USD,USED,2026-05-28")

    with pytest.raises(CommandError) as refused:
        run(tmp_path, f"{acme},1,USD,GOOD,2026-05-29", line.format(acme=acme))

    assert str(refused.value).startswith("line 3: ")
    assert said in str(refused.value)
    assert posted() == [("acme", Decimal(1), "USED")]


def test_refuses_a_file_that_is_none_of_payments(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="there is no column reference, date"):
        run(tmp_path, head="customer,amount,currency")
    with pytest.raises(CommandError, match="No such file"):
        call_command("import_payments", tmp_path / "missing.csv")
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(CommandError, match="no table in UTF-8"):
        call_command("import_payments", tmp_path / "binary.csv")
