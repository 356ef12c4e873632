"""Somebody who calls in over SIP, from an address of its own: a carrier's side of an inbound call."""

import re
import socket
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self
from uuid import uuid4

from tests.telephony.engines.phone import Sound


class Caller:
    """One call to `dialled` at the engine's SIP port, from `host`, an address of loopback.

    The request is addressed to `contact`, where a registrar was told one, and has further `headers`. The caller hums
    at `hertz` once the call is answered; what it hears is in `sound`.
    """

    def __init__(
        self,
        *,
        host: str,
        sip_port: int,
        dialled: str,
        caller_id: str = "+15557654321",
        contact: str = "",
        headers: Sequence[str] = (),
        hertz: int = 0,
    ) -> None:
        self._host, self._to, self._caller_id = host, ("127.0.0.1", sip_port), caller_id
        self._dialled_uri = f"sip:{dialled}@{self._to[0]}:{self._to[1]}"
        self._contact, self._headers = contact or self._dialled_uri, headers
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((host, 0))
        self._port = self._socket.getsockname()[1]
        self._call = uuid4().hex
        self._branch = f"z9hG4bK-{self._call}"
        self._number = 1
        self._to_tag = ""
        self.sound = Sound(host=host, hertz=hertz)
        self.heard: list[int] = []  # status codes of answers to the INVITE

    def __enter__(self) -> Self:
        self._send("INVITE", self.sound.sdp, branch=self._branch)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()
        self.sound.close()

    def wait_for(self, code: int, *, seconds: float = 8) -> None:
        """Return once the engine answers `code`; an answer or refusal is acknowledged."""
        deadline = time.monotonic() + seconds
        while code not in self.heard:
            left = deadline - time.monotonic()
            assert left > 0, f"no {code} within {seconds} s; heard {self.heard}"
            self._read(left)

    def refused(self, *, seconds: float = 8) -> int:
        """Return the code that the engine refuses the call with."""
        deadline = time.monotonic() + seconds
        while not (final := [code for code in self.heard if code >= 300]):
            left = deadline - time.monotonic()
            assert left > 0, f"not refused within {seconds} s; heard {self.heard}"
            self._read(left)
        return final[0]

    def wait_for_answer(self) -> None:
        """Return once the call is answered."""
        self.wait_for(200)

    def wait_for_bye(self, *, seconds: float = 8) -> None:
        """Return once the engine hangs up."""
        deadline = time.monotonic() + seconds
        while not self._read(max(0.01, deadline - time.monotonic())).startswith("BYE "):
            assert time.monotonic() < deadline, f"not hung up within {seconds} s"

    def give_up(self) -> None:
        """Cancel a call that is not answered."""
        self._send("CANCEL", branch=self._branch)

    def press(self, digit: str) -> None:
        """Press a key, told by SIP INFO."""
        self._number += 1
        self._send("INFO", f"Signal={digit}\r\nDuration=100\r\n", kind="application/dtmf-relay")

    def hang_up(self) -> None:
        """End an answered call."""
        self._number += 1
        self._send("BYE")

    def _read(self, seconds: float) -> str:
        self._socket.settimeout(seconds)
        try:
            text = self._socket.recv(65536).decode()
        except TimeoutError:
            return ""
        if not text.startswith("SIP/2.0 "):
            kept = "".join(re.findall(r"^(?:Via|From|To|Call-ID|CSeq): .*\r\n", text, re.MULTILINE))
            self._socket.sendto(f"SIP/2.0 200 OK\r\n{kept}Content-Length: 0\r\n\r\n".encode(), self._to)
        elif re.search(r"^CSeq: 1 INVITE", text, re.MULTILINE):
            self._heard(text, int(text.split()[1]))
        return text

    def _heard(self, text: str, code: int) -> None:
        self.heard.append(code)
        if tag := re.search(r"^To: .*;tag=([^;\r]+)", text, re.MULTILINE):
            self._to_tag = f";tag={tag[1]}"
        if code == 200:
            self.sound.meet(text)
        if code >= 200:
            self._send("ACK", branch=self._branch if code >= 300 else "")

    def _send(self, method: str, body: str = "", *, branch: str = "", kind: str = "application/sdp") -> None:
        number = 1 if method in {"INVITE", "ACK", "CANCEL"} else self._number
        own = f"{self._host}:{self._port}"
        lines = [
            f"{method} {self._contact} SIP/2.0",
            f"Via: SIP/2.0/UDP {own};branch={branch or 'z9hG4bK-' + uuid4().hex};rport",
            f"From: <sip:{self._caller_id}@{self._host}>;tag={self._call}",
            f"To: <{self._dialled_uri}>{'' if method == 'CANCEL' else self._to_tag}",
            f"Call-ID: {self._call}",
            f"CSeq: {number} {method}",
            f"Contact: <sip:caller@{own}>",
            "Max-Forwards: 70",
            *self._headers,
            *([f"Content-Type: {kind}"] if body else []),
            f"Content-Length: {len(body)}",
        ]
        self._socket.sendto(("\r\n".join(lines) + "\r\n\r\n" + body).encode(), self._to)
