"""All channels of the network, live and remembered, their bridges, and what was recorded."""

from collections import OrderedDict
from functools import partial

from telephony.engines.facts import MEDIA_TIMEOUT_SECONDS
from telephony.simulator.arrivals import CONTEXT, Arrival
from telephony.simulator.bridges import Bridge
from telephony.simulator.callees import NOBODY, Callee, callee
from telephony.simulator.channels import Channel, Order, Record
from telephony.simulator.legs import Audience, Leg, Snoop
from telephony.simulator.recordings import HEARD, SAID, Recordings
from telephony.simulator.timing import Timing

_TONES = {"in": (SAID,), "out": (HEARD,), "both": (SAID, HEARD)}


class AllocationFailed(Exception):
    """No such trunk: nothing was dialled."""


class IdInUse(Exception):
    """A live channel has this id."""


class SnoopFailed(Exception):
    """A live channel has the id that a snoop channel was to have."""


class BridgeExists(Exception):
    """There is a bridge of this id."""


class Network:
    """Every channel there is. Belongs to one event loop."""

    def __init__(
        self,
        *,
        timing: Timing,
        audience: Audience,
        refused_trunks: set[str],
        silent_trunks: frozenset[str] = frozenset(),
        records_kept: int = 100_000,
    ) -> None:
        self.records: OrderedDict[str, Record] = OrderedDict()
        self.refused_trunks = refused_trunks
        self.pushed: dict[tuple[str, str], dict[str, str]] = {}  # kind and name of each trunk's objects
        self.restarts = 0
        self.recordings = Recordings()
        self.bridges: dict[str, Bridge] = {}
        self._silent_trunks = silent_trunks
        self._live: dict[str, Leg] = {}
        self._timing = timing
        self._audience = audience
        self._records_kept = records_kept
        self._serial = 0

    def originate(self, order: Order) -> Channel:
        """Dial. An id is free again once its channel has ended. Raises IdInUse, AllocationFailed."""
        if order.channel_id in self._live:
            raise IdInUse(order.channel_id)
        if order.trunk in self.refused_trunks:
            raise AllocationFailed(order.trunk)
        self._serial += 1
        channel = self._live[order.channel_id] = Channel(
            order,
            name=f"PJSIP/{order.trunk}-{self._serial:08x}",
            callee=NOBODY if order.trunk in self._silent_trunks else callee(order.number),
            record=self._remember(order),
            media_timeout_seconds=self._media_timeout(order.trunk),
            timing=self._timing,
            audience=self._audience,
            recordings=self.recordings,
            on_end=partial(self._live.pop, order.channel_id),
        )
        channel.dial()
        return channel

    def arrive(self, *, trunk: str, caller: str, dialled: str, behaviour: Callee) -> Arrival:
        """Let somebody call in over a trunk. Raises AllocationFailed."""
        if trunk in self.refused_trunks:
            raise AllocationFailed(trunk)
        self._serial += 1
        channel_id = f"{int(self._timing.now().timestamp())}.{self._serial}"
        order = Order(
            channel_id=channel_id,
            number=dialled,
            trunk=trunk,
            caller_id=caller,
            context=CONTEXT,
            variables={},
            timeout_seconds=-1,
        )
        channel = self._live[channel_id] = Arrival(
            order,
            caller=behaviour,
            name=f"PJSIP/{trunk}-{self._serial:08x}",
            record=self._remember(order),
            media_timeout_seconds=self._media_timeout(trunk),
            timing=self._timing,
            audience=self._audience,
            recordings=self.recordings,
            on_end=partial(self._live.pop, channel_id),
        )
        channel.arrive()
        return channel

    def snoop(self, spied: Leg, *, snoop_id: str, direction: str) -> Snoop:
        """Listen in on a channel. Raises SnoopFailed, ValueError for a direction that is none."""
        if direction not in _TONES:
            raise ValueError("Direction must be specified for at least spy or whisper")
        if snoop_id in self._live:
            raise SnoopFailed(snoop_id)
        self._serial += 1
        snoop = Snoop(
            spied,
            tones=_TONES[direction],
            channel_id=snoop_id,
            name=f"Snoop/{spied.id}-{self._serial:08x}",
            timing=self._timing,
            audience=self._audience,
            recordings=self.recordings,
            on_end=partial(self._live.pop, snoop_id),
        )
        self._live[snoop_id] = snoop
        snoop.begin()
        return snoop

    def make_bridge(self, bridge_id: str) -> Bridge:
        """Make an empty bridge. Raises BridgeExists."""
        if bridge_id in self.bridges:
            raise BridgeExists(bridge_id)
        bridge = self.bridges[bridge_id] = Bridge(
            bridge_id,
            timing=self._timing,
            audience=self._audience,
            recordings=self.recordings,
            on_end=partial(self.bridges.pop, bridge_id),
        )
        return bridge

    def answers(self, trunk: str) -> bool:
        """Whether a trunk's carrier is there."""
        return trunk not in self._silent_trunks

    def channels(self) -> list[Leg]:
        """Return the live channels, oldest first."""
        return list(self._live.values())

    def channel(self, channel_id: str) -> Leg:
        """Return a live channel. Raises KeyError."""
        return self._live[channel_id]

    def call(self, channel_id: str) -> Channel:
        """Return a live channel that has a callee. Raises KeyError."""
        channel = self._live[channel_id]
        if not isinstance(channel, Channel):
            raise KeyError(channel_id)
        return channel

    def stop_playback(self, playback_id: str) -> None:
        """Stop a playback, waiting or playing. Raises KeyError when it has ended."""
        for channel in self._live.values():
            if playback_id in channel.playbacks:
                channel.playbacks[playback_id].stop()
                return
        raise KeyError(playback_id)

    def restart(self) -> None:
        """Lose every channel and bridge without a word, and what was pushed.

        What was recorded stays, and the records, which are not the engine's.
        """
        self.restarts += 1
        self.pushed.clear()
        for channel in self._live.values():
            channel.vanish()
        self._live.clear()
        self.bridges.clear()
        self.recordings.live.clear()

    def _media_timeout(self, trunk: str) -> float:
        return float(self.pushed.get(("endpoint", trunk), {}).get("rtp_timeout", MEDIA_TIMEOUT_SECONDS))

    def _remember(self, order: Order) -> Record:
        record = self.records.get(order.channel_id)
        if record is None:
            record = Record(id=order.channel_id, number=order.number, trunk=order.trunk)
            self.records[order.channel_id] = record
            if len(self.records) > self._records_kept:
                self.records.popitem(last=False)
        return record
