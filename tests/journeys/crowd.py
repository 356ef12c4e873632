"""Many calls at once of one customer, and an engine that is frozen or killed under them."""

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from signal import SIGCONT, SIGSTOP
from typing import Any

from django.db.models import QuerySet

from billing.models import Balance, RateDeck
from calls.models import FINAL, Attempt, Call, Status
from minivoice.local.stack import Platform
from telephony import link
from tests import factories
from tests.journeys import records
from tests.journeys.receiver import Receiver
from tests.journeys.stage import Integrator, until
from tests.stillness import Stillness

FULL = os.environ.get("FAULTS") == "full"  # `make faults`
HANG_ON = [{"pause": {"seconds": 60}}] * 10  # for ten minutes
_SLACK_SECONDS = 0.5


class Crowd:
    """A customer with many calls, each paid for ten minutes; they talk until hung up unless told otherwise."""

    def __init__(self, customer: Integrator, receiver: Receiver, platform: Platform) -> None:
        self.customer = customer
        self.engine = "asterisk" if platform.real_network else "simulator"  # the process
        self._receiver, self._platform = receiver, platform
        receiver.answers["/talk"] = {"actions": HANG_ON}
        _pay_ten_minutes_at_once(customer)

    def place(self, *numbers: str, answer: str = "/talk") -> list[str]:
        """Create a call to each number, side by side; return their ids. Each must be accepted."""
        url = self._receiver.url(answer)

        def create(number: str) -> str:
            response = self.customer.create(number, answer_url=url)
            assert response.status_code == 201, response.text
            return str(response.json()["id"])

        with ThreadPoolExecutor(8) as threads:
            return list(threads.map(create, numbers))

    def calls(self, ids: Sequence[str] | None = None) -> QuerySet[Call]:
        """The calls with these ids; all of the customer's without."""
        mine = Call.objects.filter(customer=self.customer.customer)
        return mine if ids is None else mine.filter(public_id__in=ids)

    def wait_for(self, ids: Sequence[str], status: Status, *, seconds: float = 30) -> None:
        """Wait until all these calls are in `status`."""
        calls = self.calls(ids).filter(status=status)
        until(lambda: calls.count() == len(ids), seconds=seconds, what=f"{len(ids)} calls are {status}")

    def end_all(self, *, seconds: float = 30) -> None:
        """Hang up what is live, as the customer, and wait for it."""
        live = self.calls().exclude(status__in=FINAL)

        def hang_up(public_id: str) -> None:
            assert self.customer.request("POST", f"/v1/calls/{public_id}/hangup").status_code == 200

        with ThreadPoolExecutor(8) as threads:
            list(threads.map(hang_up, list(live.values_list("public_id", flat=True))))
        self.wait_for_all(seconds=seconds)

    def wait_for_all(self, *, seconds: float) -> None:
        """Wait until every call has ended and its last event has arrived; then nothing is held any more."""
        live = self.calls().exclude(status__in=FINAL)
        until(lambda: not live.exists(), seconds=seconds, what="all calls have ended")
        until(lambda: not self._untold(), seconds=60, what="every call's events arrived")
        assert self.customer.balance()["held"] == "0.00"

    def kill(self, process: str) -> int:
        """kill -9; the supervisor starts it again. Return the process id it had."""
        return self._platform.kill(process)

    @contextmanager
    def kept_dead(self, process: str) -> Iterator[None]:
        """kill -9, and again whenever the supervisor has started it again."""
        over = threading.Event()
        first = self.kill(process)

        def keep_killing(killed: int) -> None:
            while not over.wait(0.02):
                if self._platform.pids[process] != killed:
                    killed = self.kill(process)

        killer = threading.Thread(target=keep_killing, args=(first,))
        killer.start()
        try:
            yield
        finally:
            over.set()
            killer.join()

    @contextmanager
    def frozen_engine(self) -> Iterator[None]:
        """An engine that takes connections and never answers."""
        pid = self._platform.pids[self.engine]
        os.kill(pid, SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, SIGCONT)

    def channels_up(self, ids: Sequence[str]) -> int:
        """How many of these calls have an answered channel, by the engine's own list."""
        mine = {str(channel) for channel in _channels_of(self.calls(ids))}
        return sum(row.id in mine and row.state == "Up" for row in link.adapter().channels())

    def assert_charged_what_the_engine_recorded(self, ids: Sequence[str]) -> None:
        """Each of these calls was answered, ended and charged as the engine's own record says, within a second."""
        calls = list(self.calls(ids))
        talks = records.all_talks(self._platform, [str(call.provider_call_id) for call in calls])
        for call in calls:
            talk = talks[str(call.provider_call_id)]
            assert call.answered_at is not None
            assert call.ended_at is not None
            differences = (
                (call.answered_at - talk.answered_at).total_seconds(),
                (call.ended_at - talk.ended_at).total_seconds(),
                call.talk_milliseconds(call.ended_at) / 1000 - talk.seconds,
            )
            assert all(-_SLACK_SECONDS <= each <= talk.blur_seconds + _SLACK_SECONDS for each in differences), (
                f"{differences}, {talk}"
            )

    def _untold(self) -> list[str]:
        """The calls of which some event has not arrived."""
        counts = self.calls().values_list("public_id", "events")
        return [public_id for public_id, events in counts if len(self._receiver.events(public_id)) < events]


def _channels_of(calls: QuerySet[Call]) -> Any:
    return Attempt.objects.filter(call__in=calls).values_list("channel_id", flat=True)


def _pay_ten_minutes_at_once(customer: Integrator) -> None:
    """The engine's timer ends a call before its funded talk is over: let that be after any journey."""
    deck, is_new = RateDeck.objects.get_or_create(name="Ten minutes", defaults={"currency": "USD"})
    if is_new:
        factories.RateFactory(
            version=factories.VersionFactory(deck=deck), initial_increment=600, price_per_minute="0.0085"
        )
    Balance.objects.filter(customer=customer.customer).update(deck=deck)


def seconds_of(action: Callable[[], object], stillness: Stillness) -> float:
    """How long `action` takes, but for what the machine takes."""
    began = time.time()
    action()
    ended = time.time()
    return ended - began - stillness.seconds(began, ended)
