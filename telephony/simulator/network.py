"""All channels of the network, live and remembered."""

from collections import OrderedDict
from functools import partial

from telephony.simulator.callees import callee
from telephony.simulator.channels import Audience, Channel, Order, Record
from telephony.simulator.timing import Timing


class AllocationFailed(Exception):
    """No such trunk: nothing was dialled."""


class IdInUse(Exception):
    """A live channel has this id."""


class Network:
    """Every channel there is. Belongs to one event loop."""

    def __init__(
        self, *, timing: Timing, audience: Audience, refused_trunks: set[str], records_kept: int = 100_000
    ) -> None:
        self.records: OrderedDict[str, Record] = OrderedDict()
        self.refused_trunks = refused_trunks
        self._live: dict[str, Channel] = {}
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
            callee=callee(order.number),
            record=self._remember(order),
            timing=self._timing,
            audience=self._audience,
            on_end=partial(self._live.pop, order.channel_id),
        )
        channel.dial()
        return channel

    def channels(self) -> list[Channel]:
        """Return the live channels, oldest first."""
        return list(self._live.values())

    def channel(self, channel_id: str) -> Channel:
        """Return a live channel. Raises KeyError."""
        return self._live[channel_id]

    def stop_playback(self, playback_id: str) -> None:
        """Stop a playback, waiting or playing. Raises KeyError when it has ended."""
        for channel in self._live.values():
            if playback_id in channel.player:
                channel.player.stop(playback_id)
                return
        raise KeyError(playback_id)

    def restart(self) -> None:
        """Lose every channel without a word; the records stay, they are not the engine's."""
        for channel in self._live.values():
            channel.vanish()
        self._live.clear()

    def _remember(self, order: Order) -> Record:
        record = self.records.get(order.channel_id)
        if record is None:
            record = Record(id=order.channel_id, number=order.number, trunk=order.trunk)
            self.records[order.channel_id] = record
            if len(self.records) > self._records_kept:
                self.records.popitem(last=False)
        return record
