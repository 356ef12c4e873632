"""Callers of each engine: told to the simulator over its control, to Asterisk over SIP."""

from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, Protocol, Self

import requests

from tests.telephony.engines.caller import Caller
from tests.telephony.engines.listening import TRUNK, SimulatedEngine, until
from tests.telephony.engines.real import RealEngine

DIALLED, CALLER = "+15551230001", "+15557654321"
HOST = "127.0.0.7"  # where the carrier of the trunk below calls from
INBOUND_TRUNK = "carrier-in"


class Calling(Protocol):
    """A caller's end of one call."""

    def refused(self) -> int:
        """Wait for a refusal; return its SIP code."""

    def wait_for_answer(self) -> None:
        """Wait until it is answered."""

    def give_up(self) -> None:
        """Cancel a call that is not answered."""

    def press(self, digit: str) -> None:
        """Press a key."""

    def hang_up(self) -> None:
        """End an answered call."""


class CallingIn:
    """How to call in on one engine, over `trunk`."""

    def __init__(self, engine: SimulatedEngine | RealEngine, trunk: str) -> None:
        self.trunk = trunk
        self._engine = engine

    def call(self) -> AbstractContextManager[Calling]:
        """Call DIALLED from CALLER."""
        if isinstance(self._engine, SimulatedEngine):
            return _Simulated(self._engine)
        return Caller(host=HOST, sip_port=self._engine.network.asterisk.sip_port, dialled=DIALLED, caller_id=CALLER)


def calling_in(engine: SimulatedEngine | RealEngine) -> CallingIn:
    """Return how to call in, having told a real engine of the trunk."""
    if isinstance(engine, SimulatedEngine):
        return CallingIn(engine, TRUNK)
    endpoint = {
        "context": "minivoice-in",
        "disallow": "all",
        "allow": "ulaw",
        "dtmf_mode": "auto_info",
        "callerid": "trunk",
    }
    _put(engine, "endpoint", endpoint)
    _put(engine, "identify", {"endpoint": INBOUND_TRUNK, "match": HOST})
    return CallingIn(engine, INBOUND_TRUNK)


def _put(engine: RealEngine, kind: str, fields: dict[str, str]) -> None:
    rows = [{"attribute": name, "value": value} for name, value in fields.items()]
    requests.put(
        f"{engine.url}/asterisk/config/dynamic/res_pjsip/{kind}/{INBOUND_TRUNK}",
        json={"fields": rows},
        auth=("minivoice", "secret"),
        timeout=5,
    ).raise_for_status()


class _Simulated:
    """A caller that the simulator plays."""

    def __init__(self, engine: SimulatedEngine) -> None:
        self._engine = engine

    def __enter__(self) -> Self:
        address = f"http://127.0.0.1:{self._engine.port}/simulator/inbound"
        answer = requests.post(address, json={"trunk": TRUNK, "from": CALLER, "to": DIALLED}, timeout=5)
        answer.raise_for_status()
        self._id = answer.json()["channel_id"]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def refused(self) -> int:
        until(lambda: self._record()["ended_at"])
        return int(self._record()["told"])

    def wait_for_answer(self) -> None:
        until(lambda: self._record()["answered_at"])

    def give_up(self) -> None:
        self._engine.control("hangup", {"channel_id": self._id})

    def press(self, digit: str) -> None:
        self._engine.control("digits", {"channel_id": self._id, "digits": digit})

    def hang_up(self) -> None:
        self._engine.control("hangup", {"channel_id": self._id})

    def _record(self) -> dict[str, Any]:
        [record] = self._engine.records(id=self._id)
        return record
