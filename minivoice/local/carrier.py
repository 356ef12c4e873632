"""SIPp as a test carrier behind a real engine: the numbers that the simulated network knows, over SIP."""

import os
import socket
from collections.abc import Sequence
from pathlib import Path

from minivoice.local.engine import Installation
from minivoice.local.supervisor import Process

_SCENARIOS = Path(__file__).resolve().parent.parent.parent / "telephony" / "carrier"
_ANSWER_SECONDS = 0.5
_NO_REPORT_SECONDS = 10_000_000
_RFC_2833 = ("-key", "payloads", "0 101", "-key", "attribute", "rtpmap:101 telephone-event/8000")
_INFO = ("-set", "info", "1", "-key", "payloads", "0", "-key", "attribute", "sendrecv")
_PROBE = """\
OPTIONS sip:carrier@{host}:{port} SIP/2.0\r
Via: SIP/2.0/UDP 127.0.0.1:{own};branch=z9hG4bK-ready-{own}\r
From: <sip:ready@127.0.0.1:{own}>;tag={own}\r
To: <sip:carrier@{host}:{port}>\r
Call-ID: ready-{own}\r
CSeq: 1 OPTIONS\r
Max-Forwards: 1\r
Content-Length: 0\r
\r
"""


def pressing(*, by_info: bool = False) -> Sequence[str]:
    """Return the words that have a scenario's far end press keys by RFC 2833, or `by_info`: by SIP INFO.

    SIPp needs root for the first (it writes raw packets), so that without root all press by INFO.
    """
    return _INFO if by_info or os.geteuid() != 0 else _RFC_2833


class Carrier:
    """The carrier that listens on `port` of `host`, in UDP; calls get their media in `rtp_ports` (first, last).

    Its callees press digits as `pressing` says. One that `is_demanding` wants digest authentication, of calls and
    registrations (`telephony/carrier/demanding.xml`), and has no callees but one.
    """

    def __init__(
        self,
        *,
        name: str,
        installation: Installation,
        folder: Path,
        port: int,
        rtp_ports: tuple[int, int],
        by_info: bool = False,
        host: str = "127.0.0.1",
        is_demanding: bool = False,
    ) -> None:
        self.address = f"{host}:{port}"
        self._host, self._scenario = host, "demanding.xml" if is_demanding else "carrier.xml"
        self._name, self._installation, self._folder = name, installation, folder
        self._port, self._rtp_ports = port, rtp_ports
        self._pressing: Sequence[str] = () if is_demanding else pressing(by_info=by_info)

    def process(self) -> Process:
        """The carrier, to be given to a supervisor before the engine is: an engine shuns a carrier that is silent."""
        first, last = self._rtp_ports
        options = {
            "-sf": _SCENARIOS / self._scenario,
            "-i": self._host,
            "-p": self._port,
            "-min_rtp_port": first,
            "-max_rtp_port": last,
            "-f": _NO_REPORT_SECONDS,
        }
        words = [str(word) for option in options.items() for word in option]
        return Process(
            name=self._name,
            argv=[*self._installation.sipp, *words, *self._pressing, "-nostdin"],
            environment={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "TZ": "UTC", "TERM": "dumb"},
            folder=self._folder,
            ready=self.is_ready,
        )

    def is_ready(self) -> bool:
        """Whether the carrier answers an OPTIONS."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind(("127.0.0.1", 0))
            probe.settimeout(_ANSWER_SECONDS)
            try:
                probe.connect((self._host, self._port))
                probe.send(_PROBE.format(host=self._host, port=self._port, own=probe.getsockname()[1]).encode())
                return probe.recv(4096).startswith(b"SIP/2.0 200 ")
            except OSError:
                return False
