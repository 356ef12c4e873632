"""A phone that the engine can call over SIP: it answers at once, keeps what it hears, and hums if it is to."""

import math
import re
import socket
import struct
import threading
import time
from array import array
from collections.abc import Callable, Sequence
from types import TracebackType

from tests.telephony.engines.sip import TAG, FarEnd, Reply, Request

RATE = 8000  # samples a second
_RTP_HEADER_BYTES = 12
_KEYS, _KEY_TYPE = "0123456789*#ABCD", 101  # RFC 4733: an event's code, and the payload type of events
_PACKET_SECONDS = 0.02
_PACKET_SAMPLES = 160
_PERIOD_SAMPLES = 200  # a whole number of turns of every multiple of 40 Hz


class Sound:
    """An end of RTP (PCMU) at `host`: it keeps what it hears, and hums at `hertz`, a multiple of 40; 0 is silence.

    `seal` and `unseal` are what is done to each packet on its way out and in.
    """

    def __init__(self, *, host: str, hertz: int = 0) -> None:
        self.seal: Callable[[bytes], bytes] = bytes
        self.unseal: Callable[[bytes], bytes] = bytes
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((host, 0))
        self._socket.settimeout(0.1)
        self.host = host
        self.port: int = self._socket.getsockname()[1]
        self._wave = _wave(hertz) if hertz else b""
        self._heard: list[bytes] = []
        self._keys: dict[bytes, str] = {}  # by the time stamp that all packets of an event have
        self._done = threading.Event()
        self._threads = [threading.Thread(target=self._listen, daemon=True)]
        self._threads[0].start()

    @property
    def sdp(self) -> str:
        """How it is offered, or answered with."""
        lines = ("v=0", f"o=phone 1 1 IN IP4 {self.host}", "s=-", f"c=IN IP4 {self.host}", "t=0 0")
        media = (
            f"m=audio {self.port} RTP/AVP 0 {_KEY_TYPE}",
            "a=rtpmap:0 PCMU/8000",
            f"a=rtpmap:{_KEY_TYPE} telephone-event/8000",
        )
        return "".join(f"{line}\r\n" for line in (*lines, *media))

    def heard(self) -> "array[int]":
        """Return what was heard since the last time: samples of 16 bit, 8,000 a second."""
        heard, self._heard = self._heard, []
        return array("h", (LINEAR[byte] for packet in heard for byte in packet[_RTP_HEADER_BYTES:]))

    def keys(self) -> str:
        """Return the keys that were pressed for it so far, as events of its line."""
        return "".join(self._keys.values())

    def meet(self, sdp: str) -> None:
        """Hum to the far end that `sdp` describes, if it does and there is anything to hum."""
        port = re.search(r"^m=audio ([0-9]+) ", sdp, re.MULTILINE)
        if port and self._wave:
            self._threads.append(threading.Thread(target=self._hum, args=(int(port[1]),), daemon=True))
            self._threads[-1].start()

    def close(self) -> None:
        """Hear and hum no more."""
        self._done.set()
        for thread in self._threads:
            thread.join(5)
        self._socket.close()

    def _listen(self) -> None:
        while not self._done.is_set():
            try:
                packet = self._socket.recv(2048)
            except TimeoutError:
                continue
            packet = self.unseal(packet)
            if packet[1] & 0x7F == _KEY_TYPE:
                self._keys[packet[4:8]] = _KEYS[packet[_RTP_HEADER_BYTES]]
            else:
                self._heard.append(packet)

    def _hum(self, port: int) -> None:
        started_at = time.monotonic()
        number = 0
        while not self._done.wait(max(0.0, started_at + number * _PACKET_SECONDS - time.monotonic())):
            first = number * _PACKET_SAMPLES
            header = struct.pack("!BBHII", 0x80, 0, number & 0xFFFF, first, port)
            samples = bytes(self._wave[(first + sample) % _PERIOD_SAMPLES] for sample in range(_PACKET_SAMPLES))
            self._socket.sendto(self.seal(header + samples), ("127.0.0.1", port))
            number += 1


class Phone(FarEnd):
    """A phone of loopback, from `with` on."""

    def __init__(self, *, host: str = "127.0.0.1", port: int = 0, hertz: int = 0) -> None:
        super().__init__(host=host, port=port)
        self.uri = f"sip:phone@{host}:{self.port}"
        self.invited: list[Request] = []
        self.parted = threading.Event()  # the other side has hung up
        self._sound = Sound(host=host, hertz=hertz)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)
        self._sound.close()

    def heard(self) -> "array[int]":
        """Return what was heard since the last time: samples of 16 bit, 8,000 a second."""
        return self._sound.heard()

    def keys(self) -> str:
        """Return the keys that were pressed for it so far."""
        return self._sound.keys()

    def hang_up(self) -> None:
        """End the last call."""
        self._ask("BYE", number=9)

    def hold(self) -> None:
        """Put the last call on hold."""
        self._ask("INVITE", number=1, body=f"{self._sound.sdp}a=sendonly\r\n")

    def resume(self) -> None:
        """Take it off hold."""
        self._ask("ACK", number=1)
        self._ask("INVITE", number=2, body=self._sound.sdp)

    def _ask(self, method: str, *, number: int, body: str = "") -> None:
        invite = self.invited[-1]
        contact = re.search(r"<(sip:[^>]*@([0-9.]+):([0-9]+)[^>]*)>", invite.header("Contact"))
        assert contact
        lines = (
            f"{method} {contact[1]} SIP/2.0",
            f"Via: SIP/2.0/UDP {self.host}:{self.port};branch=z9hG4bK-{method}-{number}-{invite.call_id}",
            f"From: {invite.header('To')};tag={TAG}",
            f"To: {invite.header('From')}",
            f"Call-ID: {invite.call_id}",
            f"CSeq: {number} {method}",
            f"Contact: <{self.uri}>",
            "Max-Forwards: 70",
            "Content-Type: application/sdp",
            f"Content-Length: {len(body)}",
        )
        text = "".join(f"{line}\r\n" for line in (*lines, "")) + body
        self._send(text.encode(), (contact[2], int(contact[3])))

    def take(self, request: Request, reply: Reply) -> None:
        """Answer calls at once, and all else."""
        if request.method == "BYE":
            self.parted.set()
        if request.method == "INVITE":
            is_first = request.call_id not in {known.call_id for known in self.invited}
            if request not in self.invited:  # or it was sent again, before our answer was there
                self.invited.append(request)
            reply(request.answer("200 OK", f"Contact: <{self.uri}>", body=self._sound.sdp))
            if is_first:
                self._sound.meet(request.body)
        elif request.method != "ACK":
            reply(request.answer("200 OK"))


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


def _wave(hertz: int) -> bytes:
    levels = (8000 * math.sin(2 * math.pi * hertz * sample / RATE) for sample in range(_PERIOD_SAMPLES))
    return bytes(min(range(256), key=lambda byte: abs(LINEAR[byte] - level)) for level in levels)
