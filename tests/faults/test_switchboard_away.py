"""kill -9 of the switchboard with calls up and ringing: nobody on the telephone notices.

Twenty up and five ringing in `make test`, a hundred and twenty in `make faults`; on whichever engine runs.
"""

import pytest

from calls.models import Status
from tests.journeys.crowd import FULL, HANG_ON, Crowd
from tests.journeys.receiver import Receiver
from tests.journeys.stage import until

UP, RINGING, PRESSING = (100, 20, 10) if FULL else (20, 5, 5)  # those who press are among those up
PRESS = {"gather": {"prompt": "Press two keys", "num_digits": 2, "timeout_seconds": 3}}
LATER_SECONDS = 10  # the prompt comes after the switchboard has been killed


@pytest.mark.timeout(240)
def test_calls_go_on_and_those_answered_meanwhile_run_their_flow(crowd: Crowd, receiver: Receiver) -> None:
    receiver.answers["/greet"] = {"actions": [PRESS, *HANG_ON]}
    receiver.answers["/later"] = {"actions": [{"pause": {"seconds": LATER_SECONDS}}, PRESS, *HANG_ON]}
    up = crowd.place(*["+15551230001"] * (UP - PRESSING))
    pressing = crowd.place(*["+15551230742"] * PRESSING, answer="/later")
    crowd.wait_for(up + pressing, Status.IN_PROGRESS)
    ringing = crowd.place(*["+15551230808"] * RINGING, answer="/greet")
    crowd.wait_for(ringing, Status.RINGING, seconds=6)

    with crowd.kept_dead("switchboard"):
        until(lambda: crowd.channels_up(ringing) == RINGING, seconds=15, what="all ringing calls are answered")
        assert crowd.calls(ringing).filter(status=Status.RINGING).count() == RINGING

    crowd.wait_for(up + pressing + ringing, Status.IN_PROGRESS)
    until(lambda: digits(receiver, pressing) == {"42"}, seconds=40, what="keys pressed afterwards were heard")
    until(lambda: digits(receiver, ringing) == {""}, seconds=30, what="those answered meanwhile were asked")
    crowd.end_all()
    outcomes = {(call.status, call.end_reason, call.hangup_by) for call in crowd.calls()}
    assert outcomes == {("completed", "hangup", "api")}
    crowd.assert_charged_what_the_engine_recorded(up + pressing + ringing)


def digits(receiver: Receiver, ids: list[str]) -> set[str | None]:
    """What the calls' one gather brought; None stands for those whose event has not arrived."""
    found: set[str | None] = set()
    for public_id in ids:
        gathered = [
            event["data"]["digits"] for event in receiver.events(public_id) if event["event"] == "call.gathered"
        ]
        found.add(gathered[0] if gathered else None)
    return found
