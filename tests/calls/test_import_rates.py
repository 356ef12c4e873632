"""`manage.py import_rates`, `go_live_rates`, `undo_rates`: from a rate sheet to prices, and back."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from billing import rates
from billing.models import DeckVersion, Rate, RateDeck
from calls.models import Call
from minivoice import clock
from tests import factories
from tests.calls.steps import FakeEngine, answer, dial, end
from tests.conftest import Actor

pytestmark = pytest.mark.django_db

HEAD = "Dial code;Destination;Rate per minute;Increment;Blocked"


@pytest.fixture
def deck() -> RateDeck:
    """The standard deck, with nothing in it."""
    deck: RateDeck = factories.DeckFactory()
    return deck


def run(*command: Any) -> str:
    out = StringIO()
    call_command(*command, stdout=out)
    return out.getvalue()


def load(folder: Path, *lines: str, head: str = HEAD, options: tuple[str, ...] = ()) -> str:
    path = folder / "rates.csv"
    path.write_text("\n".join([head, *lines]) + "\n")
    return run("import_rates", "Standard", path, *options)


def line_of(said: str, kind: str) -> str:
    """The words of the preview's line about a kind of change."""
    return " ".join(next(line for line in said.splitlines() if line.split()[0] == kind).split())


def test_reads_a_sheet_by_the_names_of_its_columns_into_a_draft(tmp_path: Path, deck: RateDeck) -> None:
    said = load(
        tmp_path,
        "+44 20;London;0.0125;30/6;no",
        '49;"Germany; fixed";.5;60/60;',
        "sip;SIP targets;0;1/1;",
        "881;Satellite;;;yes",
    )

    version = DeckVersion.objects.get()
    assert (version.state, version.deck) == ("draft", deck)
    rows = version.rates.order_by("prefix").values_list(
        "prefix", "description", "price_per_minute", "initial_increment", "subsequent_increment", "blocked"
    )
    assert list(rows) == [
        ("4420", "London", Decimal("0.0125"), 30, 6, False),
        ("881", "Satellite", 0, 60, 60, True),
        ("sip", "SIP targets", 0, 1, 1, False),
    ]
    assert "  line 3: price_per_minute '.5' is not an amount" in said
    assert line_of(said, "invalid") == "invalid 1 not in the draft"
    assert "has 3 rates. Nothing is live yet" in said


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("4x;a;1;;", "prefix '4x' is not 1 to 15 digits"),
        ("1234567890123456;a;1;;", "is not 1 to 15 digits"),
        ("٤٤;a;1;;", "is not 1 to 15 digits"),
        ("44;a;;;", "price_per_minute '' is not an amount"),
        ("44;a;-1;;", "is not an amount"),
        ("44;a;0,05;;", "is not an amount"),
        ("44;a;NaN;;", "is not an amount"),
        ("44;a;0.1234567;;", "at most six decimals"),
        ("44;a;1;60;", "increments '60' are not seconds such as 60/60"),
        ("44;a;1;0/60;", "increment '0' is not 1 to 32767 seconds"),
        ("44;a;1;60/40000;", "increment '40000' is not"),
        ("44;a;1;;perhaps", "blocked 'perhaps' is neither yes nor no"),
        (f"44;{'a' * 101};1;;", "description has more than 100 characters"),
        ("1;again;1;;", "prefix 1 is on line 2 already"),
        ("44", "price_per_minute '' is not an amount"),
    ],
)
def test_names_the_line_that_is_not_fit(tmp_path: Path, deck: RateDeck, line: str, said: str) -> None:
    told = load(tmp_path, "1;fit;1;;", line)

    assert said in told.split("  line 3: ")[1].splitlines()[0]

    assert [rate.prefix for rate in Rate.objects.all()] == ["1"]


def test_backslashes_and_hard_spaces_are_text(tmp_path: Path, deck: RateDeck) -> None:
    load(tmp_path, "44;a\\tb\\N\u00a0c;1;;")
    assert Rate.objects.get().description == "a\\tb\\N c"


def test_columns_can_be_chosen_and_must_be_clear(tmp_path: Path, deck: RateDeck) -> None:
    head = "Code,Rate,Price,Note"
    with pytest.raises(CommandError, match="price_per_minute may be any of the columns Rate, Price"):
        load(tmp_path, "44,1,2,x", head=head)
    with pytest.raises(CommandError, match="there is no column Cost"):
        load(tmp_path, "44,1,2,x", head=head, options=("--map", "price_per_minute=Cost"))
    with pytest.raises(CommandError, match="there is no field cost"):
        load(tmp_path, "44,1,2,x", head=head, options=("--map", "cost=Rate"))
    with pytest.raises(CommandError, match="no column is the prefix"):
        load(tmp_path, "44,1", head="What,Rate")
    assert not DeckVersion.objects.exists()

    load(tmp_path, "44,1,2,x", head=head, options=("--map", "price_per_minute=Price", "--map", "description=Note"))
    rate = Rate.objects.get()
    assert (rate.price_per_minute, rate.description) == (2, "x")


@pytest.mark.parametrize("lines", [[], ["x;y;z;;"]])
def test_keeps_nothing_of_a_sheet_without_a_rate(tmp_path: Path, deck: RateDeck, lines: list[str]) -> None:
    with pytest.raises(CommandError, match="not one line is a rate"):
        load(tmp_path, *lines)
    assert not DeckVersion.objects.exists()


def test_the_preview_says_what_changes(tmp_path: Path, deck: RateDeck) -> None:
    live = factories.VersionFactory(deck=deck)
    for prefix, blocked in (("1", False), ("2", False), ("3", False), ("4", False), ("5", False), ("6", True)):
        factories.RateFactory(version=live, prefix=prefix, blocked=blocked, price_per_minute=Decimal("0.5"))

    said = load(
        tmp_path, "1;;0.6;;", "2;;0.4;;", "3;;0.6;1/1;", "4;;0.5;;yes", "6;;0.5;;", "7;;0.5;;", "8;;0.5;;", "x;;1;;"
    )

    assert line_of(said, "dearer") == "dearer 1 1 0.50 → 0.60"
    assert line_of(said, "cheaper") == "cheaper 1 2 0.50 → 0.40"
    assert line_of(said, "mixed") == "mixed 1 3 0.50 60/60 → 0.60 1/1"
    assert line_of(said, "blocked") == "blocked 1 4 0.50 → blocked"
    assert line_of(said, "unblocked") == "unblocked 1 6 blocked → 0.50"
    assert line_of(said, "removed") == "removed 1 5 0.50 → none"
    assert line_of(said, "new") == "new 2 7 none → 0.50, 8 none → 0.50"
    assert line_of(said, "invalid").startswith("invalid 1")


def test_the_preview_rates_the_last_30_days_again(tmp_path: Path, acme: Actor, engine: FakeEngine) -> None:
    """Four calls of 55 s, a minute each at 0.60: one is too old, one is to a number that the sheet lacks."""
    Rate.objects.create(version=Rate.objects.get().version, prefix="44", price_per_minute=Decimal("0.6"))
    for number in ("+15551230002", "+15551239002", "+447700900123", "+15551230003"):
        call = dial(acme, to_number=number)
        at = clock.now()
        answer(call, at=at)
        end(call, at=at + timedelta(seconds=55))
    Call.objects.filter(to_number="+15551230003").update(settled_at=clock.now() - timedelta(days=31))

    said = load(tmp_path, "1;;0.30;1/1;", "15551239;;1.20;60/60;")

    # 55 s at 0.30 by the second, and a minute at 1.20
    assert "2 calls cost 1.20 USD, at these rates 1.475 USD (+0.275)" in said
    assert "1 calls more would have been refused" in said


def test_goes_live_and_is_undone(tmp_path: Path, acme: Actor) -> None:
    def price() -> Decimal:
        quote = rates.quote(customer_id=acme.customer.pk, number="+15551230002", now=clock.now())
        assert quote is not None
        return quote.price.per_minute

    load(tmp_path, "1555;;0.30;;")
    draft = DeckVersion.objects.get(state="draft")
    assert price() == Decimal("0.60")

    assert "is live" in run("go_live_rates", draft.pk)
    assert price() == Decimal("0.30")
    assert "was live before" in run("go_live_rates", draft.pk)

    assert "deleted; in force: Standard" in run("undo_rates", draft.pk)
    assert price() == Decimal("0.60")
    with pytest.raises(CommandError, match="there is none before it"):
        run("undo_rates", DeckVersion.objects.get().pk)
    assert price() == Decimal("0.60")


def test_a_draft_of_yesterday_goes_live_from_now_on(tmp_path: Path, acme: Actor) -> None:
    load(tmp_path, "1;;0.30;;", options=("--effective-from", "2020-01-01T00:00Z"))
    draft = DeckVersion.objects.get(state="draft")
    before = clock.now()
    run("go_live_rates", draft.pk)
    draft.refresh_from_db()
    assert before <= draft.effective_from <= clock.now()


def test_a_date_to_come_waits(tmp_path: Path, acme: Actor) -> None:
    load(tmp_path, "1;;0.30;;", options=("--effective-from", "2099-01-01T00:00"))
    draft = DeckVersion.objects.get(state="draft")
    run("go_live_rates", draft.pk)
    draft.refresh_from_db()
    assert draft.effective_from == datetime(2099, 1, 1, tzinfo=UTC)
    now = rates.quote(customer_id=acme.customer.pk, number="+15551230002", now=clock.now())
    assert now is not None
    assert now.price.per_minute == Decimal("0.60")
    with pytest.raises(CommandError, match="say a moment"):
        load(tmp_path, "1;;0.30;;", options=("--effective-from", "tomorrow"))


def test_thousands_of_rates_all_arrive(tmp_path: Path, deck: RateDeck) -> None:
    said = load(tmp_path, *(f"{prefix};Exchange;0.01;6/6;" for prefix in range(100_000, 125_000)))

    assert line_of(said, "new").startswith("new 25,000 ")
    assert Rate.objects.count() == 25_000


def test_reads_a_workbook(tmp_path: Path, deck: RateDeck) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    for row in (
        ["Prefix", "Name", "Price", "Blocked"],
        [4420, "London", 0.1 + 0.2, False],
        [None, None, None, None],
        ["+49", "Germany", 1, None],
        [881, "Satellite", None, True],
        ["44x", "Typo", 1, None],
    ):
        book.active.append(row)
    book.save(tmp_path / "rates.xlsx")

    said = run("import_rates", "Standard", tmp_path / "rates.xlsx")

    found = Rate.objects.order_by("prefix").values_list("prefix", "price_per_minute", "blocked")
    assert list(found) == [("4420", Decimal("0.3"), False), ("49", 1, False), ("881", 0, True)]
    assert "line 6: prefix '44x'" in said


def test_refuses_a_workbook_that_is_none(tmp_path: Path, deck: RateDeck) -> None:
    pytest.importorskip("openpyxl")
    (tmp_path / "rates.xlsx").write_bytes(b"no zip")
    with pytest.raises(CommandError, match="is no table"):
        run("import_rates", "Standard", tmp_path / "rates.xlsx")
