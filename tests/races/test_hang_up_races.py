"""Hang-ups at one moment with what else the customer does."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
from django.db import transaction

from applications.models import Customer
from billing import ledger
from calls import dialing, legs, lifecycle
from calls.flow import store
from calls.models import Call, Party, Reason
from minivoice import clock
from telephony import link
from tests.calls.steps import FakeEngine, answer, latest, place
from tests.conftest import actor
from tests.locks import wait_for_a_lock

pytestmark = pytest.mark.usefixtures("audited", "world", "nobody_dials", "calls_waiting")


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch) -> Call:
    """One that is up, and follows instructions."""
    engine = FakeEngine()
    monkeypatch.setattr(link, "adapter", lambda: engine)
    caller = actor("acme", funds="100")
    Customer.objects.update(caller_id_policy="any")
    call = place(caller)
    dialing.drain()
    answer(call, at=clock.now())
    return call


def test_a_hang_up_waits_for_none_of_the_customers_money(call: Call, pool: ThreadPoolExecutor) -> None:
    with transaction.atomic():
        ledger.lock_row(customer_id=call.customer_id)
        assert pool.submit(ask_for_the_end, call).result(10) == latest(call).channel


def test_a_call_that_no_engine_was_asked_for_ends_when_the_money_is_free(call: Call, pool: ThreadPoolExecutor) -> None:
    call.attempts.update(state="due", claimed_at=None)
    with transaction.atomic():
        ledger.lock_row(customer_id=call.customer_id)
        asked = pool.submit(ask_for_the_end, call)
        wait_for_a_lock()
        assert not Call.objects.get(pk=call.pk).is_final
    assert asked.result(10) is None
    assert Call.objects.get(pk=call.pk).is_final


def test_no_leg_is_dialled_for_a_call_that_is_being_hung_up(call: Call, pool: ThreadPoolExecutor) -> None:
    flow = store.load(call.pk)
    assert flow
    dial = partial(legs.add, flow, to="+15551230002", caller_id="+15551230001", ring_seconds=30, now=clock.now())
    with transaction.atomic():  # as a hang-up writes it
        Call.objects.filter(pk=call.pk).update(intent=Reason.HANGUP, intent_by=Party.API)
        dialled = pool.submit(dial)
        wait_for_a_lock()
    with pytest.raises(store.FlowEnded):
        dialled.result(10)
    assert not call.legs.exists()


def ask_for_the_end(call: Call) -> str | None:
    """The API hangs it up, but for the engine's part."""
    return lifecycle.intend(
        call_id=call.pk, customer_id=call.customer_id, reason=Reason.HANGUP, by=Party.API, now=clock.now()
    )
