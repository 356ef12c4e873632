"""The ledger against a model of it in exact fractions: random movements of two customers' money on real PostgreSQL.

One has credit, the other a day cap. After every step the books must say what the model says.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from uuid import uuid4

from django.db import connection, transaction
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from billing import ledger
from billing.models import Entry
from billing.rating import Price
from tests import factories
from tests.billing import reference

NOON = datetime(2026, 5, 29, 12, tzinfo=UTC)


@dataclass
class Account:
    """What the model knows of a customer."""

    customer_id: int
    credit: Fraction
    cap: Fraction | None
    posted: Fraction = Fraction(0)
    held: Fraction = Fraction(0)
    lowered: Fraction = Fraction(0)
    spent: dict[date, Fraction] = field(default_factory=lambda: defaultdict(Fraction))
    posted_after: list[Fraction] = field(default_factory=list)

    def room(self, day: date) -> Fraction:
        available = self.posted + self.credit - self.held
        return available if self.cap is None else min(available, self.cap - self.spent[day] - self.held)

    def post(self, amount: Fraction) -> None:
        self.posted += amount
        self.posted_after.append(self.posted)

    def grant(self, amount: Fraction) -> None:
        self.held += amount
        self.lowered = self.lowered if amount == 0 else Fraction(0)


@dataclass
class Held:
    """A hold that was asked for; open while it is neither refused, settled nor released."""

    account: Account
    key: str
    price: Price
    amount: Fraction
    funded_seconds: int
    is_open: bool


accounts = st.integers(min_value=0, max_value=1)
amounts = st.decimals(min_value="0.000001", max_value=1, places=6)
kinds = st.sampled_from([Entry.Kind.TOP_UP, Entry.Kind.REFUND, Entry.Kind.ADJUSTMENT])
anyone = st.integers(min_value=0, max_value=1000)  # taken modulo how many there are


class LedgerModel(RuleBasedStateMachine):
    """What may happen to money, in any order."""

    posted = Bundle("posted")

    def __init__(self) -> None:
        super().__init__()
        self.example = transaction.atomic()
        self.example.__enter__()
        self.now = NOON
        self.held: list[Held] = []
        self.accounts = [self.open(credit="0.5", cap=None), self.open(credit="0", cap="1.5")]
        for who in range(len(self.accounts)):
            self.write(who, Entry.Kind.TOP_UP, Decimal(2), key=str(uuid4()), reference="")
            self.accounts[who].post(Fraction(2))

    def open(self, *, credit: str, cap: str | None) -> Account:
        customer = factories.CustomerFactory()
        factories.open_account(customer, credit_limit=Decimal(credit), day_cap=cap and Decimal(cap))
        return Account(customer.pk, Fraction(credit), Fraction(cap) if cap else None)

    def teardown(self) -> None:
        transaction.set_rollback(True)
        self.example.__exit__(None, None, None)

    @rule(target=posted, who=accounts, kind=kinds, amount=amounts, takes=st.booleans())
    def post(self, who: int, kind: Entry.Kind, amount: Decimal, takes: bool) -> tuple[int, str]:
        name = str(uuid4())
        signed = -amount if takes and kind == Entry.Kind.ADJUSTMENT else amount
        self.write(who, kind, signed, key=f"key:{name}", reference=f"reference:{name}")
        self.accounts[who].post(Fraction(signed))
        self.accounts[who].lowered += max(Fraction(-signed), 0)
        return who, name

    @rule(who=accounts, limit=amounts)
    def set_limit(self, who: int, limit: Decimal) -> None:
        account = self.accounts[who]
        by = Fraction(limit) - account.credit
        with transaction.atomic():
            ledger.lock(customer_id=account.customer_id, now=self.now)
            ledger.raise_limit(customer_id=account.customer_id, by=reference.decimal(by))
        account.credit += by
        account.lowered += max(-by, 0)

    @rule(known=posted, who=accounts, amount=amounts, by_key=st.booleans())
    def post_again(self, known: tuple[int, str], who: int, amount: Decimal, by_key: bool) -> None:
        """A key is posted once for all customers, a reference once for each."""
        owner, name = known
        key, reference = (f"key:{name}", "") if by_key else (str(uuid4()), f"reference:{name}")
        try:
            self.write(owner if not by_key else who, Entry.Kind.TOP_UP, amount, key=key, reference=reference)
        except ledger.DuplicateEntry:
            return
        raise AssertionError(f"{name} was posted twice")

    def write(self, who: int, kind: Entry.Kind, amount: Decimal, *, key: str, reference: str) -> None:
        customer_id = self.accounts[who].customer_id
        ledger.post(customer_id=customer_id, kind=kind, amount=amount, key=key, reference=reference, now=self.now)

    @rule(who=accounts, price=st.sampled_from(reference.NASTY), seconds=st.sampled_from([1, 12, 60]))
    def hold(self, who: int, price: Price, seconds: int) -> None:
        account = self.accounts[who]
        funded = reference.billed_seconds(price, seconds * 1000)
        amount = reference.cost_of(price, funded)
        held = Held(account, str(uuid4()), price, amount, funded, is_open=False)

        held.is_open = ledger.hold(
            customer_id=account.customer_id,
            key=held.key,
            amount=reference.decimal(amount),
            funded_seconds=funded,
            now=self.now,
        )

        assert held.is_open == (amount <= account.posted + account.credit - account.held or amount == 0)
        if held.is_open:
            account.grant(amount)
        self.held.append(held)

    @precondition(lambda self: self.held)
    @rule(pick=anyone, by_seconds=st.integers(1, 130), most_seconds=st.integers(60, 400))
    def extend(self, pick: int, by_seconds: int, most_seconds: int) -> None:
        held = self.picked(pick)
        account = held.account
        locked = ledger.lock(customer_id=account.customer_id, now=self.now)
        extended = ledger.extend(
            account=locked, key=held.key, price=held.price, by_seconds=by_seconds, most_seconds=most_seconds
        )

        assert (extended is not None) == held.is_open
        if extended is None:
            return
        reached = self.reachable(held, by_seconds, most_seconds)
        is_longer = reached > held.funded_seconds
        added = reference.cost_of(held.price, reached) - held.amount if is_longer else Fraction(0)
        held.funded_seconds, held.amount = reached, held.amount + added
        account.grant(added)
        assert (extended.funded_seconds, extended.amount) == (reached, held.amount)
        assert extended.added == added

    def reachable(self, held: Held, by_seconds: int, most_seconds: int) -> int:
        """Walk on from boundary to boundary: one step in any case, more within `by_seconds`, while there is money."""
        reached = held.funded_seconds
        affordable = held.amount + max(held.account.room(self.now.date()), 0)
        while reached < most_seconds:
            following = reached + held.price.subsequent_increment
            if following > held.funded_seconds + by_seconds and reached > held.funded_seconds:
                break
            if reference.cost_of(held.price, following) > affordable:
                break
            reached = following
        return reached

    @precondition(lambda self: self.held)
    @rule(pick=anyone, permille=st.integers(0, 1300), times=st.integers(1, 3))
    def settle(self, pick: int, permille: int, times: int) -> None:
        held = self.picked(pick)
        milliseconds = held.funded_seconds * permille  # of the time that is paid for
        for _ in range(times):
            settlement = ledger.settle(key=held.key, price=held.price, milliseconds=milliseconds, now=self.now)
            assert (settlement is not None) == held.is_open
            if settlement is None:
                continue
            billed = reference.billed_seconds(held.price, milliseconds)
            cost = reference.cost_of(held.price, billed)
            charge = min(cost, held.amount)
            assert (settlement.charge.billed_seconds, settlement.amount) == (billed, charge)
            assert settlement.overrun == cost - charge
            self.close(held)
            if charge:
                held.account.post(-charge)
                held.account.spent[self.now.date()] += charge

    @precondition(lambda self: self.held)
    @rule(pick=anyone)
    def release(self, pick: int) -> None:
        held = self.picked(pick)
        assert ledger.release(key=held.key, now=self.now) == held.is_open
        if held.is_open:
            self.close(held)

    def picked(self, number: int) -> Held:
        """Return an open hold, most of the times when there is one."""
        held = [held for held in self.held if held.is_open] if number % 5 else []
        return (held or self.held)[number % len(held or self.held)]

    def close(self, held: Held) -> None:
        held.is_open = False
        held.account.held -= held.amount

    @rule(hours=st.integers(min_value=0, max_value=6))
    def time_passes(self, hours: int) -> None:
        self.now += timedelta(hours=hours)

    @invariant()
    def the_books_say_what_the_model_says(self) -> None:
        posted, held, spent = [], [], []
        for account in self.accounts:
            who = account.customer_id
            posted += [(who, after) for after in account.posted_after]
            held.append((who, account.posted, account.held, account.lowered))
            assert account.posted + account.credit - account.held + account.lowered >= 0
            spent += [(who, day, charged) for day, charged in sorted(account.spent.items()) if charged]
        open_holds = sorted((held.key, held.amount) for held in self.held if held.is_open)

        with connection.cursor() as cursor:
            for question, told in zip(QUESTIONS, (held, posted, spent, open_holds), strict=True):
                cursor.execute(question, [[account.customer_id for account in self.accounts]])
                assert cursor.fetchall() == told


QUESTIONS = (  # not through models: it is asked after every step
    "SELECT customer_id, posted, held, lowered FROM billing_balance WHERE customer_id = ANY(%s) ORDER BY 1",
    "SELECT customer_id, posted_after FROM billing_entry WHERE customer_id = ANY(%s) ORDER BY 1, id",
    "SELECT customer_id, day, charged FROM billing_spendday WHERE customer_id = ANY(%s) ORDER BY 1, 2",
    "SELECT key, amount FROM billing_hold WHERE customer_id = ANY(%s) AND closed_at IS NULL ORDER BY 1",
)


def run(*, examples: int, steps: int, **more: bool) -> None:
    """Try so many random histories of so many steps each; raise what the first to differ raises, unshrunk."""
    run_state_machine_as_test(
        LedgerModel,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
            database=None,
            **more,
        ),
    )
