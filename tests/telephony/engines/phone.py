"""A phone that the engine can call over SIP: it answers at once, and keeps what it hears."""

import math
import re
import socket
import threading
from array import array
from collections.abc import Sequence
from types import TracebackType
from typing import Self

RATE = 8000  # samples a second
_RTP_HEADER_BYTES = 12
_SDP = """\
v=0\r
o=phone 1 1 IN IP4 127.0.0.1\r
s=-\r
c=IN IP4 127.0.0.1\r
t=0 0\r
m=audio {port} RTP/AVP 0\r
a=rtpmap:0 PCMU/8000\r
"""


class Phone:
    """A phone of loopback, from `with` on."""

    def __init__(self) -> None:
        self._signals = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._sound = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        for end in (self._signals, self._sound):
            end.bind(("127.0.0.1", 0))
            end.settimeout(0.1)
        self.uri = f"sip:phone@127.0.0.1:{self._signals.getsockname()[1]}"
        self._heard: list[bytes] = []
        self._done = threading.Event()
        self._threads = [threading.Thread(target=work, daemon=True) for work in (self._signal, self._listen)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        for thread in self._threads:
            thread.join(5)
        self._signals.close()
        self._sound.close()

    def heard(self) -> "array[int]":
        """Return what was heard since the last time: samples of 16 bit, 8,000 a second."""
        heard, self._heard = self._heard, []
        return array("h", (LINEAR[byte] for packet in heard for byte in packet[_RTP_HEADER_BYTES:]))

    def _signal(self) -> None:
        while not self._done.is_set():
            try:
                request, sender = self._signals.recvfrom(65536)
            except TimeoutError:
                continue
            text = request.decode()
            if text.startswith(("INVITE ", "BYE ", "OPTIONS ")):
                self._signals.sendto(self._ok(text).encode(), sender)

    def _listen(self) -> None:
        while not self._done.is_set():
            try:
                self._heard.append(self._sound.recv(2048))
            except TimeoutError:
                continue

    def _ok(self, request: str) -> str:
        kept = re.findall(r"^(?:Via|From|To|Call-ID|CSeq): .*\r\n", request, re.MULTILINE)
        lines = [line.replace("\r", ";tag=phone\r") if re.match(r"To: (?!.*;tag=)", line) else line for line in kept]
        body = _SDP.format(port=self._sound.getsockname()[1]) if request.startswith("INVITE ") else ""
        told = f"Contact: <{self.uri}>\r\nContent-Type: application/sdp\r\nContent-Length: {len(body)}\r\n\r\n"
        return "SIP/2.0 200 OK\r\n" + "".join(lines) + told + body


def loudness(samples: Sequence[int]) -> float:
    """Return the root of the mean square: 0 is silence, 32,767 the most."""
    return math.sqrt(sum(sample * sample for sample in samples) / len(samples)) if samples else 0.0


def share(samples: Sequence[int], hertz: float) -> float:
    """Return the share of the power that lies at one frequency, 0 to 1, by Goertzel's algorithm."""
    turn = 2 * math.cos(2 * math.pi * hertz / RATE)
    last = before = 0.0
    for sample in samples:
        last, before = sample + turn * last - before, last
    power = last * last + before * before - turn * last * before
    total = sum(sample * sample for sample in samples)
    return 2 * power / (total * len(samples)) if total else 0.0


def _linear(byte: int) -> int:
    """Return the sample that a byte of mu-law (G.711) stands for."""
    byte ^= 0xFF
    size = ((((byte & 0x0F) << 3) + 0x84) << ((byte & 0x70) >> 4)) - 0x84
    return -size if byte & 0x80 else size


LINEAR = [_linear(byte) for byte in range(256)]
