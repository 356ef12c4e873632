"""Five hundred calls (sixty in `make test`) as fast as this machine bears: all end, and all adds up."""

import time
from collections import Counter

import pytest

from tests.journeys.crowd import FULL, Crowd
from tests.journeys.receiver import Receiver

COUNT = 500 if FULL else 60
# Four kinds of callee, and how their calls end.
NUMBERS = {
    "+15551230901": ("completed", "hangup", "callee"),
    "+15551230742": ("completed", "hangup", "system"),
    "+15551230486": ("failed", "busy", ""),
    "+15551230603": ("failed", "rejected", ""),
}


@pytest.mark.timeout(300)
def test_all_calls_end_as_their_callees_will_have_it(
    crowd: Crowd, capsys: pytest.CaptureFixture[str], receiver: Receiver
) -> None:
    receiver.answers["/menu"] = {"actions": [{"gather": {"prompt": "Press", "num_digits": 2, "timeout_seconds": 5}}]}
    began = time.monotonic()

    placed = crowd.place(*(list(NUMBERS) * (COUNT // len(NUMBERS))), answer="/menu")
    crowd.wait_for_all(seconds=120)

    seconds = time.monotonic() - began
    with capsys.disabled():
        print(f" {COUNT} calls on {crowd.engine} in {seconds:.1f} s: {COUNT / seconds:.1f} a second ", end="")  # noqa: T201  for whoever measures
    assert len(placed) == COUNT
    ends = Counter((call.to_number, call.status, call.end_reason, call.hangup_by) for call in crowd.calls())
    assert ends == {(number, *end): COUNT // len(NUMBERS) for number, end in NUMBERS.items()}
    crowd.assert_charged_what_the_engine_recorded([call.public_id for call in crowd.calls() if call.answered_at])
