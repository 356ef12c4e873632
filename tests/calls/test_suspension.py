"""Shutting a customer out: its calls go on, or all end; none slips in behind."""

from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import call_command

from applications.models import Customer
from calls import suspension
from calls.models import Call
from minivoice import clock, errors
from telephony.engines.facts import EngineError
from tests.calls.steps import FakeEngine, answer, dial, latest, place
from tests.conftest import Actor

pytestmark = pytest.mark.django_db


def test_hangs_up_every_live_call_of_this_customer_alone(acme: Actor, globex: Actor, engine: FakeEngine) -> None:
    Customer.objects.update(caller_id_policy="any")
    answered, theirs = dial(acme), dial(globex)
    answer(answered, at=clock.now())
    queued = place(acme)
    out = StringIO()

    call_command("suspend", acme.customer.public_id, "--hang-up", stdout=out)

    assert out.getvalue() == "acme is suspended; calls being hung up: 2\n"
    assert engine.hung_up == [str(latest(answered).channel_id)]
    intents = Call.objects.in_bulk([answered.pk, queued.pk, theirs.pk])
    assert (intents[answered.pk].intent, intents[answered.pk].intent_by) == ("hangup", "system")
    assert (intents[queued.pk].status, intents[queued.pk].hangup_by) == ("canceled", "system")
    assert intents[theirs.pk].intent == ""


def test_a_silent_engine_is_asked_once_and_the_sweep_has_the_rest(
    acme: Actor, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def fail(channel_id: str) -> bool:
        asked.append(channel_id)
        raise EngineError

    monkeypatch.setattr(engine, "hang_up", fail)
    calls = [dial(acme) for _ in range(3)]

    assert suspension.hang_up_all(acme.customer, now=clock.now()) == 3

    assert len(asked) == 1
    for call in calls:
        call.refresh_from_db()
        assert call.intent == "canceled"
        assert call.deadline_at is not None
        assert call.deadline_at <= clock.now() + timedelta(seconds=5)


def test_a_create_that_signed_in_before_the_suspension_is_refused_after_it(acme: Actor) -> None:
    suspension.suspend(acme.customer, now=clock.now())

    with pytest.raises(errors.AccountSuspended):
        place(acme)  # its key was recognised by the step, no view has looked at the customer's status
    assert not Call.objects.exists()
