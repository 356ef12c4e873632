"""The books: what disagrees is found, whatever it is, told by customer, and left as it was."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction

from billing.models import Balance
from calls import books, tasks
from calls.models import Call, Reconciliation, UsageDay
from telephony.models import Trunk
from tests import factories
from tests.calls.steps import FakeEngine, answer, dial, end, within_a_day
from tests.conftest import Actor

ENTRY = "UPDATE billing_entry SET {} WHERE kind = 'charge' AND call_id = '%(talked)s'"
CALL = "UPDATE calls_call SET {} WHERE public_id = '%(talked)s'"
HOLD = "UPDATE billing_hold SET {} WHERE key = '%(talked)s'"
LIVE = "UPDATE billing_hold SET {} WHERE key = '%(live)s'"
BALANCE = "UPDATE billing_balance SET {} WHERE customer_id = %(acme)s"
SPEND = "UPDATE billing_spendday SET {} WHERE customer_id = %(acme)s"
USAGE = "UPDATE calls_usageday SET {} WHERE application_id = %(application)s"
CHARGED_AGAIN = """
    INSERT INTO billing_entry
        (public_id, customer_id, kind, amount, posted_after, key, call_id, reference, note, created_at)
    SELECT 'le_again', {customer}, kind, amount, posted_after, 'again', {call}, '', '', created_at
    FROM billing_entry WHERE kind = 'charge' AND call_id = '%(talked)s'
"""
FAULTS = [
    *(BALANCE.format(f"posted = posted {change}") for change in ("+ 0.000001", "- 0.000001", "* 2", "- posted")),
    *(BALANCE.format(f"held = held {change}") for change in ("+ 0.000001", "- 0.000001", "* 2", "- held")),
    "DELETE FROM billing_balance WHERE customer_id = %(acme)s",
    *(ENTRY.format(f"amount = amount {change}") for change in ("- 0.000001", "+ 0.000001", "* 10")),
    *(ENTRY.format(f"posted_after = posted_after {change}") for change in ("+ 0.000001", "- 1")),
    ENTRY.format("kind = 'adjustment'"),
    ENTRY.format("customer_id = %(globex)s"),
    ENTRY.format("call_id = ''"),
    ENTRY.format("call_id = '%(busy)s'"),
    ENTRY.format("call_id = 'call_unknown'"),
    ENTRY.format("created_at = created_at - interval '1 day'"),
    "DELETE FROM billing_entry WHERE call_id = '%(talked)s'",
    "DELETE FROM billing_entry WHERE kind = 'top_up' AND customer_id = %(acme)s",
    "UPDATE billing_entry SET amount = amount + 1 WHERE kind = 'top_up' AND customer_id = %(acme)s",
    "UPDATE billing_entry SET customer_id = %(globex)s WHERE kind = 'top_up' AND customer_id = %(acme)s",
    CHARGED_AGAIN.format(customer="%(acme)s", call="'%(talked)s'"),
    CHARGED_AGAIN.format(customer="%(acme)s", call="'%(busy)s'"),
    CHARGED_AGAIN.format(customer="%(globex)s", call="'%(live)s'"),
    LIVE.format("amount = amount + 0.000001"),
    LIVE.format("amount = 0"),
    LIVE.format("closed_at = now()"),
    LIVE.format("key = 'call_unknown'"),
    LIVE.format("customer_id = %(globex)s"),
    "DELETE FROM billing_hold WHERE key = '%(live)s'",
    HOLD.format("closed_at = NULL"),
    HOLD.format("amount = amount - 0.000001"),
    HOLD.format("customer_id = %(globex)s"),
    HOLD.format("key = 'call_unknown'"),
    *(CALL.format(f"cost_amount = cost_amount {change}") for change in ("+ 0.000001", "- 0.000001", "- cost_amount")),
    CALL.format("cost_amount = cost_amount - 0.1, overrun_amount = overrun_amount + 0.1"),
    CALL.format("overrun_amount = 0.000001"),
    CALL.format("billable_seconds = billable_seconds + 1"),
    CALL.format("duration_seconds = duration_seconds - 1"),
    CALL.format("duration_seconds = NULL"),
    CALL.format("answered_at = answered_at - interval '31 seconds'"),
    CALL.format("answered_at = NULL"),
    CALL.format("ended_at = ended_at + interval '501 milliseconds'"),
    CALL.format("price_per_minute = price_per_minute * 2"),
    CALL.format("connection_fee = 0.01"),
    CALL.format("initial_increment = 30, subsequent_increment = 6"),
    CALL.format("minimum_charge = 1"),
    CALL.format("customer_id = %(globex)s"),
    CALL.format("application_id = %(sister)s"),
    CALL.format("trunk_id = NULL"),
    CALL.format("rate_prefix = '15'"),
    CALL.format("settled_at = settled_at - interval '1 day'"),
    "DELETE FROM calls_call WHERE public_id = '%(talked)s'",
    "DELETE FROM calls_call WHERE public_id = '%(busy)s'",
    "DELETE FROM calls_call WHERE public_id = '%(live)s'",
    "UPDATE calls_call SET overrun_amount = 0 WHERE public_id = '%(late)s'",
    "UPDATE calls_call SET cost_amount = 0.6 WHERE public_id = '%(busy)s'",
    *(SPEND.format(f"charged = charged {change}") for change in ("+ 0.000001", "- charged")),
    SPEND.format("day = day - 1"),
    SPEND.format("customer_id = %(globex)s"),
    "DELETE FROM billing_spendday",
    *(USAGE.format(f"{column} = {column} + 1") for column in ("calls", "duration_seconds", "billable_seconds")),
    USAGE.format("cost_amount = cost_amount - 0.000001"),
    USAGE.format("day = day + 1"),
    USAGE.format("rate_prefix = '15'"),
    USAGE.format("trunk_id = NULL"),
    USAGE.format("application_id = %(sister)s"),
    "DELETE FROM calls_usageday",
]


@dataclass
class Town:
    """Two customers, and calls that talked, ended late, found nobody, and are up."""

    acme: Actor
    globex: Actor
    names: dict[str, Any]


@pytest.fixture
def town(transactional_db: None, acme: Actor, globex: Actor, engine: FakeEngine) -> Town:
    sister = factories.ApplicationFactory(customer=acme.customer)
    calls = {name: dial(acme) for name in ("talked", "late", "live")}
    now = within_a_day(seconds=61)
    for call in calls.values():
        answer(call, at=now)
    calls["busy"] = dial(acme)
    for name, seconds, sip_code in (("talked", 30.5, None), ("late", 60.5, None), ("busy", 1, 486)):
        end(calls[name], at=now + timedelta(seconds=seconds), sip_code=sip_code)
    names = {name: call.public_id for name, call in calls.items()}
    actors = {"acme": acme.customer.pk, "globex": globex.customer.pk, "sister": sister.pk}
    return Town(acme, globex, names | actors | {"application": acme.application.pk})


def differences() -> list[books.Difference]:
    with connection.cursor() as cursor:
        return books.differences(cursor)


def test_finds_each_of_these_faults(town: Town) -> None:
    assert len(set(FAULTS)) == len(FAULTS) >= 50
    assert differences() == []
    unfound = []
    for fault in FAULTS:
        with undone() as cursor:
            cursor.execute(fault % town.names)
            assert cursor.rowcount >= 1, fault
            if not differences():
                unfound.append(fault)
    assert unfound == []
    assert differences() == []


@pytest.mark.parametrize("ends", ["DELETE FROM billing_hold WHERE key = '%(live)s'", LIVE.format("amount = 0")])
def test_tells_the_customer_and_both_figures(town: Town, ends: str) -> None:
    with undone() as cursor:
        cursor.execute(ends % town.names)
        (held,) = [difference for difference in differences() if difference.subject == "held"]

    assert held.promise == "held is the sum of the open holds"
    assert held.customer == town.acme.customer.public_id
    assert (held.stated, held.found) == ("0.600000", "0" if "DELETE" in ends else "0.000000")


def test_the_command_lists_by_customer_keeps_the_result_and_repairs_nothing(
    town: Town, caplog: pytest.LogCaptureFixture
) -> None:
    assert reconciled() == ["The books agree."]
    Balance.objects.update(posted=7)

    with pytest.raises(CommandError, match="2 differences"), caplog.at_level(logging.ERROR):
        reconciled()
    lines = told()

    assert lines.index(town.acme.customer.public_id) < lines.index(town.globex.customer.public_id)
    assert "  posted is the sum of the entries: posted: 7.000000, not 100.000000" in lines
    assert set(Balance.objects.values_list("posted", flat=True)) == {7}
    assert list(Reconciliation.objects.order_by("pk").values_list("differences_found", flat=True)) == [0, 2, 2]
    kept = Reconciliation.objects.latest("pk").differences
    assert [difference["subject"] for difference in kept] == ["posted", "posted"]
    assert "the books differ in 2 places" in caplog.text


def test_the_nightly_run_keeps_its_result(town: Town) -> None:
    tasks.reconcile()

    assert Reconciliation.objects.get().differences_found == 0


def test_a_rebuild_makes_usage_what_it_was(town: Town) -> None:
    right = usage()
    UsageDay.objects.update(calls=99)
    UsageDay.objects.create(
        application=town.globex.application,
        day="2020-01-01",
        rate_prefix="44",
        trunk=Trunk.objects.get(),
        calls=1,
        duration_seconds=1,
        billable_seconds=60,
        cost_amount=1,
    )

    lines = rebuilt("--all")

    assert usage() == right
    assert differences() == []
    day = Call.objects.get(public_id=town.names["busy"]).settled_at.date()
    assert f"{town.acme.customer.public_id} {day} was different" in lines
    assert f"{town.globex.customer.public_id} 2020-01-01 was different" in lines
    assert lines[-1].endswith("2 were different")
    assert rebuilt("--all")[-1].endswith(" 0 were different")


def test_a_rebuild_of_a_day_leaves_the_others_alone(town: Town) -> None:
    (row,) = UsageDay.objects.all()
    UsageDay.objects.update(calls=99)

    assert rebuilt("--day", "2020-01-01") == ["2 days of customers rebuilt, 0 were different"]
    assert UsageDay.objects.get().calls == 99
    rebuilt("--day", str(row.day))
    assert UsageDay.objects.get().calls == row.calls == 3


def test_what_to_rebuild_must_be_said() -> None:
    for arguments in ([], ["--day", "yesterday"], ["--day", "2020-01-01", "--all"]):
        with pytest.raises(CommandError):
            call_command("rebuild_usage", *arguments)


@contextmanager
def undone() -> Iterator[Any]:
    """What is done inside, past all triggers, is undone at the end."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        yield cursor
        transaction.set_rollback(True)


def usage() -> list[Any]:
    columns = ("application", "day", "rate_prefix", "trunk", "calls", "duration_seconds", "billable_seconds")
    return list(UsageDay.objects.order_by("application", "day").values_list(*columns, "cost_amount"))


def reconciled() -> list[str]:
    out = StringIO()
    call_command("reconcile", stdout=out)
    return out.getvalue().splitlines()


def told() -> list[str]:
    out = StringIO()
    with pytest.raises(CommandError):
        call_command("reconcile", stdout=out)
    return out.getvalue().splitlines()


def rebuilt(*arguments: str) -> list[str]:
    out = StringIO()
    call_command("rebuild_usage", *arguments, stdout=out)
    return out.getvalue().splitlines()
