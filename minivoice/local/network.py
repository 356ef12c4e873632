"""A real telephone network on this machine: Asterisk, and SIPp as the carriers around it."""

from collections.abc import Collection, Mapping
from pathlib import Path

from minivoice.local.asterisk import Asterisk
from minivoice.local.carrier import Carrier
from minivoice.local.engine import Installation
from minivoice.local.supervisor import Process

SILENT_TRUNK = (
    "silent"  # an endpoint whose carrier is not there: 408 after 6.4 s, and a call goes on over the next trunk
)
_NOBODY = "127.0.0.1:9"
_FIRST_RTP_PORT = 12000  # below it: Asterisk's own
_RTP_PORTS_PER_CARRIER = 4000


def ports(trunks: Collection[str]) -> tuple[str, ...]:
    """Return the names of the ports that a network with these trunks needs."""
    return ("asterisk", "sip", "sip-tls", *(f"carrier-{trunk}" for trunk in trunks))


class Network:
    """The network of the state folder `state`: a carrier for each of `trunks`, and the silent trunk.

    `ports` are ports of loopback by the names that `ports` returns. Callees of the trunks in `by_info` press digits
    by SIP INFO, others by RFC 2833. Carriers over TLS must show certificates of the `authorities` in that file.
    """

    def __init__(
        self,
        *,
        installation: Installation,
        state: Path,
        ports: Mapping[str, int],
        user: str,
        password: str,
        trunks: Collection[str],
        by_info: Collection[str] = (),
        authorities: Path | None = None,
    ) -> None:
        first = range(_FIRST_RTP_PORT, 20000, _RTP_PORTS_PER_CARRIER)
        self._carriers = {
            trunk: Carrier(
                name=f"carrier-{trunk}",
                installation=installation,
                folder=state,
                port=ports[f"carrier-{trunk}"],
                rtp_ports=(first[index], first[index] + _RTP_PORTS_PER_CARRIER - 1),
                by_info=trunk in by_info,
            )
            for index, trunk in enumerate(trunks)
        }
        self.asterisk = Asterisk(
            installation=installation,
            state=state,
            http_port=ports["asterisk"],
            sip_port=ports["sip"],
            tls_port=ports["sip-tls"],
            user=user,
            password=password,
            trunks={**{trunk: carrier.address for trunk, carrier in self._carriers.items()}, SILENT_TRUNK: _NOBODY},
            unwatched=(SILENT_TRUNK,),
            authorities=authorities,
        )

    def carriers(self) -> list[Process]:
        """The carriers, to be started first: an engine does not dial a carrier that was silent when it asked."""
        return [carrier.process() for carrier in self._carriers.values()]

    def engine(self) -> Process:
        """The engine, its configuration written anew."""
        self.asterisk.prepare()
        return self.asterisk.process()
