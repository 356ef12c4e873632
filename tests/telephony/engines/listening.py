"""What tests of engines share: a simulator in a thread of its own, and ears that wait for facts."""

import asyncio
import threading
import time
import uuid
from array import array
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

import requests

from minivoice.local.network import SILENT_TRUNK
from telephony.engines.ari import Ari
from telephony.engines.facts import Answer, EngineUnreachable, Fact, Kind
from telephony.simulator.server import Simulator
from tests.telephony.engines.phone import RATE, share

TRUNK = "carrier"
INFO_TRUNK = "carrier-info"  # whose callees press digits by SIP INFO
NO_TRUNK = "nowhere"
CALLER = "+15551230001"


class SimulatedEngine:
    """A simulator on a free port."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._simulator: Simulator = self._in_loop(self._made())
        self.port: int = self._in_loop(self._simulator.start(host="127.0.0.1", port=0))
        self.url = f"http://127.0.0.1:{self.port}/ari"
        self.ari = Ari(self.url, "minivoice", "secret")

    def stop(self) -> None:
        self._in_loop(self._wound_up())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    def cut_socket(self) -> None:
        self.control("faults", {"socket": "drop"})

    def restart(self) -> None:
        """Die with every call, and be back."""
        self.control("faults", {"restart": "empty"})

    @contextmanager
    def humming(self) -> Iterator[str]:
        """Somebody who can be dialled, and hums: everybody here does."""
        yield f"PJSIP/+15551230002@{TRUNK}"

    def control(self, path: str, body: dict[str, Any]) -> None:
        address = f"http://127.0.0.1:{self.port}/simulator/{path}"
        requests.post(address, json=body, timeout=5).raise_for_status()

    def records(self, **narrowed: str) -> list[dict[str, Any]]:
        address = f"http://127.0.0.1:{self.port}/simulator/channels"
        rows: list[dict[str, Any]] = requests.get(address, params=narrowed, timeout=5).json()
        return rows

    def health(self) -> dict[str, Any]:
        address = f"http://127.0.0.1:{self.port}/simulator/health"
        row: dict[str, Any] = requests.get(address, timeout=5).json()
        return row

    async def _made(self) -> Simulator:
        return Simulator(user="minivoice", password="secret", refused_trunks=[NO_TRUNK], silent_trunks=[SILENT_TRUNK])

    async def _wound_up(self) -> None:
        await self._simulator.stop()
        hanging = asyncio.all_tasks() - {asyncio.current_task()}
        for task in hanging:
            task.cancel()
        await asyncio.gather(*hanging, return_exceptions=True)

    def _in_loop(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(5)


class Ears:
    """Reads an engine's facts in a thread, from `with` on."""

    def __init__(self, ari: Ari) -> None:
        self.heard: list[Fact] = []
        self.error: Exception | None = None  # why the listening ended
        self._ari = ari
        self._news = threading.Condition()
        self._connected = False
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._listen, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self.wait(lambda: self._connected or self.error is not None, what="a connection")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(lambda: [task.cancel() for task in asyncio.all_tasks(self._loop)])
        self._thread.join(5)

    def of(self, channel_id: str) -> list[Fact]:
        with self._news:
            return [fact for fact in self.heard if fact.channel_id == channel_id]

    def kinds(self, channel_id: str) -> list[Kind]:
        return [fact.kind for fact in self.of(channel_id)]

    def wait_for(self, channel_id: str, kind: Kind, *, count: int = 1, seconds: float = 8) -> Fact:
        """Return the `count`th fact of its kind."""

        def found() -> Fact | None:
            facts = [fact for fact in self.of(channel_id) if fact.kind is kind]
            return facts[count - 1] if len(facts) >= count else None

        fact = self.wait(found, what=f"{kind} of {channel_id}", seconds=seconds)
        assert isinstance(fact, Fact)
        return fact

    def wait_for_arrival(self) -> Fact:
        """Return the fact that tells of the one call that came in."""

        def found() -> Fact | None:
            return next((fact for fact in self.heard if fact.arrival and fact.kind is Kind.ENTERED), None)

        fact = self.wait(found, what="a call that came in")
        assert isinstance(fact, Fact)
        return fact

    def wait(self, condition: Callable[[], object], *, what: str, seconds: float = 8) -> object:
        deadline = time.monotonic() + seconds
        with self._news:
            while not (found := condition()):
                if not self._news.wait(deadline - time.monotonic()):
                    raise AssertionError(f"no {what} in {seconds} s; heard {self.heard}")
            return found

    def _listen(self) -> None:
        task = self._loop.create_task(self._read())
        try:
            self._loop.run_until_complete(task)
        except asyncio.CancelledError:
            pass
        except Exception as error:  # noqa: BLE001  whatever it is, the test looks at it
            with self._news:
                self.error = error
                self._news.notify_all()
        finally:
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._loop.close()

    async def _read(self) -> None:
        async for fact in self._ari.facts(on_connect=self._connect):
            with self._news:
                self.heard.append(fact)
                self._news.notify_all()

    def _connect(self) -> None:
        with self._news:
            self._connected = True
            self._news.notify_all()


def dial(ari: Ari, number: str, *, trunk: str = TRUNK, setup_seconds: int = 30, timer_seconds: int = 0) -> str:
    """Dial `number` and return the channel's id."""
    channel_id = str(uuid.uuid4())
    taken = order(ari, channel_id, number, trunk=trunk, setup_seconds=setup_seconds, timer_seconds=timer_seconds)
    assert taken is Answer.TAKEN, taken
    return channel_id


def answers(ari: Ari) -> bool:
    """Say whether the engine can be reached."""
    try:
        ari.ping()
    except EngineUnreachable:
        return False
    return True


def until(condition: Callable[[], object], *, seconds: float = 8) -> None:
    """Return once `condition` holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.02)


def until_heard(heard: Callable[[], "array[int]"], hertz: int, *, seconds: float = 8) -> None:
    """Return once the newest half second of what `heard` returns, piece by piece, is that tone and little else."""
    samples = array("h")

    def is_heard() -> bool:
        nonlocal samples
        samples = (samples + heard())[-RATE // 2 :]
        return len(samples) >= RATE // 2 and share(samples, hertz) > 0.9

    until(is_heard, seconds=seconds)


def order(
    ari: Ari,
    channel_id: str,
    number: str,
    *,
    trunk: str = TRUNK,
    setup_seconds: int = 30,
    timer_seconds: int = 0,
) -> Answer:
    """Ask for a channel and return the engine's answer."""
    return ari.originate(
        channel_id=channel_id,
        endpoint=f"PJSIP/{number}@{trunk}",
        caller_id=CALLER,
        context="minivoice-out",
        variables={"TIMER_SECONDS": str(timer_seconds)},
        setup_seconds=setup_seconds,
    )
