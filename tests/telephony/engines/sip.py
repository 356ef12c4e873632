"""The little of SIP (RFC 3261) that far ends in tests need: requests read, answers written, over UDP."""

import re
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

TAG = "far-end"
_ECHOED = re.compile(r"^(?:Via|From|To|Call-ID|CSeq): .*\r\n", re.MULTILINE)

Reply = Callable[[bytes], None]


@dataclass(frozen=True)
class Request:
    """A request that came in, as it was written."""

    text: str

    @property
    def method(self) -> str:
        """INVITE, ACK, BYE and so on."""
        return self.text.split(" ", 1)[0]

    @property
    def number(self) -> str:
        """The user part of the request's address: what was dialled."""
        found = re.match(r"\S+ sips?:([^@;> ]*)@", self.text)
        return found[1] if found else ""

    @property
    def call_id(self) -> str:
        """What names the dialogue."""
        return self.header("Call-ID")

    @property
    def body(self) -> str:
        """What follows the headers."""
        return self.text.partition("\r\n\r\n")[2]

    def header(self, name: str) -> str:
        """Return a header's value, nothing when it is not there."""
        found = re.search(rf"^{name}: *(.*)\r$", self.text, re.MULTILINE | re.IGNORECASE)
        return found[1] if found else ""

    def answer(self, status: str, *headers: str, body: str = "") -> bytes:
        """Return the answer `status` ("200 OK"), with further headers and an SDP body."""
        echoed = "".join(_ECHOED.findall(self.text)).replace("\r\n", "\n")
        tagged = re.sub(r"^(To: (?!.*;tag=).*)$", rf"\1;tag={TAG}", echoed, flags=re.MULTILINE).replace("\n", "\r\n")
        kind = ["Content-Type: application/sdp"] if body else []
        more = "".join(f"{line}\r\n" for line in (*headers, *kind, f"Content-Length: {len(body)}"))
        return f"SIP/2.0 {status}\r\n{tagged}{more}\r\n{body}".encode()


class FarEnd:
    """Somebody who listens for requests on UDP at `host`, from `with` on; `take` gets what comes, one by one."""

    def __init__(self, *, host: str = "127.0.0.1", port: int = 0) -> None:
        self.host = host
        self._signals = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._signals.bind((host, port))
        self._signals.settimeout(0.1)
        self.port: int = self._signals.getsockname()[1]
        self._done = threading.Event()
        self._threads = [threading.Thread(target=self._listen, daemon=True)]

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

    def take(self, request: Request, reply: Reply) -> None:
        """Do what is to be done about a request; `reply` sends an answer back."""
        raise NotImplementedError

    def _listen(self) -> None:
        while not self._done.is_set():
            try:
                datagram, sender = self._signals.recvfrom(65536)
            except TimeoutError:
                continue
            if not datagram.startswith(b"SIP/2.0 ") and datagram.strip():
                self.take(Request(datagram.decode()), lambda answer, to=sender: self._send(answer, to))

    def _send(self, message: bytes, to: tuple[str, int]) -> None:
        if not self._done.is_set():
            self._signals.sendto(message, to)
