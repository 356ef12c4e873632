"""Many calls at once, over HTTP, against each limit: exactly as many as it allows."""

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from calls.models import Call
from tests.journeys.receiver import Receiver
from tests.journeys.stage import Integrator, until

WAIT = {"actions": [{"pause": {"seconds": 60}}]}


def create_at_once(customer: Integrator, count: int) -> Counter[int | str]:
    """Create `count` calls side by side; return how often each status or error code was answered."""

    def create(number: int) -> int | str:
        response = customer.create(f"+1555{number:07d}")
        return 201 if response.status_code == 201 else str(response.json()["error"]["code"])

    with ThreadPoolExecutor(40) as threads:
        return Counter(threads.map(create, range(1, count + 1)))


def hang_up_all(customer: Integrator) -> None:
    """End what the journey began."""
    mine = Call.objects.filter(customer=customer.customer)
    for public_id in mine.filter(ended_at=None).values_list("public_id", flat=True):
        customer.request("POST", f"/v1/calls/{public_id}/hangup")
    until(lambda: not mine.filter(ended_at=None).exists(), seconds=30, what="all calls have ended")


def test_accepts_exactly_what_the_funds_cover(hire: Callable[..., Integrator], receiver: Receiver) -> None:
    receiver.answers["/wait"] = WAIT
    poor = hire(funds="0.425", answer="/wait")  # fifty holds of 0.0085

    answers = create_at_once(poor, 200)

    assert answers == {201: 50, "insufficient_balance": 150}
    hang_up_all(poor)


def test_accepts_exactly_the_concurrent_calls_allowed(hire: Callable[..., Integrator], receiver: Receiver) -> None:
    receiver.answers["/wait"] = WAIT
    acme = hire(answer="/wait", max_concurrent_calls=20)

    answers = create_at_once(acme, 60)

    assert answers == {201: 20, "concurrent_call_limit_reached": 40}
    hang_up_all(acme)


def test_accepts_no_more_than_ten_calls_in_any_second(hire: Callable[..., Integrator]) -> None:
    acme = hire(max_cps=10)

    answers = create_at_once(acme, 100)

    assert set(answers) == {201, "cps_limit_reached"}
    times = list(
        Call.objects.filter(customer=acme.customer).order_by("accepted_at").values_list("accepted_at", flat=True)
    )
    assert len(times) == answers[201] >= 10
    assert all(later - earlier >= timedelta(seconds=1) for earlier, later in zip(times, times[10:], strict=False))
    hang_up_all(acme)
