"""The process: both interfaces on one port, one event loop, one core."""

from asyncio import BaseTransport
from collections.abc import Iterable

from aiohttp import web

from telephony.simulator import ari, control
from telephony.simulator.advancing import Advance
from telephony.simulator.faults import Faults
from telephony.simulator.network import Network
from telephony.simulator.sockets import Sockets
from telephony.simulator.timing import LoopTiming


class Simulator:
    """A telephone network behind `http://host:port/ari`. Make and use it in one running event loop."""

    def __init__(
        self, *, user: str, password: str, refused_trunks: Iterable[str] = (), silent_trunks: Iterable[str] = ()
    ) -> None:
        """Take ARI's user and password, and the names of trunks that do not exist; every other name does.

        The carriers of `silent_trunks` are not there.
        """
        timing = LoopTiming()
        faults = Faults()
        sockets = Sockets(timing=timing, faults=faults)
        network = self.network = Network(
            timing=timing, audience=sockets, refused_trunks=set(refused_trunks), silent_trunks=frozenset(silent_trunks)
        )
        advance = Advance(timing, is_heard=lambda: sockets.connected)
        site = web.Application()
        site.add_subapp(
            "/ari/",
            ari.application(
                network=network,
                sockets=sockets,
                faults=faults,
                timing=timing,
                advance=advance,
                user=user,
                password=password,
            ),
        )
        site.add_subapp(
            "/simulator/",
            control.application(
                network=network,
                sockets=sockets,
                faults=faults,
                advance=advance,
                cut_connections=self._cut_connections,
            ),
        )
        self._runner = web.AppRunner(site, access_log=None, shutdown_timeout=0.1)

    async def start(self, *, host: str, port: int) -> int:
        """Listen, and return the port (a free one for 0). Raises OSError when it is taken."""
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port, backlog=1024)
        await site.start()
        return int(self._runner.addresses[0][1])

    async def stop(self) -> None:
        """Close every connection and stop listening."""
        await self._runner.cleanup()

    def _cut_connections(self, spared: BaseTransport | None) -> None:
        server = self._runner.server
        for connection in server.connections if server else []:
            if connection.transport not in (None, spared):
                connection.transport.abort()
