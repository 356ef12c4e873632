"""A trunk fails before any telephone can have rung, and the call goes on over the next: through the whole platform."""

from collections.abc import Callable, Iterator

import pytest
import requests
from django.db.models import F

from calls.models import Attempt, Call
from minivoice.local.network import SILENT_TRUNK
from minivoice.local.stack import Platform
from telephony.models import Trunk
from tests.journeys import records
from tests.journeys.receiver import Receiver
from tests.journeys.stage import Integrator, until

GOOD_TRUNK = "simulated"
NOWHERE = {"proxy": "carrier.invalid"}
UNKNOWN_TRUNK = "nowhere"  # to the engine: it refuses at once, other than one whose carrier does not answer


@pytest.fixture
def acme(hire: Callable[..., Integrator], receiver: Receiver, platform: Platform) -> Iterator[Integrator]:
    """A customer of a platform with a further trunk, over which nobody can be reached."""
    simulator = platform.facts.get("simulator_url")
    if simulator:
        requests.post(f"{simulator}/simulator/trunks", json={"refused": [UNKNOWN_TRUNK]}, timeout=5).raise_for_status()
    receiver.answers["/wait"] = {"actions": [{"pause": {"seconds": 60}}]}
    yield hire(answer="/wait")
    platforms = Trunk.objects.filter(customer=None)
    platforms.exclude(gateway_name=GOOD_TRUNK).update(is_active=False)
    platforms.filter(gateway_name=GOOD_TRUNK).update(priority=10)
    if simulator:
        requests.post(f"{simulator}/simulator/trunks", json={"refused": []}, timeout=5).raise_for_status()


@pytest.mark.parametrize(("first", "sip_code"), [(UNKNOWN_TRUNK, None), (SILENT_TRUNK, 408)])
def test_the_next_trunk_takes_the_call(acme: Integrator, platform: Platform, first: str, sip_code: int | None) -> None:
    use_trunks(first, GOOD_TRUNK)

    call_id = acme.create("+15551230901").json()["id"]

    ended = acme.ended(call_id)
    assert (ended["status"], ended["end_reason"], ended["hangup_by"]) == ("completed", "hangup", "callee")
    call = Call.objects.get(public_id=call_id)
    failed, taken = attempts(call)
    assert [attempt.trunk.gateway_name for attempt in (failed, taken)] == [first, GOOD_TRUNK]
    assert failed.sip_code == sip_code
    assert failed.channel_id != taken.channel_id
    assert taken.claimed_at is not None
    assert failed.ended_at is not None
    assert failed.ended_at <= taken.claimed_at
    assert ended["provider_call_id"] == str(failed.channel_id)
    assert list(records.talks(platform, map(str, (failed.channel_id, taken.channel_id)))) == [str(taken.channel_id)]


def test_the_last_trunks_refusal_is_the_calls(acme: Integrator) -> None:
    use_trunks(UNKNOWN_TRUNK, GOOD_TRUNK)

    call_id = acme.create("+15551230503").json()["id"]

    ended = acme.ended(call_id)
    assert (ended["status"], ended["end_reason"], ended["sip_code"]) == ("failed", "trunk_failed", 503)
    call = Call.objects.get(public_id=call_id)
    assert [attempt.trunk.gateway_name for attempt in attempts(call)] == [UNKNOWN_TRUNK, GOOD_TRUNK]


def test_a_busy_callee_is_not_tried_over_another_trunk(acme: Integrator) -> None:
    use_trunks(GOOD_TRUNK, UNKNOWN_TRUNK)

    call_id = acme.create("+15551230486").json()["id"]

    assert acme.ended(call_id)["end_reason"] == "busy"
    assert len(attempts(Call.objects.get(public_id=call_id))) == 1


def use_trunks(*names: str) -> None:
    """Trunks of the platform, tried in this order."""
    for priority, name in enumerate(names):
        is_good = name == GOOD_TRUNK
        Trunk.objects.update_or_create(
            customer=None,
            gateway_name=name,
            defaults={"priority": priority, "is_active": True, "name": name, **({} if is_good else NOWHERE)},
        )
    trunks = Trunk.objects.filter(customer=None, gateway_name__in=names)
    until(lambda: not trunks.exclude(provisioned_for=F("updated_at")).exists(), seconds=10, what="trunks on the engine")
    trunks.update(state=Trunk.State.PENDING)  # what is known to be refused or down would be tried last


def attempts(call: Call) -> list[Attempt]:
    """What was tried, in order."""
    return list(call.attempts.order_by("number").select_related("trunk"))
